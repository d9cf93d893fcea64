"""One run of the C runner on a device: its program, its library, the model and the inputs go there; an answer or an error comes back."""

from __future__ import annotations

import json
import platform
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from edgekit.devices import Completed, Transport
from edgekit.errors import ConversionError, DataError, DeviceFailed, DeviceFull, DeviceUnavailable, LoadError, UsageError
from edgekit.plugins import RunRequest
from edgekit_runtimes._compiling import compiled
from edgekit_runtimes._litert_capi import ProfilerMissing
from edgekit_runtimes.native import tensorfile
from edgekit_runtimes.native.library import library
from edgekit_runtimes.native.marks import CountingTransport, Mark

SOURCE = Path(__file__).with_name("runner.c")
KERNELS = {"xnnpack": "xnnpack", "none": "builtin"}
"""By delegate. LiteRT 2.3's C API takes ``reference`` too and computes with the optimized kernels all the same."""
REFUSED = 3
"""Exit code with which the runner says what is wrong in JSON."""


@dataclass(frozen=True)
class Job:
    """What the runner is asked.

    Attributes:
        mode: As ``runner.c`` lists them.
        request: The model file and how to run it.
        settings: Keys of ``runner.c``.
    """

    mode: str
    request: RunRequest
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it sets marks."""
        return self.mode.startswith("count")


@dataclass(frozen=True)
class Answer:
    """What it said.

    Attributes:
        values: Its JSON object.
        arrays: Its outputs file.
        marks: Set while it ran, if it was counted.
    """

    values: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    marks: tuple[Mark, ...] = ()


def program(architecture: str) -> Path:
    """The runner for a processor (``uname -m``), compiled once.

    Raises:
        DeviceUnavailable: No compiler for it.
    """
    own = platform.machine() == architecture and sys.platform == "linux"
    triple = {"x86_64": "x86-64-linux-gnu", "aarch64": "aarch64-linux-gnu"}[architecture]
    compiler, package = ("gcc", "gcc") if own else (f"{triple.replace('x86-64', 'x86_64')}-gcc", f"gcc-{triple}")
    flags = ("-O2", "-std=gnu17", "-Wall", "-rdynamic")  # its clock_gettime must be seen by the libraries it loads
    return compiled(SOURCE, compiler, flags, name="edgekit-runner", package=package, libraries=("-ldl", "-lm"))


def execute(device: Transport, job: Job, arrays: Mapping[str, np.ndarray]) -> Answer:
    """Run it there.

    Raises:
        LoadError: LiteRT cannot read the model.
        DataError: The inputs are not the model's.
        ConversionError: LiteRT cannot run the model.
        DeviceFailed: The runner crashed, hung or answered garbage.
    """
    request = job.request
    if request.delegate not in KERNELS:
        raise UsageError(f"the native runner has no delegate {request.delegate!r}", accepted=tuple(KERNELS))
    if request.threads < 1:
        raise UsageError(f"cannot run on {request.threads} threads", accepted="1 or more")
    if not request.model.is_file():
        raise LoadError(f"no model file at {request.model}", next_step="check the path, or run `edgekit convert` first")
    architecture = device.machine().architecture
    runner, shared = device.push(program(architecture), executable=True), device.push(library(architecture))
    model = device.push(request.model)
    settings = {"threads": request.threads, "kernels": KERNELS[request.delegate], **job.settings}
    argv = [runner, job.mode, shared, model, "in", "out", *(f"{key}={value}" for key, value in settings.items())]
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name, device.scratch() as folder:
        here = Path(name)
        (here / "in").write_bytes(tensorfile.encode(arrays))
        device.put(here / "in", f"{folder}/in")
        done, marks = _run(device, job, argv, folder)
        values = _answer(done, request.model)
        device.pull(f"{folder}/out", here / "out")
        return Answer(values, tensorfile.decode((here / "out").read_bytes()), marks)


def _run(device: Transport, job: Job, argv: list[str], folder: str) -> tuple[Completed, tuple[Mark, ...]]:
    timeout = float(job.request.options.get("timeout", 600.0))
    if not job.counts:
        return device.run(argv, folder=folder, timeout=timeout), ()
    if not isinstance(device, CountingTransport):
        raise UsageError(f"nothing counts instructions on {device.address}", next_step="use an emulated board: --on qemu:cortex-a76")
    return device.count(argv, folder=folder, timeout=timeout)


def _answer(done: Completed, model: Path) -> dict[str, Any]:
    """The JSON object on the last line of standard output."""
    if done.exit_code not in (0, REFUSED):
        _crashed(done, model)
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        values = json.loads(lines[-1])
        if done.exit_code == 0 and isinstance(values, dict):
            return values
        error = values["error"]
        kind, message, accepted = (str(error[key]) for key in ("kind", "message", "accepted"))
    except (IndexError, ValueError, KeyError, TypeError):
        raise DeviceFailed(f"the native runner answered garbage: {done.reason}", next_step="run again") from None
    _refused(kind, _with_dtypes(message), _with_dtypes(accepted) or None, model, _complaint(done))


def _crashed(done: Completed, model: Path) -> NoReturn:
    said = done.stderr.decode("utf-8", "replace")
    if "GLIBC_" in said and "not found" in said:
        raise DeviceUnavailable(
            "the device's C library is older than the native runner needs (glibc 2.34: Debian 12, Ubuntu 22.04, JetPack 6)",
            next_step="install Python and ai-edge-litert there and use --runtime litert, or update its system",
        )
    raise DeviceFailed(f"the native runner crashed on {model.name}: {done.reason}", next_step="edgekit explain says what the file holds")


def _refused(kind: str, message: str, accepted: str | None, model: Path, complaint: str) -> NoReturn:
    if kind == "load":
        raise LoadError(f"LiteRT cannot read {model.name}: {message}{complaint}", accepted="a .tflite flatbuffer")
    if kind == "data":
        raise DataError(message, accepted=accepted)
    if kind in ("prepare", "run"):
        raise ConversionError(f"LiteRT cannot run {model.name}: {message}{complaint}")
    if kind == "full":
        raise DeviceFull(message, next_step="edgekit devices clean")
    if kind == "profiler":
        raise ProfilerMissing(message)
    raise DeviceFailed(f"the native runner: {message}{complaint}")


def _with_dtypes(text: str) -> str:
    """LiteRT's numbers of element types as names."""
    return re.sub(r"element type (\d+)", lambda found: tensorfile.ELEMENTS.get(int(found[1]), found[0]), text)


def _complaint(done: Completed) -> str:
    """The first error among what LiteRT logged."""
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    errors = [line.partition("ERROR: ")[2].strip() for line in lines if line.startswith("ERROR: ")]
    texts = [re.sub(r"^\[[\w./]+:\d+\]\s*", "", text) for text in errors]
    return f" ({texts[0]})" if texts else ""
