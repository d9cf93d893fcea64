import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import edgekit.ops  # noqa: F401
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import KERNELS, check_float, check_integer

NEWER = ("xnnpack", "built-in")
"""The reference kernels are older: they refuse the version numbers of int8 TILE and DEPTH_TO_SPACE."""
FEW = settings(max_examples=15)


@st.composite
def lying(draw, ranks=(1, 4), sizes=(1, 6)):
    """A random tensor, and the permutation behind which an operator meets it."""
    rank = draw(st.integers(*ranks))
    shape = [draw(st.integers(*sizes)) for _ in range(rank)]
    torch.manual_seed(draw(st.integers(0, 99)))
    order = draw(st.permutations(range(rank)))
    return torch.randn(shape), order


def check(function, x, order, kernels=tuple(KERNELS), **constants):
    """`function` of the permuted input, in float and in integers."""
    graph = graph_of(lambda x0, **given: function(aten.permute.default(x0, list(order)), **given), [x], **constants)
    check_float(graph, [x], tolerance=0)
    check_integer(graph, [x], kernels)


@given(case=lying(), data=st.data())
@FEW
def test_slice(case, data):
    x, order = case
    dim = data.draw(st.integers(0, x.ndim - 1))
    size = x.shape[order[dim]]
    start = data.draw(st.integers(0, size - 1))
    end, step = data.draw(st.integers(start + 1, size)), data.draw(st.integers(1, 3))
    check(lambda y: aten.slice.Tensor(y, dim, start, end, step), x, order)


def test_a_chain_of_slices_is_one_operator():
    x = torch.randn(1, 3, 9, 8)

    def function(x0):
        y = aten.slice.Tensor(aten.slice.Tensor(x0, 2, 1, 9, 2), 3, 0, 8, 2)
        return aten.slice.Tensor(y, 2, 1, 4, 2)

    graph = graph_of(function, [x])
    for emitted in (check_float(graph, [x]), check_integer(graph, [x])):
        assert [op.name for op in emitted.ops] == ["STRIDED_SLICE"]


@given(case=lying(), data=st.data())
@FEW
def test_cat(case, data):
    x, order = case
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    other = torch.randn([x.shape[d] for d in order])
    check(lambda y, c: aten.cat.default([y, c, y], dim), x, order, c=other)


def test_cat_of_tensors_that_lie_differently():
    x, y = torch.randn(2, 3, 4), torch.randn(4, 3, 2)
    graph = graph_of(lambda x, y: aten.cat.default([x, aten.permute.default(y, [2, 1, 0])], 1), [x, y])
    check_float(graph, [x, y], tolerance=0)
    check_integer(graph, [x, y])


@given(case=lying(ranks=(2, 4), sizes=(3, 5)), data=st.data())
@settings(max_examples=25)
def test_pad(case, data):
    x, order = case
    mode = data.draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    low = -1 if mode == "constant" else 0
    pads = [data.draw(st.integers(low, 2)) for _ in range(2 * (x.ndim - 1 if mode != "constant" else x.ndim))]
    value = data.draw(st.sampled_from([None, 0.0, 0.75])) if mode == "constant" else None

    try:
        aten.pad.default(x.permute(order), pads, mode, value)
    except (NotImplementedError, RuntimeError):
        return  # PyTorch mirrors only some ranks
    check(lambda y: aten.pad.default(y, pads, mode, value), x, order)


@given(case=lying(ranks=(1, 3)), data=st.data())
@FEW
def test_expand_and_repeat(case, data):
    x, order = case
    shape = [x.shape[d] for d in order]
    lead = data.draw(st.lists(st.integers(1, 3), max_size=2))
    wider = [*lead, *(s if s != 1 else data.draw(st.integers(1, 3)) for s in shape)]
    times = [*lead, *(data.draw(st.integers(1, 3)) for _ in shape)]
    check(lambda y: aten.expand.default(y, wider), x, order)
    check(lambda y: aten.repeat.default(y, times), x, order, NEWER)


@given(case=lying(), data=st.data())
@FEW
def test_flip(case, data):
    x, order = case
    dims = data.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    check(lambda y: aten.flip.default(y, dims), x, order)


@pytest.mark.parametrize("block", [2, 3])
def test_depth_to_space(block):
    x = torch.randn(2, 2 * block**2, 3, 4)
    graph = graph_of(lambda x0: torch.ops.edgekit.depth_to_space.default(x0, block), [x])
    check_float(graph, [x], tolerance=0)
    check_integer(graph, [x], NEWER)


def test_channels_last_images_move_without_a_transpose():
    x = torch.randn(1, 6, 5, 4)

    def function(x0):
        y = aten.permute.default(x0, [0, 3, 1, 2])
        y = aten.pad.default(aten.slice.Tensor(y, 1, 1, 3, 1), [1, 1, 1, 1], "reflect", None)
        y = aten.flip.default(aten.cat.default([y, y], 1), [3])
        return aten.permute.default(aten.repeat.default(y, [1, 2, 1, 1]), [0, 2, 3, 1])

    ops = [op.name for op in check_float(graph_of(function, [x]), [x], tolerance=0).ops]
    assert ops == ["SLICE", "MIRROR_PAD", "CONCATENATION", "REVERSE_V2", "TILE"]


def test_a_sequence_kept_as_an_image_of_height_one_is_moved_as_it_lies():
    x = torch.randn(1, 3, 9)

    def function(x0, w):
        y = aten.convolution.default(x0, w, None, [1], [0], [1], False, [0], 1)
        return aten.cat.default([y, aten.slice.Tensor(aten.flip.default(y, [2]), 1, 0, 2, 1)], 1)

    ops = [op.name for op in check_float(graph_of(function, [x], w=torch.randn(4, 3, 3)), [x]).ops]
    assert [op for op in ops if op not in ("TRANSPOSE", "RESHAPE")] == ["CONV_2D", "REVERSE_V2", "SLICE", "CONCATENATION"]
    assert ops.index("CONCATENATION") - ops.index("CONV_2D") == 3, ops


def test_a_channel_shuffle_is_one_transpose():
    x = torch.randn(1, 4, 5, 8)

    def function(x0, w):
        y = aten.reshape.default(aten.permute.default(x0, [0, 3, 1, 2]), [1, 2, 4, 4, 5])
        y = aten.reshape.default(aten.permute.default(y, [0, 2, 1, 3, 4]), [1, 8, 4, 5])
        left, right = (aten.slice.Tensor(y, 1, i, i + 4, 1) for i in (0, 4))
        right = aten.convolution.default(right, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 4)
        return aten.permute.default(aten.cat.default([left, right], 1), [0, 2, 3, 1])

    names = [op.name for op in check_float(graph_of(function, [x], w=torch.randn(4, 1, 3, 3)), [x]).ops]
    assert [n for n in names if n != "RESHAPE"] == ["TRANSPOSE", "SLICE", "SLICE", "DEPTHWISE_CONV_2D", "CONCATENATION"]


INT16 = {
    "slice": lambda x: aten.slice.Tensor(x, 1, 1, 3, 1),
    "step": lambda x: aten.slice.Tensor(x, 2, 0, 5, 2),
    "cat": lambda x: aten.cat.default([x, x], 1),
    "pad": lambda x: aten.pad.default(x, [1, 2], "constant", 0.0),
    "reflect": lambda x: aten.pad.default(x, [1, 2, 1, 0], "reflect", None),
    "expand": lambda x: aten.expand.default(aten.slice.Tensor(x, 1, 0, 1, 1), [2, 4, 5]),
    "repeat": lambda x: aten.repeat.default(x, [1, 2, 1]),
    "flip": lambda x: aten.flip.default(x, [0, 2]),
    "mean": lambda x: aten.mean.dim(x, [1], True),
    "sum": lambda x: aten.sum.dim_IntList(x, [2], False),
    "amax": lambda x: aten.amax.default(x, [0, 1], False),
    "nearest": lambda x: aten.upsample_nearest2d.vec(aten.reshape.default(x, [1, 2, 4, 5]), [8, 10], None),
}


@pytest.mark.parametrize("name", INT16)
def test_int16(name):
    x = torch.randn(2, 4, 5)
    check_integer(graph_of(INT16[name], [x]), [x], kernels=("built-in",), bits=16)


def test_an_image_of_one_channel_is_padded_by_rows():
    x = torch.randn(1, 9, 6, 1)
    graph = graph_of(lambda x: aten.pad.default(aten.permute.default(x, [0, 3, 1, 2]), [1, 1, 4, 5], "constant", 0.0), [x])
    (pad,) = [op for op in check_float(graph, [x], tolerance=0).ops if op.name == "PAD"]
    assert pad.shapes[0] == (1, 9, 6)
