"""Facts and state of a Linux or Android device: what its kernel's files say, fetched by one script each, read without trust.

Every probe may be missing on a device; what it would have told is then None, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from edgekit.devices import DeviceState, Machine

_CPUS = "/sys/devices/system/cpu"


def _script(sections: Mapping[str, str]) -> str:
    """Each section's output behind a line with its name; its failure is an empty section."""
    return "; ".join(f"echo; echo '@@{name}'; {{ {command}; }} 2>/dev/null" for name, command in sections.items())


def _files(pattern: str) -> str:
    """``path:content`` for every file that matches."""
    return f'for f in {pattern}; do [ -r "$f" ] && read -r v <"$f" && echo "$f:$v"; done'


_PACKAGE_VERSIONS = """import importlib.metadata as m
for p in ('ai-edge-litert', 'tflite-runtime', 'onnxruntime', 'numpy'):
  try: print(p, m.version(p))
  except m.PackageNotFoundError: pass
"""
MACHINE_SCRIPT = _script(
    {
        "uname": "uname -s; uname -r; uname -m",
        "os": "cat /etc/os-release",
        "cpuinfo": "cat /proc/cpuinfo",
        "meminfo": "cat /proc/meminfo",
        "nproc": "nproc",
        "clocks": _files(f"{_CPUS}/cpufreq/policy*/cpuinfo_max_freq"),
        "cores": _files(f"{_CPUS}/cpu[0-9]*/topology/core_cpus_list"),
        "tree": r"tr '\0' '\n' </proc/device-tree/model; echo; tr '\0' '\n' </proc/device-tree/compatible",
        "properties": "getprop",
        "tegra": "cat /etc/nv_tegra_release",
        "python": "python3 --version",
        "packages": "python3 -c \"import importlib.metadata as m\nfor p in ('ai-edge-litert', 'tflite-runtime', 'onnxruntime', 'numpy'):\n"
        '  try: print(p, m.version(p))\n  except m.PackageNotFoundError: pass"',
        "tensorrt": "dpkg-query -W -f='${Version}\\n' tensorrt || dpkg-query -W -f='${Version}\\n' libnvinfer10",
        "trtexec": "command -v trtexec || command -v /usr/src/tensorrt/bin/trtexec",
    }
)

STATE_SCRIPT = _script(
    {
        "uptime": "cat /proc/uptime",
        "loadavg": "cat /proc/loadavg",
        "meminfo": "cat /proc/meminfo",
        "stat": "head -n 1 /proc/stat; getconf CLK_TCK",
        "clocks": _files(f"{_CPUS}/cpu[0-9]*/cpufreq/scaling_cur_freq"),
        "most": _files(f"{_CPUS}/cpu[0-9]*/cpufreq/cpuinfo_max_freq"),
        "governor": f"cat {_CPUS}/cpu0/cpufreq/scaling_governor",
        "zones": _files("/sys/class/thermal/thermal_zone*/type") + "; " + _files("/sys/class/thermal/thermal_zone*/temp"),
        "power": _files("/sys/class/power_supply/*/type")
        + "; "
        + _files("/sys/class/power_supply/*/status")
        + "; "
        + _files("/sys/class/power_supply/*/capacity"),
        "battery": "if [ -x /system/bin/dumpsys ]; then dumpsys battery; fi",
    }
)

_ARM_PARTS = {
    0xC07: "Cortex-A7",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
    0xD49: "Neoverse N2",
    0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3",
    0xD80: "Cortex-A520",
    0xD81: "Cortex-A720",
    0xD82: "Cortex-X4",
}
"""Names of Arm's own cores (implementer 0x41) by part number, from their technical reference manuals (MIDR_EL1)."""
_CPU_ZONE = re.compile(r"cpu|soc|cluster|big|little|mid|pkg|tj", re.IGNORECASE)
_COLDEST, _HOTTEST = -40.0, 150.0
"""Degrees beyond which a sensor is taken to be broken."""


def sections(text: str) -> dict[str, str]:
    """The script's output by section."""
    parts = re.split(r"^@@(\w+)\r?$", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def machine_from(text: str) -> Machine:
    """Read what `MACHINE_SCRIPT` printed."""
    found = sections(text)
    properties = dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]", found.get("properties", ""), re.MULTILINE))
    kernel = [*found.get("uname", "").splitlines(), "", "", ""]
    threads = _whole(found.get("nproc")) or found.get("cpuinfo", "").count("processor\t") or 1
    groups = {line.rpartition(":")[2] for line in found.get("cores", "").splitlines()}
    tree = found.get("tree", "").splitlines()
    clocks = {int(value) // 1000 for _, value in _values(found.get("clocks")) if value.isdecimal()}
    return Machine(
        cpu=_cpu(found.get("cpuinfo", "")) or kernel[2] or "unknown",
        architecture=kernel[2] or "unknown",
        cores=len(groups) or threads,
        threads=threads,
        memory_bytes=_kilobytes(found.get("meminfo", ""), "MemTotal"),
        system=_system(kernel, found.get("os", ""), properties),
        virtual="hypervisor" in found["cpuinfo"] if "flags" in found.get("cpuinfo", "") else None,
        model=_android_model(properties) or (tree[0] if tree and tree[0] else None),
        soc=properties.get("ro.soc.model") or (_chip(tree[1:]) if tree else None),
        clocks_mhz=tuple(sorted(clocks, reverse=True)),
        emulator=properties.get("ro.edgekit.emulator") or None,
        versions=_versions(found),
    )


def state_from(text: str) -> DeviceState:
    """Read what `STATE_SCRIPT` printed."""
    found = sections(text)
    clocks, most = (_mean_mhz(found.get(key)) for key in ("clocks", "most"))
    ticks, hertz = _ticks(found.get("stat", ""))
    on_battery, percent = _battery(found)
    return DeviceState(
        clock_mhz=clocks,
        max_clock_mhz=most,
        governor=found.get("governor") or None,
        temperature_c=_temperature(_values(found.get("zones"))),
        load=_real(found.get("loadavg", "").partition(" ")[0]),
        memory_available_bytes=_kilobytes(found.get("meminfo", ""), "MemAvailable"),
        on_battery=on_battery,
        battery_percent=percent,
        busy_seconds=sum(ticks[i] for i in (0, 1, 2, 5, 6)) / hertz,
        stolen_seconds=ticks[7] / hertz,
        own_seconds=None,
        at=_real(found.get("uptime", "").partition(" ")[0]) or 0.0,
    )


def _cpu(cpuinfo: str) -> str | None:
    """The model name, or on Arm the kinds of cores by their part numbers, the rarest (most often the fastest) first."""
    fields = re.findall(r"^([^:\n]+?)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    for key, value in fields:
        if key.lower() in ("model name", "cpu model"):
            return str(value).strip()
    implementers = [_hexadecimal(v) for k, v in fields if k == "CPU implementer"]
    parts = [_hexadecimal(v) for k, v in fields if k == "CPU part"]
    kinds = [
        _ARM_PARTS[p] if i == 0x41 and p in _ARM_PARTS else f"part {p:#x} of implementer {i:#x}"
        for i, p in zip(implementers, parts, strict=False)
    ]
    counted = {kind: kinds.count(kind) for kind in kinds}
    named = [f"{n} × {kind}" if len(counted) > 1 else kind for kind, n in sorted(counted.items(), key=lambda item: item[1])]
    return ", ".join(named) or next((v.strip() for k, v in fields if k == "Hardware"), None)


def _system(kernel: list[str], release: str, properties: Mapping[str, str]) -> str:
    if version := properties.get("ro.build.version.release"):
        return f"Android {version} (API {properties.get('ro.build.version.sdk', '?')}), {kernel[0]} {kernel[1]}"
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]+)"?', release, re.MULTILINE)
    return ", ".join(filter(None, (pretty[1] if pretty else "", f"{kernel[0]} {kernel[1]}".strip()))) or "unknown"


def _android_model(properties: Mapping[str, str]) -> str | None:
    return " ".join(filter(None, (properties.get("ro.product.manufacturer"), properties.get("ro.product.model")))) or None


def _chip(compatible: Iterable[str]) -> str | None:
    """The last of the device tree's ``compatible`` names, which goes from board to chip."""
    names = [line for line in compatible if "," in line]
    return names[-1] if names else None


def _versions(found: Mapping[str, str]) -> dict[str, str]:
    versions = dict(re.findall(r"^([\w.-]+) (\S+)$", found.get("packages", ""), re.MULTILINE))
    if python := re.search(r"Python (\S+)", found.get("python", "")):
        versions["python"] = python[1]
    if found.get("tensorrt") or found.get("trtexec"):  # a container brings trtexec without a package
        versions["TensorRT"] = (found.get("tensorrt", "").split() or ["unknown"])[0]
    if tegra := re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", found.get("tegra", "")):
        versions["L4T"] = f"{tegra[1]}.{tegra[2]}"
    return versions


def _battery(found: Mapping[str, str]) -> tuple[bool | None, float | None]:
    """Whether it runs from a battery, and its charge: Android's service, or the kernel's power supplies."""
    if service := found.get("battery"):
        powered = re.findall(r"^\s*\w+ powered: (true|false)", service, re.MULTILINE)
        level, scale = (re.search(rf"^\s*{key}: (\d+)", service, re.MULTILINE) for key in ("level", "scale"))
        percent = 100 * int(level[1]) / (int(scale[1]) or 100) if level and scale else None
        return ("true" not in powered if powered else None), percent
    supplies: dict[str, dict[str, str]] = {}
    for path, value in _values(found.get("power")):
        folder, _, name = path.rpartition("/")
        supplies.setdefault(folder, {})[name] = value
    for supply in supplies.values():
        if supply.get("type") == "Battery":
            return supply.get("status") == "Discharging", _real(supply.get("capacity", ""))
    return None, None


def _temperature(values: list[tuple[str, str]]) -> float | None:
    """The hottest zone of the processor; of all zones, where none says it is the processor's."""
    kinds = {path.rpartition("/")[0]: value for path, value in values if path.endswith("/type")}
    degrees = {path.rpartition("/")[0]: (_real(value) or 0.0) / 1000 for path, value in values if path.endswith("/temp")}
    plausible = {zone: t for zone, t in degrees.items() if _COLDEST < t < _HOTTEST and t != 0.0}
    ours = [t for zone, t in plausible.items() if _CPU_ZONE.search(kinds.get(zone, ""))]
    return max(ours or plausible.values(), default=None)


def _ticks(stat: str) -> tuple[list[int], float]:
    """User, nice, system, idle, iowait, irq, softirq, steal since boot, and ticks a second."""
    line, _, hertz = stat.partition("\n")
    ticks = [int(word) for word in line.split()[1:9] if word.isdecimal()]
    return [*ticks, *[0] * 8][:8], _real(hertz) or 100.0


def _values(section: str | None) -> list[tuple[str, str]]:
    """``path:value`` lines."""
    pairs = (line.rpartition(":") for line in (section or "").splitlines())
    return [(path, value.strip()) for path, _, value in pairs if path]


def _mean_mhz(section: str | None) -> float | None:
    values = [int(value) / 1000 for _, value in _values(section) if value.isdecimal()]
    return sum(values) / len(values) if values else None


def _kilobytes(meminfo: str, key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _real(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?\d{1,15}(\.\d+)?", text.strip()) else None


def _hexadecimal(text: str) -> int:
    return int(text, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", text.strip()) else 0
