import io
import zipfile

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import encode, number_types
from flatbuffers.table import Table

from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.plugins import Encoding
from edgekit.testing.graphs import graph_of
from edgekit_converters.litert.testing import run, write

X = torch.randn(1, 3)
LABELLED = Encoding(labels=("cat", "dog", "ünïcode"), description="Tells cats from dogs.")


def test_labels_and_description_are_in_a_file_that_still_runs():
    graph = graph_of(aten.relu.default, [X])
    _, model = write(graph, LABELLED)
    np.testing.assert_array_equal(run(model, [X.numpy()], "xnnpack")[0], graph(X)[0].numpy())
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert archive.read("labels.txt").decode().split() == ["cat", "dog", "ünïcode"]
    parsed = schema.ModelT.InitFromPackedBuf(model)
    assert parsed.description == b"Tells cats from dogs."
    entry = next(m for m in parsed.metadata if m.name == b"TFLITE_METADATA")
    metadata = bytes(parsed.buffers[entry.buffer].data)
    assert metadata[4:8] == b"M001"
    assert b"labels.txt" in metadata and b"Tells cats" in metadata


def test_author_licence_and_version_are_in_the_file_too():
    told = Encoding(author="A. Smith", licence="Apache-2.0", version="1.4")
    parsed = schema.ModelT.InitFromPackedBuf(write(graph_of(aten.relu.default, [X]), told)[1])
    (buffer,) = (parsed.buffers[m.buffer].data for m in parsed.metadata if m.name == b"TFLITE_METADATA")
    root = Table(bytearray(buffer), encode.Get(number_types.UOffsetTFlags.packer_type, buffer, 0))
    texts = [root.String(root.Pos + root.Offset(4 + 2 * field)) for field in (2, 4, 5)]
    assert texts == [b"1.4", b"A. Smith", b"Apache-2.0"]


def test_bytes_are_reproducible():
    graph = graph_of(aten.relu.default, [X])
    assert write(graph, LABELLED)[1] == write(graph, LABELLED)[1]


def test_labels_must_fit_an_output():
    with pytest.raises(ConversionError, match="2 labels"):
        write(graph_of(aten.relu.default, [X]), Encoding(labels=("cat", "dog")))


def test_nothing_to_say_writes_nothing():
    _, model = write(graph_of(aten.relu.default, [X]))
    assert schema.ModelT.InitFromPackedBuf(model).metadata is None
