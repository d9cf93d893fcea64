import warnings

import numpy as np
import pytest
import torch

import edgekit
from edgekit_runtimes import _debian


class SmallNet(torch.nn.Module):
    """Every kind of kernel the firmware has, once at least."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = torch.nn.Conv2d(8, 10, 1)
        self.wide = torch.nn.Conv2d(10, 10, 3, padding=2, dilation=2)
        self.head = torch.nn.Linear(10, 5)
        self.pooled = torch.nn.Linear(40, 5)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.nn.functional.relu6(self.depthwise(x))
        x = self.pointwise(x)
        x = x + torch.relu(self.wide(x))
        a = torch.nn.functional.max_pool2d(x, 2)
        b = torch.nn.functional.avg_pool2d(a, 2).flatten(1)
        return torch.softmax(self.head(a.mean((2, 3))) + self.pooled(b), -1)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """An int8 artifact for a Cortex-M4."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("small") / "artifact"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return edgekit.convert(SmallNet().eval(), "cortex-m4", example_inputs=torch.randn(1, 3, 16, 16), calibration="random", out=folder)


@pytest.fixture(scope="session")
def samples(small):
    (spec,) = small.manifest.inputs
    return {spec.name: np.random.default_rng(0).integers(-128, 128, (4, *spec.shape[1:])).astype(np.int8)}


def need(*programs):
    """Skip where a program is not installed, with the line that installs it."""
    absent = [tool for tool in _debian.TOOLS if tool.program in programs and not tool.present]
    if absent:
        pytest.skip(_debian.install_line(*dict.fromkeys(tool.package for tool in absent)))


@pytest.fixture
def compiler():
    need("arm-none-eabi-gcc")


@pytest.fixture
def emulator(compiler):
    need("qemu-system-arm", "gcc")
