import numpy as np
import pytest
import torch
from onnx import numpy_helper

import edgekit.ops  # noqa: F401
from edgekit.compress.quantize import Quantize
from edgekit.graph import aten
from edgekit.recipe import Context
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import RULES, check_float, check_integer, names, run, write


def affine(x, w, b):
    return aten.linear.default(x, w, b)


@pytest.mark.parametrize("shape", [(1, 6), (2, 3, 6), (2, 2, 3, 6), (6,)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias):
    x, constants = torch.randn(shape), {"w": torch.randn(5, 6), **({"b": torch.randn(5)} if bias else {})}
    emitted = check_float(graph_of(lambda x, w, b=None: aten.linear.default(x, w, b), [x], **constants), [x])
    wanted = ["Gemm"] if len(shape) == 2 else ["MatMul", "Add"] if bias else ["MatMul"]
    assert [op.name for op in emitted.ops] == wanted


def test_linear_with_a_computed_weight():
    x, w = torch.randn(2, 3, 6), torch.randn(5, 6)
    check_float(graph_of(aten.linear.default, [x, w]), [x, w])


@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 4, 5)), ((3, 4), (4,)), ((4,), (4, 5)), ((2, 2, 3, 4), (4, 5))])
def test_matmul(shapes):
    x, y = (torch.randn(s) for s in shapes)
    check_float(graph_of(aten.matmul.default, [x, y]), [x, y])


@pytest.mark.parametrize(("shape", "stored", "axis"), [((1, 6), (5, 6), 0), ((1, 3, 6), (6, 5), 1)])
def test_int8_scales_lie_along_the_output_features(shape, stored, axis):
    _, model = check_integer(graph_of(affine, [torch.randn(shape)], w=torch.randn(5, 6), b=torch.randn(5)))
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    (node,) = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    assert constants[node.input[0]].shape == stored
    assert {a.name: a.i for a in node.attribute}["axis"] == axis
    assert "Transpose" not in names(model)


@pytest.mark.parametrize("scheme", ["w8", "w4b32", "fp16"])
@pytest.mark.parametrize("shape", [(1, 64), (1, 3, 64)])
def test_compressed_weights_are_what_the_graph_predicts(scheme, shape):
    x = torch.randn(shape)
    graph = graph_of(affine, [x], w=torch.randn(8, 64), b=torch.randn(8))
    final = Quantize(scheme)(graph, Context(RULES))
    _, content = write(final)
    assert len(content) < len(write(graph)[1]) * {"w8": 0.6, "w4b32": 0.55, "fp16": 0.75}[scheme]
    np.testing.assert_allclose(run(content, {"x0": x.numpy()})[0], final(x)[0].numpy(), rtol=1e-4, atol=1e-4)
