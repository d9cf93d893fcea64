"""A file whose constants are not the graph's is found after each conversion, whatever its outputs are."""

import onnx
import pytest
import torch
from onnx import numpy_helper

from edgekit import plugins
from edgekit.conversion.readback import check_weights
from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.plugins import Encoding
from edgekit.testing.graphs import graph_of


def test_a_constant_that_was_changed_is_found(tmp_path):
    weight = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))

    def head(x, w):
        return aten.linear.default(x, w)

    graph = graph_of(head, [torch.zeros(1, 8)], "head", w=weight)
    emitted, runtime = plugins.load("converters", "onnx").emit(graph, tmp_path, Encoding()), plugins.load("runtimes", "onnxruntime")
    path = tmp_path / emitted.model_file
    check_weights(runtime, path, emitted)
    model = onnx.load(path)
    (tensor,) = model.graph.initializer
    changed = numpy_helper.to_array(tensor).copy()
    changed[3, 2] += 1e-6
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, path)
    with pytest.raises(ConversionError, match="differs in 1 of 48 elements") as caught:
        check_weights(runtime, path, emitted)
    assert caught.value.module == "head"
