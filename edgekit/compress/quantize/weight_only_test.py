import numpy as np
import pytest
import torch

from edgekit.compress.quantize import QuantizationWarning, Quantize
from edgekit.data import Samples
from edgekit.graph import aten, constant_value, grid_of, op_name
from edgekit.ops import fake_quantize_per_block
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import IMAGE, RULES, call_of, calls, conv_graph, quantized, result_grid, small_net, weights


def test_dynamic_range_rounds_activations_at_run_time():
    graph = quantized(small_net(), scheme="w8ad8")
    for node in calls(graph, "convolution") + calls(graph, "linear"):
        assert op_name(node.args[0]) == "fake_quantize_dynamic" and grid_of(node.args[1]).dtype == "int8"
    assert not calls(graph, "fake_quantize_per_tensor_affine")
    assert len(calls(graph, "fake_quantize_dynamic")) == 3


def test_weight_only_needs_no_data_and_rounds_no_activation():
    for scheme in ("w8", "w4", "fp16", "w8ad8"):
        graph = Quantize(scheme)(small_net(), Context(RULES))
        assert not calls(graph, "fake_quantize_per_tensor_affine")
    graph = Quantize("fp16")(small_net(), Context(RULES))
    assert len(calls(graph, "fake_half")) == 3
    assert Quantize("float32")(small_net(), Context(RULES)).nodes[0].op == "placeholder"


def test_blocks_where_rows_divide_else_int8_and_a_note():
    def net(x0, w1, b1, w2, b2):
        return aten.linear.default(aten.linear.default(x0, w1, b1), w2, b2)

    constants = {"w1": weights(48, 64), "b1": weights(48), "w2": weights(5, 48), "b2": weights(5)}
    graph = Quantize("w4b32")(graph_of(net, [torch.zeros(1, 64)], module_path="head", **constants), Context(RULES))
    first, second = calls(graph, "linear")
    grid = grid_of(first.args[1])
    assert (grid.dtype, grid.block, len(grid.scale)) == ("int4", 32, 96)
    np.testing.assert_array_equal(np.array(grid.scale, np.float32), np.array(grid.scale, np.float16).astype(np.float32))
    assert grid_of(second.args[1]).dtype == "int8"
    (note,) = graph.notes
    assert "int8 instead of blockwise int4" in note and "head" in note


def test_int4_only_where_a_kernel_is():
    def net(x0, w, b):
        return aten.convolution.default(x0, w, b, [2, 2], [0, 0], [1, 1], True, [0, 0], 1)

    graph = quantized(graph_of(net, [IMAGE], w=weights(3, 6, 2, 2), b=weights(6)), scheme="w4a8")
    assert grid_of(call_of(graph, "convolution").args[1]).dtype == "int8"
    assert any(n.startswith("int8 instead of int4") for n in graph.notes)


def test_an_embedding_table_shares_its_readers_grid():
    def net(x0, w, c):
        return aten.add.Tensor(aten.embedding.default(w, x0), c)

    graph = graph_of(net, [torch.zeros(1, 4, dtype=torch.int64)], w=weights(9, 6), c=weights(6))
    samples = Samples({"x0": np.zeros((3, 4), np.int64)})
    result = quantized(graph, samples)
    node = call_of(result, "embedding")
    assert grid_of(node.args[0]) == result_grid(node) and grid_of(node.args[0]).axis is None
    weight_only = quantized(graph, samples, scheme="w8")
    assert grid_of(call_of(weight_only, "embedding").args[0]).axis == 0


def test_halves_beyond_their_range_stay_float():
    with pytest.warns(QuantizationWarning, match="float16"):
        graph = Quantize("fp16")(conv_graph(weights(3, 3, 3, 3) * 1e6), Context(RULES))
    assert not calls(graph, "fake_half")


def test_blocks_of_input_channels_in_convolutions_where_the_format_has_them():
    weight = weights(6, 64, 3, 3)

    def net(x0, w):
        return aten.convolution.default(x0, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)

    graph = Quantize("w4b32")(graph_of(net, [torch.zeros(1, 64, 5, 5)], w=weight), Context(load_rules("coreml")))
    rounding = call_of(graph, "convolution").args[1]
    grid, scales = grid_of(rounding), constant_value(rounding.args[1])
    assert (grid.dtype, grid.block, tuple(scales.shape)) == ("int4", 32, (6, 2, 1, 1))
    rounded = fake_quantize_per_block(weight, scales, 32, -7, 7)
    steps = rounded.reshape(6, 2, -1) / scales.reshape(6, 2, 1)
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    assert float((rounded - weight).square().mean()) < 0.02 * float(weight.square().mean())
