"""Conversion end to end for Android, on LiteRT: the real thing, on small models and the data folder's."""

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgekit import plugins
from edgekit.artifact import Artifact
from edgekit.conversion import convert, explain
from edgekit.conversion.running import request, run_file, runtime_for
from edgekit.errors import ConversionError
from edgekit.testing.data import cifar_test, cifar_train, data_file
from edgekit.verification import verify

pytest.importorskip("ai_edge_litert")
DATA = np.random.default_rng(0).standard_normal((16, 3, 16, 16)).astype(np.float32)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        x = self.stem(image)
        return self.head((x + self.body(x)).mean((2, 3)))


def net():
    torch.manual_seed(0)
    return Net().eval()


def make(out, **options):
    return convert(net(), example_inputs=(torch.zeros(1, 3, 16, 16),), out=out, **{"calibration": DATA} | options)


@pytest.mark.parametrize("recipe", ["float32", "int8", "int16x8", "dynamic_int8", "weight_int8", "weight_int4", "fp16"])
def test_every_preset_converts_runs_and_stays_near(tmp_path, recipe):
    made = make(tmp_path / "a", recipe=recipe)
    verdict = verify(made, net(), data=DATA, example_inputs=(torch.zeros(1, 3, 16, 16),), min_cosine=0.99).require()
    assert verdict.reference == "source"
    assert not any("digest" in note for note in verdict.notes)
    assert [s.name for s in made.manifest.inputs] == ["image"]
    assert {op.module for op in made.manifest.ops} >= {"body", "head"}
    assert explain(made).counts["CONV_2D"] == 2


def test_int8_computes_the_same_on_every_set_of_kernels(tmp_path):
    made = make(tmp_path / "a")
    runtime, manifest = runtime_for("litert"), made.manifest
    got = [
        run_file(runtime, request(made.model_file, d), inputs=manifest.inputs, outputs=manifest.outputs, samples={"image": DATA})
        for d in ("xnnpack", "none", "reference")
    ]
    (name,) = got[0]
    step = manifest.outputs[0].grid.scale[0]
    assert max(np.abs(g[name] - got[0][name]).max() for g in got) <= 2.01 * step


SCRIPT = """
    import sys, warnings
    warnings.simplefilter("ignore")
    sys.path.insert(0, sys.argv[2])
    from edgekit.conversion import litert_test
    litert_test.make(sys.argv[1], labels=["a", "b", "c", "d"], description="twice")
"""


def test_two_processes_write_the_same_bytes(tmp_path):
    made = []
    for seed in ("1", "2"):
        folder = tmp_path / seed / "artifact"
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), str(Path(__file__).parents[2])]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=tmp_path)
        made.append({p.name: p.read_bytes() for p in folder.iterdir()})
    assert set(made[0]) == {"model.tflite", "manifest.json", "recipe.toml", "golden.npz"}
    for name, content in made[0].items():
        assert content == made[1][name], name
        assert str(tmp_path).encode() not in content


def spoiled(monkeypatch, change):
    """Let the converter write a file that `change` spoils, given its bytes and what was emitted."""
    converter = type(plugins.load("converters", "litert"))
    emit = converter.emit

    def write(self, graph, folder, encoding):
        emitted = emit(self, graph, folder, encoding)
        path = folder / emitted.model_file
        path.write_bytes(change(path.read_bytes(), emitted))
        return emitted

    monkeypatch.setattr(converter, "emit", write)


def test_an_abort_in_native_code_names_the_users_module(tmp_path, monkeypatch):
    scales = []

    def vanish(content, emitted):
        scales.append(emitted.outputs[0].grid and np.float32(emitted.outputs[0].grid.scale[0]).tobytes())
        return content.replace(scales[0], np.float32(1e-38).tobytes())

    spoiled(monkeypatch, vanish)
    with pytest.raises(ConversionError) as caught:
        make(tmp_path / "a")
    error = caught.value
    assert error.next_step
    assert error.module == "head"
    assert error.op in ("FULLY_CONNECTED", "aten.linear")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_answer_is_traced_to_its_operator(tmp_path, monkeypatch):
    weights = np.ascontiguousarray(net().body.weight.detach().numpy().transpose(0, 2, 3, 1)).tobytes()

    def negate(content, emitted):
        wrong = (-np.frombuffer(weights, np.float32)).tobytes()
        return content.replace(weights, wrong)

    spoiled(monkeypatch, negate)
    with pytest.raises(ConversionError, match="differs from what the graph predicts") as caught:
        make(tmp_path / "a", recipe="float32", calibration=None)
    assert (caught.value.op, caught.value.module) == ("aten.convolution", "body")
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_one_clear_error(tmp_path, monkeypatch):
    spoiled(monkeypatch, lambda content, emitted: content[: len(content) // 2])
    with pytest.raises((ConversionError, OSError, ValueError)) as caught:
        make(tmp_path / "a", recipe="float32", calibration=None)
    assert isinstance(caught.value, ConversionError)
    assert list(tmp_path.iterdir()) == []


def test_ic_resnet8_from_keras_to_a_verdict(tmp_path):
    pytest.importorskip("keras")
    source = data_file("ic_resnet8.keras")
    images, labels = cifar_test()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing to warn of
        made = convert(source, calibration=cifar_train()[0][:200].astype(np.float32), out=tmp_path / "ic")
    assert made == Artifact.load(tmp_path / "ic")
    assert made.model_file.stat().st_size <= 92_500
    explained = explain(made)
    assert explained.counts == {"CONV_2D": 9, "ADD": 3, "MEAN": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert {op.dtype for op in explained.ops} == {"int8"}
    assert {f.kind for f in explained.findings} == {"not delegated"}
    verdict = verify(made, source, data=(images.astype(np.float32), labels), max_drop=0.01, min_agreement=0.97).require()
    assert verdict.metric.artifact.value >= 0.87
    assert verdict.metric.reference.value == pytest.approx(0.881)
