"""Elementwise kernels, resizing, several inputs and outputs: bit for bit what tflite-micro computes, on an emulated board."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import edgekit
from edgekit import plugins
from edgekit.devices import opened
from edgekit.errors import DataError
from edgekit.plugins import RunRequest


class Gated(nn.Module):
    """A squeeze-and-excitation gate, other activations, both ways to enlarge; two inputs and two outputs."""

    def __init__(self):
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(1, 8, 1)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.mask, self.head = nn.Conv2d(8, 1, 1), nn.Conv2d(8, 2, 1)

    def forward(self, image, depth):
        x = F.hardswish(self.stem(image)) * torch.tanh(self.side(depth))
        gate = torch.sigmoid(self.excite(F.leaky_relu(self.squeeze(x.mean((2, 3), keepdim=True)), 0.1)))
        x = x * gate
        x = x * torch.sigmoid(self.mask(x))
        near = F.interpolate(x, scale_factor=2, mode="nearest")
        far = F.interpolate(x, size=(12, 20), mode="bilinear", align_corners=False)
        return self.head(near), self.head(F.elu(far))


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    torch.manual_seed(0)
    example = (torch.randn(1, 3, 8, 8), torch.randn(1, 1, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = tmp_path_factory.mktemp("gated") / "artifact"
        return edgekit.convert(Gated().eval(), "cortex-m4", example_inputs=example, calibration="random", out=folder)


@pytest.fixture(scope="module")
def samples(gated):
    rng = np.random.default_rng(0)
    return {s.name: rng.integers(-128, 128, (3, *s.shape[1:])).astype(np.int8) for s in gated.manifest.inputs}


@pytest.mark.slow
def test_outputs_are_those_of_tflite_micro_bit_for_bit(emulator, gated, samples):
    names = {op.name for op in gated.manifest.ops}
    assert {"MUL", "LOGISTIC", "TANH", "LEAKY_RELU", "HARD_SWISH", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"} <= names
    wanted = plugins.load("runtimes", "tflite_micro").run(RunRequest(gated.model_file), samples)
    with opened("qemu:cortex-m4") as board:
        engine = plugins.load("runtimes", "micro").on(board)
        got = engine.run(RunRequest(gated.model_file), samples)
        with pytest.raises(DataError, match="different numbers of samples"):
            engine.run(RunRequest(gated.model_file), samples | {"depth": samples["depth"][:1]})
    assert set(got) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value)


@pytest.mark.slow
def test_each_operator_is_counted(emulator, gated):
    found = edgekit.profile(gated, on="qemu:cortex-m4")
    assert all(row.instructions for row in found.ops.rows)
    assert found.counts.deterministic


WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 15, 16, 17, 40)


class Rows(nn.Module):
    """Sums of as many products as `WIDTHS` says: by pairs or vectors on some cores, with what is left over."""

    def __init__(self):
        super().__init__()
        self.rows = nn.ModuleDict({f"of_{width}": nn.Linear(width, 6) for width in WIDTHS})

    def forward(self, x):
        return tuple(row(x[:, : row.in_features]) for row in self.rows.values())


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("rows") / "artifact"
    calibration = torch.randn(16, max(WIDTHS), generator=torch.Generator().manual_seed(0)).numpy()
    return edgekit.convert(Rows().eval(), "cortex-m4", example_inputs=(torch.zeros(1, max(WIDTHS)),), calibration=calibration, out=folder)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_sums_of_any_length_are_exact_on_every_core(rows, core):
    (spec,) = rows.manifest.inputs
    values = {spec.name: np.random.default_rng(0).integers(-128, 128, (4, *spec.shape[1:])).astype(np.int8)}
    wanted = plugins.load("runtimes", "tflite_micro").run(RunRequest(rows.model_file), values)
    with opened(f"qemu:{core}") as board:
        got = plugins.load("runtimes", "micro").on(board).run(RunRequest(rows.model_file), values)
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value)


@pytest.mark.slow
def test_pairs_and_vectors_save_instructions(rows):
    counts = {core: _by_module(edgekit.profile(rows, on=f"qemu:{core}")) for core in ("cortex-m3", "cortex-m4", "cortex-m55")}
    long = "rows.of_40"
    assert counts["cortex-m55"][long] < counts["cortex-m4"][long] < 0.75 * counts["cortex-m3"][long]
    assert all(counts["cortex-m4"][module] < 1.2 * count for module, count in counts["cortex-m3"].items())


def _by_module(found):
    return {row.module: row.instructions for row in found.ops.rows if row.name == "FULLY_CONNECTED"}
