import pytest

from edgekit.errors import UsageError
from edgekit.profiling.estimating import device_file_names, load_device_file, with_estimate
from edgekit.testing.counted import counted_profile

OWN = """
schema = "edgekit.device/1"
name = "mine"
cpu = "cortex-m4"
clock_mhz = 100
clock_source = "the board's crystal, measured"
instructions_per_cycle = 0.5
ipc_source = "measured with DWT on this board"
"""


@pytest.fixture
def own(tmp_path):
    def write(text=OWN):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_instructions_become_a_time_that_is_called_an_estimate(own):
    found = with_estimate(counted_profile(1_000_000), load_device_file(own()))
    assert found.estimate.milliseconds == pytest.approx(1_000_000 / 0.5 / 100e6 * 1e3)
    assert found.estimate.low_ms is None and "measured with DWT" in found.estimate.basis and "crystal" in found.estimate.basis
    assert found.to_json()["latency"] is None and found.basis == "counted"


@pytest.mark.parametrize("name", device_file_names())
def test_every_file_says_where_its_figures_came_from(name):
    device = load_device_file(name)
    estimate = device.milliseconds(10**6)
    assert device.name == name and device.clock_source and device.ipc_source
    assert estimate.low_ms < estimate.milliseconds < estimate.high_ms


@pytest.mark.parametrize("line", ["clock_source", "ipc_source", "clock_mhz", "instructions_per_cycle", "cpu", "schema"])
def test_a_file_that_does_not_say_is_refused(own, line):
    text = "\n".join(row for row in OWN.splitlines() if not row.startswith(line))
    with pytest.raises(UsageError, match=line):
        load_device_file(own(text))


@pytest.mark.parametrize("change", ['clock_mhz = "fast"', "clock_mhz = 0", "clock_mhz = true", "colour = 3"])
def test_nonsense_is_refused(own, change):
    key = change.partition(" ")[0]
    with pytest.raises(UsageError, match=key):
        load_device_file(own("\n".join(row for row in OWN.splitlines() if not row.startswith(key)) + f"\n{change}\n"))


def test_another_cores_counts_are_not_converted(own):
    with pytest.raises(UsageError, match="counts are of a cortex-m4"):
        with_estimate(counted_profile(), load_device_file(own(OWN.replace("cortex-m4", "cortex-m7"))))
    with pytest.raises(UsageError, match="no device file"):
        load_device_file("z80")
