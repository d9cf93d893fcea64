import numpy as np
import onnx
import pytest
import torch

from edgekit.data.samples import Samples
from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.plugins import Encoding
from edgekit.testing.graphs import graph_of
from edgekit_converters.onnx.testing import names, quantized, run, write

HALF, X = Encoding(compute="float16"), torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(1)) * 0.2


def block(x, w):
    same = aten.convolution.default(x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    wide = aten.upsample_nearest2d.vec(aten.relu.default(same), None, [2.0, 2.0])
    return aten.softmax.int(aten.add.Tensor(wide, 1e-12), 1)


def types(model):
    """Dtype of every value that shape inference finds."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    return {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}


def test_everything_between_the_edges_is_in_half_precision():
    graph = graph_of(block, [X], "net", w=WEIGHT)
    emitted, content = write(graph, HALF)
    model = onnx.load_from_string(content)
    found = types(model)
    assert {found.pop("x0"), found.pop("y0")} == {onnx.TensorProto.FLOAT} and set(found.values()) == {onnx.TensorProto.FLOAT16}
    assert names(model)[0] == names(model)[-1] == "Cast"
    assert {op.dtype for op in emitted.ops if op.name == "Conv"} == {"float16"}
    (got,), (want,) = run(content, {"x0": X.numpy()}), graph(X)
    np.testing.assert_allclose(got, want.numpy(), atol=2e-3)


def test_integers_stay_with_scales_of_half_precision():
    graph = quantized(graph_of(block, [X], "net", w=WEIGHT), Samples({"x0": X.numpy()}))
    _, content = write(graph, HALF)
    model = onnx.load_from_string(content)
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(names(model))
    (got,), (want,) = run(content, {"x0": X.numpy()}), graph(X)
    np.testing.assert_allclose(got, want.numpy(), atol=5e-3)


def test_numbers_beyond_half_precision_stay_finite():
    graph = graph_of(lambda x, m: aten.softmax.int(aten.add.Tensor(x, m), -1), [X[0, 0]], "net", m=torch.full((8, 8), -1e9))
    (got,) = run(write(graph, HALF)[1], {"x0": X[0, 0].numpy()})
    assert np.isfinite(got).all()


def test_scales_too_small_for_half_precision_are_an_error():
    graph = quantized(graph_of(block, [X], "net", w=WEIGHT * 1e-6), Samples({"x0": X.numpy()}))
    with pytest.raises(ConversionError, match="no place in half precision") as caught:
        write(graph, HALF)
    assert caught.value.module == "net"
