"""Files that take any batch: what is computed for several samples is what is computed for each."""

import warnings

import numpy as np
import onnx
import pytest
import torch

from edgekit.canonicalize import canonicalize
from edgekit.canonicalize.batched import batched
from edgekit.conversion.lowering import lower
from edgekit.data.samples import Samples
from edgekit.loading import export
from edgekit.testing.reference import REFERENCE
from edgekit_converters.onnx.testing import RULES, quantized, run, write


@pytest.mark.parametrize("name", ["cifar_resnet20", "vit", "mobilevit", "bilstm_classifier", "unet", "distilbert"])
def test_any_batch(name):
    warnings.simplefilter("ignore")
    reference = REFERENCE[name]()
    graph = lower(canonicalize(export(reference.model, reference.example_inputs)), RULES)
    wide = batched(graph)
    emitted, content = write(wide)
    assert [s.shape for s in emitted.inputs] == [s.shape for s in graph.inputs]
    model = onnx.load_from_string(content)
    assert all(v.type.tensor_type.shape.dim[0].dim_param == "batch" for v in (*model.graph.input, *model.graph.output))
    for count in (1, 3):
        inputs = reference.inputs(2, count)
        feed = {s.name: x.numpy().astype(s.dtype) for s, x in zip(graph.inputs, inputs, strict=True)}
        rows = [graph(*(torch.from_numpy(x[i : i + 1]) for x in feed.values())) for i in range(count)]
        for got, wanted in zip(run(content, feed), zip(*rows, strict=True), strict=True):
            want = torch.cat(wanted).numpy()
            assert got.shape == want.shape
            assert np.linalg.norm(got - want) <= 1e-4 * np.linalg.norm(want)


def test_an_int8_file_takes_any_batch():
    reference = REFERENCE["cifar_resnet20"]()
    graph = canonicalize(export(reference.model, reference.example_inputs))
    (spec,) = graph.inputs
    data = reference.inputs(1, 4)[0].numpy()
    _, content = write(batched(quantized(graph, Samples({spec.name: data})), tolerance=0.1))
    together = run(content, {spec.name: data})[0]
    apart = np.concatenate([run(content, {spec.name: data[i : i + 1]})[0] for i in range(4)])
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-4)
