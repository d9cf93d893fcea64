"""The benchmark's own arithmetic, and its recipe."""

from dataclasses import replace

import pytest

from benchmarks.deep_compression import NETWORKS, Row, met, recipe, table, verdicts
from edgekit.ordering import check_order
from edgekit.recipe import Recipe

ROW = Row("LeNet-5", 0, 0.9600, 0.9610, 1_724_320, 30_000, 34_000, 60_000)


def test_a_network_is_met_by_its_largest_file_and_its_mean_accuracy():
    assert met([ROW, replace(ROW, seed=1, after=0.9580)]), "half a tenth of a point lost on average"
    assert not met([ROW, replace(ROW, seed=1, after=0.9560)])
    assert not met([ROW, replace(ROW, seed=1, packed=45_000)]), "38.3 times smaller"


def test_each_network_gets_a_row_a_seed_and_one_verdict():
    rows = [ROW, replace(ROW, seed=1), replace(ROW, network="LeNet-300-100", packed=900_000)]
    assert len(table(rows)) == 2 + 3
    assert "57.5" in table(rows)[2]
    first, second = verdicts(rows)
    assert first.endswith("met") and "not" not in first
    assert second.startswith("LeNet-300-100: 1.9 times") and "**not met**" in second


@pytest.mark.parametrize("name", NETWORKS)
def test_the_recipe_can_be_saved_and_run_in_its_order(name):
    made = recipe(NETWORKS[name], 1)
    check_order(made.passes, made.name)
    assert Recipe.from_toml(made.to_toml()) == made
    assert max(p.sparsity for p in made.passes if p.name == "prune") == NETWORKS[name].sparsity
