"""Models and devices the tests of the native engine share."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

import edgekit
from edgekit import plugins
from edgekit.devices import opened
from edgekit.errors import DeviceUnavailable
from edgekit.plugins import RunRequest
from edgekit_runtimes import _debian


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A small convolutional network's int8 and float model files, by recipe."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3, 2), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 5)).eval()
    images = torch.randn(8, 3, 16, 16)
    folder = tmp_path_factory.mktemp("native")
    made = {}
    for recipe in ("int8", "float32"):
        artifact = edgekit.convert(
            model, target="android", recipe=recipe, example_inputs=(images[:1],), calibration=images.numpy(), out=folder / recipe
        )
        made[recipe] = artifact.model_file
    return made


def samples(model: Path, count: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs of a model file, in its dtypes."""
    rng = np.random.default_rng(seed)
    found = {}
    for spec in plugins.load("runtimes", "litert").inspect(RunRequest(model))["inputs"]:
        dtype, shape = np.dtype(spec["dtype"]), (count, *spec["shape"][1:])
        whole = dtype.kind in "iu"
        found[spec["name"]] = rng.integers(-128, 128, shape).astype(dtype) if whole else rng.standard_normal(shape).astype(dtype)
    return found


@pytest.fixture(scope="session")
def inputs():
    """`samples`."""
    return samples


@pytest.fixture(scope="session")
def board():
    """Opens an emulated board by its CPU; skips where that cannot be had here."""
    absent = _debian.missing([tool for tool in _debian.TOOLS if "arm64" in tool.use or tool.package in ("gcc", "libc6-dev")])
    if absent:
        pytest.skip(f"{absent[0].program} is missing: make setup-emulators")

    with ExitStack() as devices:

        def open_board(cpu: str):
            try:
                return devices.enter_context(opened(f"qemu:{cpu}"))
            except DeviceUnavailable as unavailable:
                pytest.skip(f"{unavailable.message}: {unavailable.next_step}")

        yield open_board
