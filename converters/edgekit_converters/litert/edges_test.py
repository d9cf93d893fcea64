import numpy as np
import pytest
import torch

from edgekit.compress.quantize import Quantize
from edgekit.data import Samples
from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.plugins import Encoding
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import run, to_grid, write

X = torch.linspace(-1, 2, 24).reshape(1, 4, 6)


def rounded(scheme="w8a8"):
    graph = graph_of(lambda x0, w: aten.relu.default(aten.linear.default(x0, w)), [X], w=torch.randn(5, 6))
    samples = Samples({"x0": X.numpy()})
    return Quantize(scheme, calibration="minmax")(graph, Context(load_rules("litert"), samples))


@pytest.mark.parametrize("given", ["int8", "uint8", "float32"])
@pytest.mark.parametrize("made", ["int8", "uint8", "float32"])
def test_dtypes_asked_for_are_dtypes_written(given, made):
    graph = rounded()
    emitted, model = write(graph, Encoding(given, made))
    assert (emitted.inputs[0].dtype, emitted.outputs[0].dtype) == (given, made)
    names = [op.name for op in emitted.ops]
    expected = (
        ["QUANTIZE"] * (given != "int8") + ["FULLY_CONNECTED"] + ["DEQUANTIZE" if made == "float32" else "QUANTIZE"] * (made != "int8")
    )
    assert names == expected
    feed = X.numpy() if given == "float32" else to_grid(X.numpy(), emitted.inputs[0])
    got, want = run(model, [feed], "xnnpack")[0], graph(X)[0].numpy()
    if made != "float32":
        assert np.abs(got.astype(int) - to_grid(want, emitted.outputs[0]).astype(int)).max() <= 1
    else:
        assert np.abs(got - want).max() < 0.03


def test_int16_edges():
    emitted, _ = write(rounded("w8a16"), Encoding("int16", "int16"))
    assert (emitted.inputs[0].dtype, emitted.outputs[0].dtype) == ("int16", "int16")


@pytest.mark.parametrize(
    ("scheme", "encoding", "side"), [("w8a16", Encoding("int8"), "input"), ("w8a8", Encoding("int8", "int16"), "output")]
)
def test_a_dtype_of_another_width_is_refused(scheme, encoding, side):
    with pytest.raises(ConversionError, match=f"{side} .* quantized to"):
        write(rounded(scheme), encoding)


@pytest.mark.parametrize("encoding", [Encoding("int8"), Encoding("float32", "uint8")])
def test_integers_asked_of_a_float_model_are_refused(encoding):
    graph = graph_of(aten.relu.default, [X])
    with pytest.raises(ConversionError, match="keeps it in float"):
        write(graph, encoding)


def test_ids_stay_int32():
    ids = torch.tensor([[1, 2, 0]], dtype=torch.int32)
    table = torch.randn(4, 8)
    graph = graph_of(lambda x0, t: aten.embedding.default(t, x0), [ids], t=table)
    emitted, model = write(graph)
    assert emitted.inputs[0].dtype == "int32"
    np.testing.assert_array_equal(run(model, [ids.numpy()], "built-in")[0], graph(ids)[0].numpy())


def test_an_output_that_is_an_input_or_given_twice_is_copied():
    graph = graph_of(lambda x0: (x0, (y := aten.tanh.default(x0)), y), [X])
    _, model = write(graph)
    for got, want in zip(run(model, [X.numpy()], "xnnpack"), graph(X), strict=True):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-6)


def test_a_constant_output_is_written():
    graph = graph_of(lambda x0, c: (aten.tanh.default(x0), c), [X], c=torch.arange(3.0))
    _, model = write(graph)
    np.testing.assert_array_equal(run(model, [X.numpy()], "xnnpack")[1], [0, 1, 2])


def test_an_operator_without_an_emitter_is_named():
    graph = graph_of(aten.erfinv.default, [X], module_path="head.act")
    with pytest.raises(ConversionError) as caught:
        write(graph)
    assert (caught.value.op, caught.value.module, caught.value.shapes) == ("aten.erfinv", "head.act", [(1, 4, 6)])
