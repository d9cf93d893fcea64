"""Tests of a device of yours.

    pytest device_tests --device adb:0A171JECB12345
    pytest device_tests --device ssh:pi@board --artifact build/model

Any name that ``edgekit profile --on`` takes; ``edgekit devices`` lists what is there. Without ``--artifact`` a small network is converted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit import Artifact, convert
from edgekit.devices import Device, opened

HOW = (
    "no device was named. Attach one, find its name with `edgekit devices`, then: pytest device_tests --device NAME "
    "(an Android phone with USB debugging on: adb; a board you can log in to with a key: ssh:USER@HOST; emulated: qemu:cortex-a76)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", action="append", default=[], help="A device's name, as `edgekit devices` lists it; repeatable.")
    parser.addoption("--artifact", help="An artifact's folder to run there; by default a small network is converted.")
    parser.addoption("--unplug", action="store_true", help="Ask for the cable to be pulled while a program runs (attended).")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", metafunc.config.getoption("--device") or [None], scope="session", ids=str)


@pytest.fixture(scope="session")
def device(name: str | None) -> Iterator[Device]:
    """The device, opened once for all tests."""
    if name is None:
        pytest.skip(HOW)
    with opened(name) as found:
        yield found


@pytest.fixture(scope="session")
def files(device):
    """The device, if it has files and programs."""
    if not hasattr(device, "push"):
        pytest.skip(f"{device.address} is a microcontroller: it has no files and no programs")
    return device


@pytest.fixture(scope="session")
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """What is run."""
    if given := request.config.getoption("--artifact"):
        return Artifact.load(given)
    return small_artifact(tmp_path_factory.mktemp("artifact") / "small")


def small_artifact(path: Path) -> Artifact:
    """A small int8 convolutional network with golden outputs."""
    import torch  # noqa: PLC0415 - only where no artifact was given

    torch.manual_seed(0)
    layers = (
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 4),
    )
    samples = np.random.default_rng(0).standard_normal((64, 3, 16, 16)).astype(np.float32)
    model = torch.nn.Sequential(*layers).eval()
    return convert(model, target="android", example_inputs=(torch.zeros(1, 3, 16, 16),), calibration=samples, out=path)
