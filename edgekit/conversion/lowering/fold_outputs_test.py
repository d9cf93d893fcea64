import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.compress.quantize import Quantize
from edgekit.compress.training import FineTune
from edgekit.conversion.pipeline import LOWER, stages
from edgekit.conversion.steps import Steps
from edgekit.graph import aten, shape_of
from edgekit.recipe import Context, Recipe
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators


def weights(graph):
    return [shape_of(n.args[1]) for n in graph.nodes if n.target is aten.convolution.default]


def folded(size, kernel, stride, *, channels=3, outputs=8, padding=None, pads=None, relu=False, bias=True):
    spatial = len(kernel)
    x, w = torch.randn(2, channels, *size), torch.randn(outputs, channels, *kernel)

    def function(x, w, b=None):
        x = x if pads is None else aten.pad.default(x, pads, "constant", 0.0)
        y = aten.convolution.default(x, w, b, stride, padding or [0] * spatial, [1] * spatial, False, [0] * spatial, 1)
        return aten.relu.default(y) if relu else y

    constants = {"w": w, "b": torch.randn(outputs)} if bias else {"w": w}
    return lowered(graph_of(function, [x], "block", **constants), "fold_outputs", inputs=(x,))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_first_layer_of_few_channels(relu, bias):
    result = folded((96, 96), (3, 3), [2, 2], pads=[0, 1, 0, 1], relu=relu, bias=bias)
    assert weights(result) == [(16, 12, 3, 2)]
    assert operators(result) == {"reshape": 4, "permute": 2, "pad": 1, "convolution": 1} | ({"relu": 1} if relu else {})


def test_the_activation_stays_with_the_convolution():
    result = folded((96, 96), (3, 3), [2, 2], padding=[1, 1], relu=True)
    (relu,) = (n for n in result.nodes if n.target is aten.relu.default)
    assert relu.args[0].target is aten.convolution.default


def test_padding_is_whole_groups_of_columns():
    result = folded((96, 96), (3, 3), [2, 2], padding=[1, 1])
    (pad,) = (n for n in result.nodes if n.target is aten.pad.default)
    assert pad.args[1] == [1, 0, 1, 1] and shape_of(pad)[-1] == 25


@pytest.mark.parametrize("stride", [1, 2])
def test_grey_images(stride):
    assert weights(folded((28, 28), (5, 5), [stride, stride], channels=1))[0][1] > 1


def test_sound():
    assert weights(folded((64,), (9,), [1], channels=1))[0][1] > 1


@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "stride", "width"),
    [
        (3, 16, (3, 3), 1, 32),  # the tile is full
        (8, 8, (3, 3), 1, 32),  # no channels are padded
        (3, 8, (3, 3), 2, 33),  # the row does not divide
        (3, 8, (3, 3), 1, 31),
        (1, 32, (3, 3), 1, 32),  # less only where channels are padded
    ],
)
def test_what_would_not_be_less_work_stays(channels, outputs, kernel, stride, width):
    result = folded((32, width), kernel, [stride, stride], channels=channels, outputs=outputs)
    assert weights(result) == [(outputs, channels, *kernel)]
    assert operators(result) == {"convolution": 1}


@pytest.mark.parametrize(
    ("passes", "folds"),
    [
        ([Quantize("w8a8")], True),
        ([Quantize("w8a8"), FineTune()], False),  # copies of one weight would come apart
        ([Quantize("w8a16")], False),
        ([Quantize("w8")], False),
        ([], False),
    ],
)
def test_it_is_for_integers_whose_weights_stay(passes, folds):
    x, w = torch.randn(1, 3, 32, 32), torch.randn(8, 3, 3, 3)

    def function(x, w):
        return aten.convolution.default(x, w, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1)

    recipe, context = Recipe("any", tuple(passes)), Context(load_rules("litert"))
    steps = stages(graph_of(function, [x], "block", w=w), recipe, context, Steps())
    graph = next(graph for name, graph in steps if name == LOWER)
    assert weights(graph) == ([(16, 12, 3, 2)] if folds else [(8, 3, 3, 3)])


SHAPES = st.fixed_dictionaries({"channels": st.integers(1, 3), "outputs": st.integers(1, 17), "relu": st.booleans(), "bias": st.booleans()})


@settings(max_examples=60)
@given(SHAPES, st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.sampled_from([8, 12, 20, 24]))
def test_whatever_is_folded_computes_the_same(shapes, kernel, stride, padding, width):
    folded((7, width), (3, kernel), [1, stride], padding=[1, padding], **shapes)
