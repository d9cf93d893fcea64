import math

import pytest

from edgekit.compress.gradual import gradually
from edgekit.compress.prune import Prune
from edgekit.compress.prune_channels import PruneChannels
from edgekit.compress.training import FineTune
from edgekit.errors import UsageError
from edgekit.recipe import Recipe


def test_sparsity_grows_by_the_cube():
    steps = gradually(Prune(sparsity=0.8), 4, [FineTune(epochs=1)])
    assert [step.name for step in steps] == ["prune", "fine_tune"] * 4
    assert [step.sparsity for step in steps[::2]] == pytest.approx([0.8 * (1 - 0.75**3), 0.7, 0.8 * (1 - 0.25**3), 0.8])


@pytest.mark.parametrize("option", ["macs", "parameters", "bytes"])
def test_budgets_of_channels_are_shares_of_what_is_left(option):
    shares = [getattr(step, option) for step in gradually(PruneChannels(**{option: 0.4}), 3, [])]
    assert math.prod(shares) == pytest.approx(0.4, rel=1e-5)
    assert shares == sorted(shares), "most goes first"


def test_a_ratio_takes_of_the_channels_that_are_left():
    ratios = [step.ratio for step in gradually(PruneChannels(ratio=0.5), 3, [])]
    assert math.prod(1 - ratio for ratio in ratios) == pytest.approx(0.5, rel=1e-5)
    assert ratios == sorted(ratios, reverse=True)


def test_one_round_is_the_pruning_itself_and_the_steps_are_a_recipe():
    assert gradually(PruneChannels(macs=0.5), 1, []) == (PruneChannels(macs=0.5),)
    recipe = Recipe("gradual", gradually(PruneChannels(macs=0.5), 3, [FineTune(epochs=2)]))
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(UsageError, match="rounds"):
        gradually(Prune(sparsity=0.5), 0, [])
    with pytest.raises(UsageError, match="at once"):
        gradually(Prune(pattern="2:4"), 2, [])
    with pytest.raises(UsageError, match="a number"):
        gradually(PruneChannels(bytes=100_000), 2, [])
