from dataclasses import dataclass
from typing import ClassVar

import pytest

from edgekit import recipe as registry
from edgekit.errors import UsageError
from edgekit.recipe import Recipe
from edgekit.recipes import load_recipe
from edgekit.shrinking import shrunk, target_recipe
from edgekit.targets import load_target


@dataclass(frozen=True)
class Removes:
    name: ClassVar[str] = "prune_channels"

    macs: float | None = None


@pytest.fixture(autouse=True)
def fake_passes(monkeypatch):
    monkeypatch.setitem(registry.PASSES, "prune_channels", f"{__name__}:Removes")


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
