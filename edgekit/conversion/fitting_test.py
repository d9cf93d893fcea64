from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import edgekit
from edgekit.compress.shrinking import shrunk
from edgekit.conversion import fitting
from edgekit.conversion.fitting import budget_that_fits
from edgekit.conversion.room import NoRoom
from edgekit.errors import UsageError
from edgekit.recipes import load_recipe
from edgekit.targets import load_target

DEVICE = load_target("cortex-m4")
SAMPLES = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
INT8 = load_recipe("int8")


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 4))
    return edgekit.load(net.eval(), (torch.zeros(1, 3, 8, 8),))


@pytest.fixture
def needs(monkeypatch):
    """Conversions that need as much of a memory as they keep of the model."""

    def set_up(memory, room):
        def lacks(self, recipe):
            share = next((getattr(step, fitting.MEASURES[memory]) for step in recipe.passes if step.name == "prune_channels"), 1.0)
            return NoRoom("too large", memory=memory, room=room, accepted="", next_step="") if share > room else None

        monkeypatch.setattr(fitting._Probe, "lacks", lacks)

    return set_up


@pytest.mark.parametrize(("memory", "measure"), [("flash", "bytes"), ("RAM", "macs")])
@pytest.mark.parametrize("room", [0.9, 0.37, 0.05])
def test_the_least_pruning_that_fits_is_found(graph, needs, memory, measure, room):
    needs(memory, room)
    ((found, share),) = budget_that_fits(graph, DEVICE, INT8).items()
    assert found == measure and room - 1 / 2**fitting.PROBES <= share <= room


def test_what_fits_is_left_alone(graph, needs):
    needs("flash", 1.0)
    assert budget_that_fits(graph, DEVICE, INT8) == {}


def test_a_device_too_small_for_any_of_it_is_refused(graph, needs):
    needs("RAM", 0.001)
    with pytest.raises(UsageError, match="no pruning makes it fit"):
        budget_that_fits(graph, DEVICE, INT8)


@pytest.mark.slow
def test_the_file_made_with_it_fits(graph, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "PROBES", 3)
    device = replace(DEVICE, flash_bytes=24_000)
    budget = budget_that_fits(graph, device, INT8, calibration=SAMPLES)
    made = edgekit.convert(graph, device, calibration=SAMPLES, recipe=shrunk(INT8, budget), out=tmp_path / "fits")
    assert 0.6 * device.flash_bytes < made.model_bytes <= device.flash_bytes


def test_a_target_without_limits_and_a_module_that_is_not_there_are_refused(graph, needs):
    needs("flash", 0.5)
    with pytest.raises(UsageError, match="limits neither"):
        budget_that_fits(graph, load_target("android"), INT8)
    with pytest.raises(UsageError, match="no module '7'"):
        budget_that_fits(graph, DEVICE, INT8, {"keep": ("7",)})
