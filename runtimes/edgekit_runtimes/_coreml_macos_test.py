"""No Mac is here: that it says so, and how it reads a compute plan, from a stand-in that is not Core ML."""

import sys
from types import SimpleNamespace

import pytest

from edgekit.errors import DeviceUnavailable, UsageError
from edgekit_runtimes._coreml_macos import OnMac, Placement, _placement


@pytest.mark.skipif(sys.platform == "darwin", reason="this is a Mac")
def test_elsewhere_it_says_what_it_needs(tmp_path):
    with pytest.raises(DeviceUnavailable, match="Apple's systems only") as error:
        OnMac(tmp_path / "model.mlpackage")
    assert "edgekit verify" in str(error.value)


def test_units_are_checked_first(tmp_path):
    with pytest.raises(UsageError, match="no compute units called 'tpu'") as error:
        OnMac(tmp_path, units="tpu")
    assert "cpu+ane" in str(error.value)


class MLNeuralEngineComputeDevice: ...


class MLCPUComputeDevice: ...


def test_a_plan_is_told_by_the_users_modules():
    device = MLNeuralEngineComputeDevice()
    stand_in = SimpleNamespace(
        get_compute_device_usage_for_mlprogram_operation=lambda op: SimpleNamespace(
            preferred_compute_device=device, supported_compute_devices=[device, MLCPUComputeDevice()]
        ),
        get_estimated_cost_for_mlprogram_operation=lambda op: SimpleNamespace(weight=0.25),
    )
    operation = SimpleNamespace(operator_name="ios17.conv", outputs=[SimpleNamespace(name="layer1_conv")])
    names = ("MLNeuralEngineComputeDevice", "MLCPUComputeDevice")
    wanted = Placement("ios17.conv", "layer1", names[0], names, 0.25)
    assert _placement(stand_in, operation, {"layer1_conv": "layer1"}) == wanted
    nothing = SimpleNamespace(
        get_compute_device_usage_for_mlprogram_operation=lambda op: None, get_estimated_cost_for_mlprogram_operation=lambda op: None
    )
    assert _placement(nothing, operation, {}) == Placement("ios17.conv", "", None, (), None)
