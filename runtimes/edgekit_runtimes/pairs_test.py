"""Every engine on every device that can be had here: the same answers as this machine's, and a time or a count."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit import convert, plugins
from edgekit.conversion.running import encoded
from edgekit.devices import Address, opened
from edgekit.errors import DeviceUnavailable, UsageError
from edgekit.plugins import RunRequest
from edgekit.timing import Pace
from edgekit_runtimes.transports.conftest import adb_address, adb_server, android, board, ssh_address  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow

PAIRS = [
    ("litert", "host"),
    ("litert", "ssh"),
    ("native", "host"),
    ("native", "ssh"),
    ("native", "adb"),
    ("native", "adb:loopback"),
    ("native", "qemu:cortex-a76"),
    ("micro", "qemu:cortex-m4"),
    ("micro", "qemu:cortex-m55"),
]
QUICK = Pace(min_samples=8, max_samples=2000, min_seconds=0.0, max_seconds=0.2, warmup_seconds=0.05)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """A small int8 network whose operators all engines have."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4)).eval()
    samples = np.random.default_rng(0).standard_normal((32, 64)).astype(np.float32)
    folder = tmp_path_factory.mktemp("pairs") / "small"
    return convert(network, target="android", example_inputs=(torch.zeros(1, 64),), calibration=samples, out=folder)


@pytest.fixture
def there(request, monkeypatch):
    """An engine on a device."""
    engine, name = request.param
    if engine == "litert":
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # the device's Python is this one
    address = request.getfixturevalue(f"{name}_address") if name in ("adb", "ssh") else name
    if name == "adb:loopback":
        request.getfixturevalue("adb_server")
    known = plugins.load("transports", Address.parse(address).transport).find() if ":" in name else ()
    for found in known:
        if found.address == name and not found.ready:
            pytest.skip(f"{found.missing}: {found.next_step}")
    try:
        with opened(address) as device:
            yield plugins.load("runtimes", engine).on(device)
    except DeviceUnavailable as error:
        pytest.skip(str(error)) if "fetched" in str(error) or "not installed" in str(error) else pytest.fail(str(error))


@pytest.mark.parametrize("there", PAIRS, ids=" on ".join, indirect=True)
def test_answers_are_the_same_and_something_is_measured(there, artifact):
    manifest = artifact.manifest
    request = RunRequest(artifact.model_file)
    inputs, _ = artifact.golden()
    given = {spec.name: encoded(spec, inputs)[:4] for spec in manifest.inputs}
    here = plugins.load("runtimes", "litert").run(request, given)
    got = there.run(request, given)
    assert set(got) == set(here)
    for name, value in here.items():
        # LiteRT is the same everywhere; the firmware's kernels are others, which may round a tie otherwise
        np.testing.assert_allclose(got[name].astype(int), value.astype(int), rtol=0, atol=int(there.name == "micro"))
    one = {name: value[0] for name, value in given.items()}
    assert there.version()
    if hasattr(there, "measure"):
        assert not there.device.machine().emulator
        launch = there.measure(request, QUICK, one)
        assert (launch.timings.samples_ns > 0).all() and len(launch.timings.samples_ns) >= 3
    else:
        assert there.device.machine().emulator
        counted = there.count(request, one, 2)
        assert counted.invokes[0].total == counted.invokes[1].total > sum(op.instructions for op in counted.ops) > 0


@pytest.mark.parametrize(("engine", "name"), [("micro", "host"), ("trtexec", "host")])
def test_pairs_that_make_no_sense_say_so(engine, name):
    runtime = plugins.load("runtimes", engine)
    with opened(name) as device:
        reason = runtime.refusal(device.machine())
        if reason is None:
            with pytest.raises(UsageError):
                runtime.on(device)
