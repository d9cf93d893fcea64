import pytest
import torch
from torch import nn

import edgekit
from edgekit.compress.overrides import check_modules, for_module, matches, module_paths
from edgekit.errors import UsageError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.layer1 = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())

    def forward(self, x):
        return self.layer1(self.stem(x))


@pytest.fixture(scope="module")
def graph():
    return edgekit.load(Net().eval(), (torch.zeros(1, 3, 8, 8),))


def test_the_last_override_that_matches_wins():
    overrides = {"*": 1, "layer1": 2, "layer1.0.conv?": 3}
    assert [for_module(p, 0, overrides) for p in ("stem", "layer1.1", "layer1.0.conv2")] == [1, 2, 3]
    assert for_module("stem", 0, {}) == 0


def test_a_glob_matches_what_is_inside():
    assert matches("layer1.0.conv1", "layer1") and matches("layer1.0.conv1", "layer*") and not matches("layer10.conv1", "layer1")


def test_modules_are_those_that_compute_and_their_parents(graph):
    assert module_paths(graph) == ("stem", "stem.0", "layer1", "layer1.0", "layer1.1")


@pytest.mark.parametrize("glob", ["stem", "layer1.*", "*.0", "stem.0"])
def test_what_matches_a_module_is_accepted(graph, glob):
    check_modules(graph, [glob], "keep")


def test_a_path_that_does_not_exist_names_the_nearest(graph):
    with pytest.raises(UsageError, match=r"overrides of quantize: the model has no module 'layr1\.0'") as error:
        check_modules(graph, ["stem", "layr1.0"], "overrides of quantize")
    assert error.value.next_step == "did you mean 'layer1.0'?"
    assert "layer1.0" in str(error.value.accepted)


def test_a_path_like_no_other_names_the_outer_modules(graph):
    with pytest.raises(UsageError) as error:
        check_modules(graph, ["zzzzzzzz"], "keep")
    assert error.value.accepted == "stem, layer1"


def test_a_folded_module_is_none(graph):
    with pytest.raises(UsageError, match=r"stem\.1"):
        check_modules(graph, ["stem.1"], "keep")
