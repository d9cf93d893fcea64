"""Files that take any batch, for Jetson: as an optimization profile."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgekit.conversion import convert
from edgekit.conversion.batches import checked_batches
from edgekit.errors import ConversionError, UsageError
from edgekit.plugins import RunRequest, load

pytest.importorskip("onnxruntime")
DATA = np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype(np.float32)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(8 * 16, 4)

    def forward(self, image):
        return self.head(self.body(image).flatten(1))


class Mixing(nn.Module):
    def forward(self, image):
        return image - image.mean(0, keepdim=True)


def make(tmp_path, model=None, **options):
    torch.manual_seed(0)
    inputs = (torch.zeros(1, 3, 8, 8),)
    return convert((model or Net()).eval(), options.pop("target", "jetson"), example_inputs=inputs, out=tmp_path / "a", **options)


@pytest.mark.parametrize("recipe", ["int8", "float32"])
def test_the_file_takes_any_batch_and_the_command_names_the_profile(tmp_path, recipe):
    made = make(tmp_path, recipe=recipe, calibration=DATA, batches=(1, 4, 16))
    model = onnx.load(made.model_file)
    (edge,) = model.graph.input
    assert [d.dim_param or d.dim_value for d in edge.type.tensor_type.shape.dim] == ["batch", 3, 8, 8]
    profile = {"--minShapes=image:1x3x8x8", "--optShapes=image:4x3x8x8", "--maxShapes=image:16x3x8x8"}
    assert profile <= set(made.manifest.build)
    script = (made.path / "build_engine.sh").read_text()
    assert all(option in script for option in profile)
    assert "batch: batch dimension open from 1 to 16, best at 4" in made.manifest.notes
    (got,) = load("runtimes", "onnxruntime").run(RunRequest(made.model_file), {"image": DATA}).values()
    assert got.shape == (8, 4)


def test_a_model_that_mixes_its_samples_is_refused(tmp_path):
    with pytest.raises(ConversionError, match="one by one"):
        make(tmp_path, Mixing(), recipe="float32", batches=(1, 2, 4))


def test_other_targets_have_one_batch(tmp_path):
    with pytest.raises(UsageError, match="one batch only"):
        make(tmp_path, target="android", recipe="float32", batches=(1, 2, 4))


@pytest.mark.parametrize("given", [(), (1, 2), (0, 1, 2), (4, 2, 8), (1, 8, 4), (1, 2.0, 4), (True, 2, 4)])
def test_sizes_rise(given):
    with pytest.raises(UsageError, match="batches are"):
        checked_batches(given)
