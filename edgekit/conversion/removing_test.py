import numpy as np
import pytest
import torch
from torch import nn

import edgekit
from edgekit.compress.prune import Prune
from edgekit.compress.quantize import Quantize
from edgekit.conversion.removing import prunes, roomy, without_pruning
from edgekit.errors import UsageError
from edgekit.gains import Gains
from edgekit.recipe import Recipe

SPARSE = Recipe("sparse", (Prune(0.5), Quantize("w8a8")))


@pytest.fixture(scope="module")
def graph():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)).eval()
    return edgekit.load(net, (torch.zeros(1, 3, 8, 8),))


def test_a_recipe_without_its_pruning_is_the_rest():
    assert prunes(SPARSE) and not prunes(without_pruning(SPARSE))
    assert without_pruning(SPARSE).passes == SPARSE.passes[1:]
    with pytest.raises(UsageError, match="prunes nothing"):
        without_pruning(Recipe("plain", SPARSE.passes[1:]))


def test_a_conversion_that_prunes_counts_what_is_left_and_makes_the_unpruned_model_too(graph, tmp_path):
    samples = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
    made = edgekit.convert(graph, "android", recipe=SPARSE, calibration=samples, out=tmp_path / "a", unpruned=tmp_path / "b")
    assert made.manifest.gains is not None
    gains = Gains.from_json(made.manifest.gains)
    assert gains.before.parameters == gains.after.parameters == 3 * 8 * 9 + 8 + 8 * 4 + 4
    assert gains.after.zeros == (3 * 8 * 9 + 8 * 4) // 2 and gains.before.zeros == 0
    assert gains.before.macs == gains.after.macs == 36 * 3 * 8 * 9 + 32
    assert gains.no_measured_gain and "measure_gains" in str(gains.reason)
    whole = edgekit.Artifact.load(tmp_path / "b")
    assert whole.manifest.gains is None and whole.manifest.inputs[0].dtype == "int8"


def test_a_model_too_large_for_the_device_is_converted_unpruned_all_the_same(graph):
    target = edgekit.load_target("cortex-m4")
    assert target.flash_bytes and roomy(target).flash_bytes is roomy(target).ram_bytes is None


def test_without_pruning_there_is_nothing_to_compare(graph, tmp_path):
    with pytest.raises(UsageError, match="leave out unpruned"):
        edgekit.convert(graph, "android", recipe="float32", out=tmp_path / "a", unpruned=tmp_path / "b")
    assert not (tmp_path / "a").exists()
