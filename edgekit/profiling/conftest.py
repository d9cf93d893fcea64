import pytest

from edgekit.devices.machine import DeviceState
from edgekit.profiling import measuring


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"not looked at")
    return path


@pytest.fixture
def quiet(monkeypatch):
    """A machine on which nothing else runs."""
    state = DeviceState(2000.0, 3000.0, "performance", 40.0, 0.1, 10**9, None, None, 0.0, 0.0, 0.0, 0.0)
    monkeypatch.setattr(measuring, "device_state", lambda: state)
