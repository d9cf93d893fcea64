import pytest

from edgekit.compress.shrinking import shrunk, target_recipe
from edgekit.errors import UsageError
from edgekit.recipe import Recipe
from edgekit.recipes import load_recipe
from edgekit.targets import load_target


def names(recipe):
    return [step.name for step in recipe.passes]


def test_channels_go_first_and_training_comes_right_after():
    made = shrunk(load_recipe("int8"), {"macs": 0.5}, {"epochs": 3})
    assert names(made) == ["prune_channels", "fine_tune", "equalize", "quantize", "bias_correction"]
    assert made.name == "pruned_trained_int8" and made.passes[0].macs == 0.5 and made.passes[1].epochs == 3
    assert Recipe.from_toml(made.to_toml()) == made


def test_without_pruning_rounded_weights_are_trained():
    assert names(shrunk(load_recipe("int8"), training={})) == ["equalize", "quantize", "bias_correction", "fine_tune"]
    assert names(shrunk(load_recipe("palettize4"), training={})) == ["cluster", "fine_tune"]


def test_training_that_a_recipe_has_takes_the_options_and_keeps_its_places():
    made = shrunk(load_recipe("sparse24_int8"), training={"seconds": 60.0})
    assert made.name == "sparse24_int8" and shrunk(made, training={}) == made
    assert names(made) == names(load_recipe("sparse24_int8")) and made.passes[1].seconds == 60
    pruned = shrunk(load_recipe("sparse50_palettize4"), training={})
    assert names(pruned) == ["prune", "fine_tune", "cluster"]


def test_rounds_take_turns_and_share_the_time():
    made = shrunk(load_recipe("int8"), {"macs": 0.5}, {"epochs": 10, "seconds": 60.0}, rounds=3)
    assert names(made)[:6] == ["prune_channels", "fine_tune"] * 3 and names(made)[6:] == names(load_recipe("int8"))
    left = [step.macs for step in made.passes[:6:2]]
    assert left[0] < left[1] < left[2] < 1 and left[0] * left[1] * left[2] == pytest.approx(0.5, rel=1e-3)
    assert {(step.epochs, step.seconds) for step in made.passes[1:6:2]} == {(3, 20.0)}
    assert shrunk(load_recipe("int8"), {"macs": 0.5}, {"seconds": 60.0}, rounds=2).passes[1].epochs is None
    assert Recipe.from_toml(made.to_toml()) == made


@pytest.mark.parametrize("given", [{"pruning": {"macs": 0.5}}, {"training": {}}, {}])
def test_rounds_need_both_to_take_turns(given):
    with pytest.raises(UsageError, match="in turns"):
        shrunk(load_recipe("int8"), **given, rounds=2)


def test_nothing_asked_is_nothing_done():
    assert shrunk(load_recipe("int8")) == load_recipe("int8")


def test_two_budgets_are_refused():
    once = shrunk(load_recipe("int8"), {"macs": 0.5})
    with pytest.raises(UsageError, match="has its own prune_channels"):
        shrunk(once, {"macs": 0.5})


def test_a_target_may_have_another_default_where_there_are_data_to_train_on():
    assert target_recipe(load_target("jetson"), trained=True).name == "sparse24_int8"
    assert target_recipe(load_target("jetson"), trained=False).name == "int8"
    assert target_recipe(load_target("android"), trained=True).name == "int8"
