"""Packages have the same bytes each time, in whatever process and at whatever time they are written."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from edgekit import worker
from edgekit.errors import ConversionError
from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit_converters.coreml import CONVERTER
from edgekit_converters.coreml.program import Operation, Program
from edgekit_converters.coreml.testing import encoding, normal
from edgekit_converters.coreml.writer import build


def function(x, w, b, v):
    y = aten.relu.default(aten.linear.default(x, w, b))
    return aten.softmax.int(aten.linear.default(y, v), -1), y


def graph():
    return graph_of(function, [normal(1, 8)], "head", w=normal(16, 8), b=normal(16), v=normal(4, 16))


def digests(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def test_the_same_bytes(tmp_path, monkeypatch):
    found = []
    for seed in ("1", "2"):
        monkeypatch.setitem(os.environ, "PYTHONHASHSEED", seed)
        (tmp_path / seed).mkdir()
        emitted = CONVERTER.emit(graph(), tmp_path / seed, encoding(compute="float16", labels=tuple("abcd")))
        found.append(digests(tmp_path / seed))
        if len(found) == 1:
            time.sleep(1.1)  # coremltools would stamp the second
    assert found[0] == found[1]
    assert sorted(found[0]) == [
        "model.mlpackage/Data/com.apple.CoreML/model.mlmodel",
        "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
        "model.mlpackage/Manifest.json",
    ]
    assert emitted.requires == {"iOS": "18"}


def test_coremltools_opens_it(tmp_path):
    models = pytest.importorskip("coremltools.models")
    CONVERTER.emit(graph(), tmp_path, encoding())
    model = models.MLModel(str(tmp_path / "model.mlpackage"), skip_model_load=True)
    assert [o.name for o in model.get_spec().description.output] == ["y0", "y1"]
    assert json.loads((tmp_path / "model.mlpackage" / "Manifest.json").read_text())["fileFormatVersion"] == "1.0.0"


def test_what_coremltools_refuses_is_told_by_operator_and_module():
    program = Program("17", (), (Operation("relu", "r", {"x": "word"}, "layer1.act"),), ("r",))
    with pytest.raises(ConversionError, match="coremltools refuses the operator relu") as error:
        build(program)
    assert error.value.module == "layer1.act" and error.value.op == "relu"


def test_a_crash_in_the_worker_is_an_error_of_ours(monkeypatch, tmp_path):
    def crash(*_, **__):
        raise worker.WorkerCrashed("edgekit_converters.coreml.writer:serve", worker.Crash("SIGSEGV", ""))

    monkeypatch.setattr(worker, "run", crash)
    with pytest.raises(ConversionError, match="coremltools failed to write the package: SIGSEGV"):
        CONVERTER.emit(graph(), tmp_path, encoding())
