"""Conversion end to end for iOS: the package is written, read back, evaluated and held to the model, without a Mac."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.artifact import Artifact
from edgekit.conversion import convert
from edgekit.errors import ConversionError, UsageError
from edgekit.preprocess import Preprocess
from edgekit.verification import verify

pytest.importorskip("coremltools")
EXAMPLE = (torch.zeros(1, 3, 16, 16),)
STEP = Preprocess(scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), layout="NCHW")
LABELS = ("cat", "dog", "car", "cup")
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype(np.uint8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        return self.head(self.stem(image).mean((2, 3))).softmax(-1)


def net():
    torch.manual_seed(0)
    return Net().eval()


def make(out, **options):
    return convert(net(), "ios", example_inputs=EXAMPLE, out=out, **options)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A classifier of pictures, calibrated to int8, for the newest iOS."""
    return make(
        tmp_path_factory.mktemp("app") / "a", recipe="int8", calibration=PIXELS, preprocess=STEP, images=True, labels=LABELS,
        author="A. Lovelace", licence="MIT", version="1.0", versions={"ios": "18"},
    )  # fmt: skip


def test_the_manifest_says_what_an_app_must_know(app):
    manifest = app.manifest
    assert (manifest.author, manifest.licence, manifest.version, manifest.labels) == ("A. Lovelace", "MIT", "1.0", LABELS)
    assert (manifest.requires, manifest.compute) == ({"iOS": "18"}, "float16")
    assert manifest.images == {"image": STEP.to_json()}
    assert Preprocess.from_json(manifest.preprocess["image"]) == Preprocess(layout="NCHW")
    assert {"coremltools"} <= set(manifest.tools)
    assert {op.name for op in manifest.ops} >= {"quantize", "dequantize", "conv", "classify"}
    assert {op.module for op in manifest.ops} >= {"stem.0", "head"}


def test_it_answers_as_the_model_does_with_its_preprocessing(app):
    verdict = verify(app, net(), data=PIXELS, example_inputs=EXAMPLE, min_cosine=0.995, record=False).require()
    assert verdict.reference == "source" and verdict.model_sha256 == app.manifest.model_sha256


def test_a_package_is_checked_file_by_file(app, tmp_path):
    assert {name for name in app.manifest.files if name.startswith("model.mlpackage/")} == {
        "model.mlpackage/Manifest.json",
        "model.mlpackage/Data/com.apple.CoreML/model.mlmodel",
        "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
    }
    assert app.model_bytes == sum(f.stat().st_size for f in app.model_file.rglob("*") if f.is_file())
    copy = shutil.copytree(app.path, tmp_path / "copy")
    Artifact.load(copy)
    (copy / "model.mlpackage" / "Data" / "extra.bin").write_bytes(b"x")
    with pytest.raises(UsageError, match="its manifest does not list it"):
        Artifact.load(copy)


def test_a_file_taken_out_or_changed_is_found(app, tmp_path):
    copy = shutil.copytree(app.path, tmp_path / "copy")
    weights = copy / "model.mlpackage" / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(UsageError, match="altered"):
        Artifact.load(copy)
    weights.unlink()
    with pytest.raises(UsageError, match="lacks the file"):
        Artifact.load(copy)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"labels": LABELS[:3]}, ConversionError, "3 labels were given"),
        ({"recipe": "int8", "calibration": "random", "versions": {"ios": "16"}}, ConversionError, "int8 activations need iOS 17"),
        ({"recipe": "w4", "versions": {"ios": "17"}}, ConversionError, "int4 weights need iOS 18"),
        ({"input_dtype": "int8"}, ConversionError, "inputs were asked for as int8"),
    ],
)
def test_bad_requests_are_one_clear_error(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        make(tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_pictures_of_a_model_that_has_none(tmp_path):
    with pytest.raises(UsageError, match="no input of this model is an image"):
        convert(nn.Linear(4, 2).eval(), "ios", example_inputs=(torch.zeros(1, 4),), out=tmp_path / "a", images=True)
