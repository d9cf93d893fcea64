"""Which engine runs on which kind of device, and what it gives there: asked of the engines themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from edgekit import plugins
from edgekit.devices import Address, Machine
from edgekit.errors import EdgekitError

PYTHON = {"python": "3.11.2", "numpy": "2.0.0"}
BOARD = Machine("Cortex-A76", "aarch64", 4, 4, 8 * 10**9, "Debian GNU/Linux 12", False)
KINDS: dict[str, Machine] = {
    "`host`": Machine("x86-64", "x86_64", 4, 4, 16 * 10**9, "Linux", None, versions={**PYTHON, "ai-edge-litert": "2.3.0"}),
    "`ssh:` a Linux board": BOARD,
    "`ssh:` with Python and ai-edge-litert": Machine(**{**vars(BOARD), "versions": {**PYTHON, "ai-edge-litert": "2.3.0"}}),
    "`ssh:` a Jetson": Machine(**{**vars(BOARD), "versions": {"TensorRT": "10.3.0"}}),
    "`adb:` an Android phone": Machine(**{**vars(BOARD), "system": "Android 15 (API 35)"}),
    "`adb:loopback`, emulated": Machine(**{**vars(BOARD), "system": "Android 15 (API 35)", "emulator": "qemu-aarch64"}),
    "`qemu:cortex-a…`, emulated": Machine(**{**vars(BOARD), "emulator": "qemu-aarch64"}),
    "`serial:` a microcontroller": Machine("cortex-m4", "armv7e-m", 1, 1, 262_144, "edgekit's firmware 1", False),
    "`qemu:cortex-m…`, emulated": Machine("cortex-m4", "armv7e-m", 1, 1, 262_144, "none", True, emulator="qemu-system-arm"),
}


@dataclass
class Stub:
    """A device that can say what it is, and has the methods of its kind."""

    kind: str

    def __post_init__(self) -> None:
        emulated, small = self.machine().emulator is not None, "cortex-m" in self.machine().cpu
        methods = ("exchange", *(("marks", "execute") if emulated else ())) if small else ("push", "run", *(("count",) if emulated else ()))
        for name in methods:
            setattr(self, name, self._never)

    @property
    def address(self) -> Address:
        """Of nothing."""
        return Address("host")

    def machine(self) -> Machine:
        """The kind's."""
        return KINDS[self.kind]

    def _never(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("nothing is run for the table")


def engines() -> list[Any]:
    """Runtimes that run elsewhere."""
    return [runtime for name in plugins.names("runtimes") if hasattr(runtime := plugins.load("runtimes", name), "on")]


def gives(engine: Any, kind: str) -> str:
    """``latency``, ``instructions``, ``answers`` or nothing."""
    device = Stub(kind)
    try:
        if engine.refusal(device.machine()) is not None:
            return ""
        there = engine.on(device)
    except EdgekitError:
        return ""
    return "latency" if hasattr(there, "measure") else "instructions" if hasattr(there, "count") else "answers"


def engine_table() -> str:
    """The page."""
    os.environ.setdefault("EDGEKIT_BENCHMARK_MODEL", __file__)  # the user's to supply: any file will do for the question
    found = engines()
    head = "| device | " + " | ".join(f"`{e.name}`" for e in found) + " |\n|" + "---|" * (1 + len(found))
    formats = "| format | " + " | ".join(", ".join(e.formats) for e in found) + " |"
    rows = [f"| {kind} | " + " | ".join(gives(engine, kind) for engine in found) + " |" for kind in KINDS]
    return f"# Engines and devices\n\n{_INTRODUCTION}\n\n{head}\n" + "\n".join([formats, *rows]) + "\n"


_INTRODUCTION = """\
An engine runs a format, a transport reaches a device, and any that fit are combined. This is what each combination gives: *latency* is
wall time on the device, *instructions* are counted by an emulator and are no time. Empty: the engine refuses, and says why. `--runtime`
chooses an engine; else it is the first from the left that runs the model's format. `benchmark_model` is TFLite's own, supplied by you:
`EDGEKIT_BENCHMARK_MODEL`. Runtimes not listed run on this machine only. [devices.md](devices.md) says how to reach a device."""
