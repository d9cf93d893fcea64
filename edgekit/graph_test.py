"""Graphs copy cheaply, and the ways to edit them keep meta values true."""

import operator

import pytest
import torch
from torch import fx, nn

from edgekit.graph import (
    Graph,
    argument,
    aten,
    call,
    constant,
    constant_value,
    dtype_of,
    finish,
    grid_of,
    infer,
    is_call,
    module_path,
    op_name,
    shape_of,
    substitute,
)
from edgekit.source import Source
from edgekit.tensors import Grid, TensorSpec


def scaled():
    """``relu(x) * weight``, with meta values."""
    root, graph = nn.Module(), fx.Graph()
    root.register_buffer("weight", torch.tensor([2.0, 3.0]))
    x = graph.placeholder("x")
    x.meta.update(val=torch.empty(1, 2, device="meta"), module_path="")
    weight = graph.get_attr("weight")
    weight.meta.update(val=torch.empty(2, device="meta"), module_path="scale")
    output = graph.output((x,))
    relu = call(output, aten.relu.default, x, like=weight)
    product = call(output, aten.mul.Tensor, relu, weight, like=weight)
    output.args = ((product,),)
    spec = TensorSpec("x", (1, 2), "float32")
    return Graph(fx.GraphModule(root, graph), (spec,), (spec,), Source("pytorch", "scaled", ""))


def node_of(graph, target):
    return next(n for n in graph.nodes if n.target is target)


def test_calls_know_their_shape_dtype_and_module():
    product = node_of(scaled(), aten.mul.Tensor)
    assert shape_of(product) == (1, 2)
    assert dtype_of(product) is torch.float32
    assert module_path(product) == "scale"
    assert op_name(product) == "mul"


def test_running_gives_flat_outputs():
    (result,) = scaled()(torch.tensor([[-1.0, 2.0]]))
    assert result.tolist() == [[0.0, 6.0]]


def test_a_copy_shares_weights_and_nothing_else():
    original = scaled()
    copy = original.copy()
    relu = node_of(copy, aten.relu.default)
    substitute(relu, call(relu, aten.neg.default, relu.args[0]))
    finish(copy.module)
    assert copy(torch.ones(1, 2))[0].tolist() == [[-2.0, -3.0]]
    assert original(torch.ones(1, 2))[0].tolist() == [[2.0, 3.0]]
    assert copy.module.weight.data_ptr() == original.module.weight.data_ptr()


def test_constants_get_fresh_names_and_unused_ones_go():
    graph = scaled()
    product = node_of(graph, aten.mul.Tensor)
    new = constant(product, torch.tensor(5.0), "weight")
    assert new.target == "weight_1"
    assert float(constant_value(new)) == 5.0
    product.args = (product.args[0], new)
    finish(graph.module)
    assert [name for name, _ in graph.module.named_buffers()] == ["weight_1"]
    assert graph(torch.ones(1, 2))[0].tolist() == [[5.0, 5.0]]


def test_substitute_moves_all_readers():
    graph = scaled()
    relu = node_of(graph, aten.relu.default)
    tanh = call(relu, aten.tanh.default, relu.args[0])
    negative = call(relu, aten.neg.default, tanh)
    substitute(relu, negative)
    finish(graph.module)
    assert torch.allclose(graph(torch.ones(1, 2))[0], -torch.tensor([[2.0, 3.0]]) * torch.tanh(torch.tensor(1.0)))


def test_arguments_by_name_position_keyword_or_default():
    graph = fx.Graph()
    x = graph.placeholder("x")
    node = graph.call_function(aten.max_pool2d.default, (x, [2, 2]), {"padding": [1, 1]})
    assert argument(node, "kernel_size") == [2, 2]
    assert argument(node, "padding") == [1, 1]
    assert argument(node, "ceil_mode") is False
    with pytest.raises(KeyError, match="no argument 'colour'"):
        argument(node, "colour")


def test_is_call():
    graph = scaled()
    relu = node_of(graph, aten.relu.default)
    assert is_call(relu)
    assert is_call(relu, aten.relu.default, aten.neg.default)
    assert not is_call(relu, aten.neg.default)
    assert not is_call(3)
    assert not is_call(graph.nodes[0])


def test_results_of_several_are_picked_by_getitem():
    graph = scaled()
    product = node_of(graph, aten.mul.Tensor)
    best = call(product, aten.topk.default, product.args[0], 1)
    assert infer(operator.getitem, (best, 1), {}).dtype is torch.int64


def test_grids_are_read_back():
    graph = scaled()
    product = node_of(graph, aten.mul.Tensor)
    x = product.args[0]
    tensor = call(product, aten.fake_quantize_per_tensor_affine.default, x, 0.5, 3, -128, 127)
    assert grid_of(tensor) == Grid("int8", (0.5,), (3,))
    scales = constant(product, torch.tensor([0.25, 0.5]), "scales")
    zeros = constant(product, torch.zeros(2, dtype=torch.int32), "zeros")
    channels = call(product, aten.fake_quantize_per_channel_affine.default, x, scales, zeros, 1, -127, 127)
    assert grid_of(channels) == Grid("int8", (0.25, 0.5), (0, 0), 1)
    assert grid_of(x) is None


def test_notes_are_said_once():
    graph = scaled().noting("batch fixed at 1").noting("batch fixed at 1", "ids are int32")
    assert graph.notes == ("batch fixed at 1", "ids are int32")
