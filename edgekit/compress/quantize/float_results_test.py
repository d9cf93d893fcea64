"""Where kernels read integers and give floats (TensorRT): which values are rounded, and which are not."""

import torch

from edgekit.compress.quantize import Quantize
from edgekit.graph import aten, grid_of, is_call, op_name
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import IMAGE, call_of, calls, conv, data, weights

RULES = load_rules("tensorrt")
WEIGHTS = {"w1": weights(4, 3, 3, 3), "w2": weights(4, 4, 3, 3, seed=1), "w3": weights(4, 4, 1, 1, seed=2)}


def quantized(function, *inputs, **constants):
    graph = graph_of(function, list(inputs) or [IMAGE], "", **constants)
    return Quantize("w8a8", calibration="minmax")(graph, Context(RULES, data(*(s.shape[1:] for s in graph.inputs))))


def rounded(node, position):
    """Whether an operand of a call is read through a grid."""
    return grid_of(node.args[position]) is not None


def point(x, w):
    return aten.convolution.default(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)


def residual(x, w1, w2, w3):
    a = aten.relu.default(conv(x, w1, None))
    return point(aten.relu.default(aten.add.Tensor(conv(a, w2, None), a)), w3)


def test_kernels_read_integers_and_their_results_are_not_rounded():
    graph = quantized(residual, **WEIGHTS)
    first, second, third = calls(graph, "convolution")
    assert all(rounded(c, 0) and rounded(c, 1) for c in (first, second, third))
    assert [op_name(r) for c in (first, second) for r in c.users] == ["relu", "add"]
    assert [r.op for r in third.users] == ["output"]


def test_the_residual_is_rounded_once_for_all_and_the_fused_term_is_not():
    graph = quantized(residual, **WEIGHTS)
    add, second = call_of(graph, "add"), calls(graph, "convolution")[1]
    assert (add.args[0], rounded(add, 0), rounded(add, 1)) == (second, False, True)
    assert add.args[1] is second.args[0]  # one rounding, one tensor in memory


def test_a_residual_whose_sum_stays_float_stays_float():
    def function(x, w1, w2):
        a = aten.relu.default(conv(x, w1, None))
        return aten.mean.dim(aten.add.Tensor(conv(a, w2, None), a), [2, 3], False)

    add = call_of(quantized(function, w1=WEIGHTS["w1"], w2=WEIGHTS["w2"]), "add")
    assert not rounded(add, 0) and not rounded(add, 1)


def test_of_two_convolutions_the_smaller_ones_result_is_rounded():
    def function(x, w1, w2, w3):
        a = aten.relu.default(conv(x, w1, None))
        return point(aten.relu.default(aten.add.Tensor(point(a, w3), conv(a, w2, None))), w3)

    add = call_of(quantized(function, **WEIGHTS), "add")
    assert rounded(add, 0) and not rounded(add, 1)


def test_sums_without_a_convolution_stay_float():
    def function(x, w):
        y = aten.linear.default(x, w)
        return aten.linear.default(aten.add.Tensor(y, x), w)

    add = call_of(quantized(function, torch.zeros(1, 4), w=weights(4, 4)), "add")
    assert not rounded(add, 0) and not rounded(add, 1)


def test_a_pool_is_followed_by_its_rounding_and_shares_it_where_both_sides_are_rounded():
    def alone(x, w1, w3):
        return point(aten.max_pool2d.default(aten.relu.default(conv(x, w1, None)), [2, 2]), w3)

    def shared(x, w1, w3):
        a = aten.relu.default(conv(x, w1, None))
        return point(aten.max_pool2d.default(a, [2, 2]), w3), point(a, w3)

    constants = {"w1": WEIGHTS["w1"], "w3": WEIGHTS["w3"]}
    pool = call_of(quantized(alone, **constants), "max_pool2d")
    assert not rounded(pool, 0)
    assert all(grid_of(reader) for reader in pool.users)
    pool = call_of(quantized(shared, **constants), "max_pool2d")
    (reader,) = pool.users
    assert grid_of(pool.args[0]) == grid_of(reader) != None  # noqa: E711 - they are equal, and not both missing


def test_all_activations_are_symmetric_and_transposed_weights_have_a_scale_an_input_channel():
    def function(x, w):
        return aten.convolution.default(x, w, None, [2, 2], [1, 1], [1, 1], True, [1, 1], 1)

    graph = quantized(function, w=weights(3, 5, 3, 3))
    grids = [g for n in graph.nodes if is_call(n) and (g := grid_of(n)) is not None]
    assert {z for g in grids for z in g.zero_point} == {0}
    assert {(g.axis, len(g.scale)) for g in grids} == {(None, 1), (0, 3)}


def test_what_stays_float_by_nature_is_no_concession():
    graph = quantized(lambda x, w: aten.softmax.int(aten.linear.default(x, w), -1), torch.zeros(1, 4), w=weights(3, 4))
    assert not graph.notes
    volume = quantized(
        lambda x, w: aten.convolution.default(x, w, None, [1] * 3, [0] * 3, [1] * 3, False, [0] * 3, 1),
        torch.zeros(1, 2, 4, 4, 4),
        w=weights(3, 2, 3, 3, 3),
    )
    assert any(note.startswith("float: convolution") for note in volume.notes)
