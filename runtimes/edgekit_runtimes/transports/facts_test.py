"""Facts are read from what devices print, and nothing they print can hurt."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit_runtimes.transports._facts import machine_from, sections, state_from

PIXEL = """
@@uname
Linux
5.15.148-android14
aarch64
@@os
@@cpuinfo
processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd46
processor\t: 1
CPU implementer\t: 0x41
CPU part\t: 0xd46
processor\t: 2
CPU implementer\t: 0x41
CPU part\t: 0xd4e
@@meminfo
MemTotal:        7776584 kB
@@nproc
3
@@clocks
/sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq:1704000
/sys/devices/system/cpu/cpufreq/policy2/cpuinfo_max_freq:2914000
@@cores
@@tree
@@properties
[ro.build.version.release]: [15]
[ro.build.version.sdk]: [35]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 8]
[ro.soc.model]: [Tensor G3]
@@python
"""
ORIN = """
@@uname
Linux
5.15.136-tegra
aarch64
@@os
NAME="Ubuntu"
PRETTY_NAME="Ubuntu 22.04.4 LTS"
@@cpuinfo
processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd42
@@meminfo
MemTotal:       15656404 kB
@@nproc
8
@@tree
NVIDIA Jetson Orin NX Engineering Reference Developer Kit

nvidia,p3768-0000+p3767-0000
nvidia,tegra234
@@tegra
# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64
@@python
Python 3.10.12
@@packages
numpy 1.26.4
@@tensorrt
10.3.0.30-1+cuda12.5
"""
STATE = """
@@uptime
1234.56 4321.00
@@loadavg
0.52 0.58 0.59 1/999 12345
@@meminfo
MemAvailable:   3000000 kB
@@stat
cpu  1000 20 300 90000 50 6 7 8 0 0
100
@@clocks
/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq:1500000
/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq:500000
@@most
/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq:2000000
@@governor
schedutil
@@zones
/sys/class/thermal/thermal_zone0/type:battery
/sys/class/thermal/thermal_zone1/type:cpu-thermal
/sys/class/thermal/thermal_zone2/type:cpu-big
/sys/class/thermal/thermal_zone0/temp:80000
/sys/class/thermal/thermal_zone1/temp:45500
/sys/class/thermal/thermal_zone2/temp:-274000
@@power
@@battery
Current Battery Service state:
  AC powered: false
  USB powered: false
  level: 50
  scale: 200
"""


def test_a_phone():
    machine = machine_from(PIXEL)
    assert (machine.model, machine.soc, machine.system) == ("Google Pixel 8", "Tensor G3", "Android 15 (API 35), Linux 5.15.148-android14")
    assert machine.cpu == "1 × Cortex-X3, 2 × Cortex-A510" and machine.clocks_mhz == (2914, 1704)
    assert machine.memory_bytes == 7776584 * 1024 and machine.emulator is None


def test_a_jetson():
    machine = machine_from(ORIN)
    assert machine.cpu == "Cortex-A78AE" and machine.soc == "nvidia,tegra234" and machine.threads == 8
    assert machine.versions == {"TensorRT": "10.3.0.30-1+cuda12.5", "python": "3.10.12", "numpy": "1.26.4", "L4T": "36.4.3"}
    assert machine.system == "Ubuntu 22.04.4 LTS, Linux 5.15.136-tegra" and machine.model.startswith("NVIDIA Jetson Orin NX")


def test_a_state():
    state = state_from(STATE)
    assert (state.clock_mhz, state.max_clock_mhz, state.governor) == (1000.0, 2000.0, "schedutil")
    assert state.temperature_c == 45.5  # the hottest of the processor's zones, broken sensors and the battery's left out
    assert (state.on_battery, state.battery_percent, state.load, state.at) == (True, 25.0, 0.52, 1234.56)
    assert state.busy_seconds == pytest.approx(13.33) and state.stolen_seconds == 0.08 and state.memory_available_bytes == 3_072_000_000


def test_a_laptop_battery():
    power = "@@power\n/sys/class/power_supply/BAT0/type:Battery\n/sys/class/power_supply/BAT0/status:Discharging\n"
    state = state_from(power + "/sys/class/power_supply/BAT0/capacity:61\n/sys/class/power_supply/AC/type:Mains\n")
    assert (state.on_battery, state.battery_percent) == (True, 61.0)


def test_what_is_not_told_is_unknown():
    state, machine = state_from(""), machine_from("")
    assert state.clock_mhz is state.temperature_c is state.governor is state.on_battery is state.load is None
    assert machine.model is machine.soc is machine.virtual is None and machine.cpu == machine.architecture == "unknown"


LINES = st.sampled_from([*PIXEL.splitlines(), *ORIN.splitlines(), *STATE.splitlines()])


@given(st.lists(st.one_of(LINES, st.text(max_size=40)), max_size=60).map("\n".join))
def test_anything_can_be_printed(text):
    machine_from(text).to_json()
    state_from(text).to_json()
    assert all(isinstance(name, str) for name in sections(text))


def test_scripts_hold_one_line_for_shells_of_all_kinds():
    from edgekit_runtimes.transports import _facts

    assert "\n" not in _facts.STATE_SCRIPT
    assert Path("/bin/sh").exists()
