import pytest

from edgekit import sensing
from edgekit.sensing import LocalFiles, Watch, clock_mhz, find_meter, temperature_c


def write(root, **files):
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


def tree(root, files):
    write(root, **files)
    return LocalFiles(root)


RAPL = {
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": 9_000_000,
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": 10_000_000,
    "sys/class/powercap/intel-rapl:0:0/name": "core",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": 5_000_000,
}
INA = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
JETSON = {
    f"{INA}/in1_label": "VDD_IN", f"{INA}/in1_input": 5000, f"{INA}/curr1_input": 2000,
    f"{INA}/in2_label": "VDD_CPU_GPU_CV", f"{INA}/in2_input": 5000, f"{INA}/curr2_input": 900,
}  # fmt: skip
PHONE = {
    "sys/class/power_supply/battery/type": "Battery",
    "sys/class/power_supply/battery/status": "Discharging",
    "sys/class/power_supply/battery/current_now": -400_000,
    "sys/class/power_supply/battery/voltage_now": 4_000_000,
}


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves."""
    now = [100.0]
    monkeypatch.setattr(sensing.time, "monotonic", lambda: now[0])
    return now


def test_clock_is_the_mean_of_the_cores(tmp_path):
    cpu = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
    assert clock_mhz(tree(tmp_path, {cpu.format(0): 1_800_000, cpu.format(1): 600_000})) == 1200.0


def test_clock_from_proc_where_there_is_no_cpufreq(tmp_path):
    assert clock_mhz(tree(tmp_path, {"proc/cpuinfo": "cpu MHz\t\t: 2000.0\ncpu MHz\t\t: 3000.0"})) == 2500.0
    assert clock_mhz(LocalFiles(tmp_path / "nothing")) is None


def test_temperature_is_the_processors(tmp_path):
    zones = {
        "thermal_zone0/type": "battery",
        "thermal_zone0/temp": 99_000,
        "thermal_zone1/type": "cpu-1-0-usr",
        "thermal_zone1/temp": 61_500,
    }
    assert temperature_c(tree(tmp_path, {f"sys/class/thermal/{k}": v for k, v in zones.items()})) == 61.5
    assert temperature_c(LocalFiles(tmp_path / "nothing")) is None


def test_rapl_counters_wrap_and_parts_are_not_counted_twice(tmp_path):
    meter = find_meter(tree(tmp_path, RAPL))
    assert meter.name == "powercap" and "processor packages" in meter.resolution
    meter.start()
    write(tmp_path, **{"sys/class/powercap/intel-rapl:0/energy_uj": 9_500_000})
    meter.tick()
    write(tmp_path, **{"sys/class/powercap/intel-rapl:0/energy_uj": 1_000_000})
    meter.tick()
    assert meter.joules() == pytest.approx(0.5 + 1.5)


def test_the_whole_platform_is_preferred(tmp_path):
    psys = {"sys/class/powercap/intel-rapl:1/name": "psys", "sys/class/powercap/intel-rapl:1/energy_uj": 7}
    assert "whole platform" in find_meter(tree(tmp_path, RAPL | psys)).resolution


def test_a_counter_that_may_not_be_read_is_no_meter(tmp_path):
    assert find_meter(tree(tmp_path, {**RAPL, "sys/class/powercap/intel-rapl:0/energy_uj": ""})) is None


def test_ina3221_is_integrated_over_time(tmp_path, clock):
    meter = find_meter(tree(tmp_path, JETSON))
    assert meter.name == "INA3221" and "VDD_IN" in meter.resolution and "CPU_GPU" not in meter.resolution
    meter.start()
    clock[0] += 2.0
    write(tmp_path, **{f"{INA}/curr1_input": 4000})
    meter.tick()
    assert meter.joules() == pytest.approx(2.0 * (10 + 20) / 2)


def test_a_battery_counts_only_while_it_supplies_the_machine(tmp_path, clock):
    meter = find_meter(tree(tmp_path, PHONE))
    meter.start()
    clock[0] += 10.0
    meter.tick()
    assert meter.joules() == pytest.approx(16.0), "0.4 A at 4 V, whichever sign the maker gives a discharge"
    write(tmp_path, **{"sys/class/power_supply/battery/status": "Charging"})
    assert find_meter(LocalFiles(tmp_path)) is None


def test_a_meter_that_fails_midway_gives_no_figure(tmp_path, clock):
    meter = find_meter(tree(tmp_path, JETSON))
    meter.start()
    clock[0] += 1.0
    (tmp_path / INA / "curr1_input").unlink()
    meter.tick()
    assert meter.joules() is None


def test_readings_are_taken_between_runs_and_not_too_often(tmp_path, clock):
    watch = Watch(tree(tmp_path, {"proc/cpuinfo": "cpu MHz : 1500"} | RAPL), interval=1.0)
    watch.start()
    for runs in (10, 20, 30):
        clock[0] += 0.4
        watch.tick(runs)
    watch.tick(35, last=True)
    assert [r.runs for r in watch.readings] == [0, 30, 35]
    assert watch.readings[1].clock_mhz == 1500.0 and watch.readings[1].temperature_c is None
    assert watch.joules() == 0.0
