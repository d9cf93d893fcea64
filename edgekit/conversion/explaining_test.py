"""Explaining files of others, and files that are damaged or hostile."""

import importlib
import json
import random
import subprocess
import sys

import jsonschema
import numpy as np
import pytest

from edgekit import schemas
from edgekit.conversion import explain
from edgekit.errors import LoadError, UsageError
from edgekit.testing.data import data_file

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def reference():
    return data_file("ref_ic_resnet8_int8.tflite")


@pytest.fixture(scope="module")
def explained(reference):
    return explain(reference)


def test_operators_sizes_and_grids(explained, reference):
    assert explained.bytes == reference.stat().st_size
    assert explained.counts == {"CONV_2D": 9, "ADD": 3, "AVERAGE_POOL_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    first = explained.ops[0]
    assert (first.name, first.dtype, first.options["padding"], first.options["fusedActivationFunction"]) == (
        "CONV_2D",
        "int8",
        "SAME",
        "RELU",
    )
    data, weight, bias = (explained.tensors[i] for i in first.inputs)
    assert data.quantization == "1 × (q + 128)"
    assert weight.quantization.startswith("16 scales ")
    assert weight.grid.axis == 0
    assert (weight.constant, bias.dtype, first.bytes) == (True, "int32", weight.bytes + bias.bytes)
    assert sum(explained.constant_bytes.values()) < explained.bytes


def test_what_would_run_where(explained):
    left = [op.name for op in explained.ops if not op.delegated]
    assert left == ["AVERAGE_POOL_2D", "SOFTMAX"]
    assert [f.kind for f in explained.findings if f.kind == "not delegated"]


def test_json_is_valid_under_the_published_schema(explained):
    text = json.dumps(explained.to_json(), allow_nan=False)
    jsonschema.validate(json.loads(text), schemas.schema("explain-1"))
    schemas.validate(json.loads(text), "explain-1", "it")


def test_what_is_no_model_is_told(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        explain(tmp_path / "missing.tflite")
    (tmp_path / "a.onnx").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"\.onnx"):
        explain(tmp_path / "a.onnx")
    for content in (b"", b"TFL3", b"\x1c\0\0\0TFL2" + bytes(100)):
        (tmp_path / "a.tflite").write_bytes(content)
        with pytest.raises(LoadError, match="not a litert model"):
            explain(tmp_path / "a.tflite")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="not an artifact"):
        explain(tmp_path / "folder")


@pytest.mark.parametrize("share", [0.0002, 0.05, 0.5, 0.99])
def test_a_truncated_file_is_told(reference, tmp_path, share):
    whole = reference.read_bytes()
    (tmp_path / "a.tflite").write_bytes(whole[: max(8, int(len(whole) * share))])
    with pytest.raises(LoadError, match=r"a\.tflite"):
        explain(tmp_path / "a.tflite")


def test_damaged_files_end_in_an_answer_or_one_clear_error(reference, tmp_path, monkeypatch):
    reader = importlib.import_module("edgekit_converters.litert.reader")
    monkeypatch.setattr(reader, "limit_memory", lambda size: None)
    whole, path, generator = reference.read_bytes(), tmp_path / "a.tflite", random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[generator.randrange(8, len(damaged))] = generator.choice([0, 1, 127, 128, 255])
        path.write_bytes(damaged)
        try:
            described, _ = reader.read({"model": str(path)}, {}, tmp_path)
        except LoadError:
            continue
        json.dumps(described)


def test_a_file_the_runtime_cannot_load_is_still_described(reference, tmp_path):
    content = bytearray(reference.read_bytes())
    scale = np.float32(1.0).tobytes()  # the input's scale; 0 makes the interpreter refuse or abort
    where = content.find(scale)
    content[where : where + 4] = np.float32(0.0).tobytes()
    (tmp_path / "a.tflite").write_bytes(content)
    explained = explain(tmp_path / "a.tflite")
    assert len(explained.ops) == 16


def test_the_command_imports_no_torch(reference):
    code = f"import sys, edgekit; edgekit.explain({str(reference)!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_of_no_format_is_refused_with_each_format_once(tmp_path):
    (tmp_path / "data.npz").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"end in '\.npz'") as caught:
        explain(tmp_path / "data.npz")
    accepted = caught.value.accepted.split(", ")
    assert ".tflite" in accepted and len(accepted) == len(set(accepted))
