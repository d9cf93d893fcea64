"""Engines on a device: built there once, kept here, sent back, run by ``trtexec``."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.devices import Completed, Transport
from edgekit.errors import DeviceFailed, DeviceUnavailable, InvalidMeasurement, UsageError
from edgekit.plugins import RunRequest
from edgekit_runtimes import _cache
from edgekit_runtimes._trtexec.command import ENGINE
from edgekit_runtimes._trtexec.engine import Stamp, stamp_path
from edgekit_runtimes._trtexec.transcript import LARGEST, LayerTime, Transcript, read_log, read_profile, read_times

PLACES = ("trtexec", "/usr/src/tensorrt/bin/trtexec")
"""Where trtexec is: a container's search path, or where JetPack puts it."""
BUILD_OPTIONS = ("best", "builderOptimizationLevel", "fp16", "int8", "bf16", "maxShapes", "memPoolSize", "minShapes", "optShapes",
                 "precisionConstraints", "profilingVerbosity", "skipInference", "sparsity", "stronglyTyped", "timingCacheFile")  # fmt: skip
"""What a manifest may ask of trtexec: nothing that loads or writes other files than ours."""
BUILD_SECONDS = 3600.0
OUTPUT = "output.json"


@dataclass(frozen=True)
class Engine:
    """An engine on the device.

    Attributes:
        path: There.
        stamp: What it was built for.
    """

    path: str
    stamp: Stamp


@dataclass(frozen=True)
class Run:
    """A run of trtexec that succeeded.

    Attributes:
        transcript: Of its log.
        load_seconds: What loading the engine took, as it says, or None.
        export: Content of the file it was asked to write.
    """

    transcript: Transcript
    load_seconds: float | None
    export: str


def built(device: Transport, request: RunRequest) -> Engine:
    """The engine of a model for a device: of the cache, or built there now.

    Raises:
        ConversionError: TensorRT refuses the model.
        DeviceUnavailable: No trtexec there, no GPU, or another than its cache entry says.
        UsageError: The manifest's command is not one that builds an engine.
    """
    machine = device.machine()
    digest = hashlib.sha256(request.model.read_bytes()).hexdigest()
    options = _options(request.options.get("build", ()))
    where = {"model": machine.model, "chip": machine.soc, "processor": machine.cpu, "tensorrt": machine.versions.get("TensorRT")}
    key = {"onnx": digest, "options": options, **where}
    folder = _cache.kept("engines", key, lambda fresh: _build(device, request.model, digest, options, fresh))
    return Engine(device.push(folder / ENGINE), Stamp.load(stamp_path(folder / ENGINE)))


def timed(device: Transport, request: RunRequest, command: Sequence[str], export: str, *, timeout: float) -> Run:
    """Run a command of `edgekit_runtimes._trtexec.command` on a model's engine.

    Raises:
        DeviceUnavailable: The device is not the one that built the engine.
        DeviceFailed: trtexec crashed or hung.
        InvalidMeasurement: Its log or export is none.
        ConversionError: It says that it failed.
    """
    engine = built(device, request)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name, device.scratch() as folder:
        arguments = [f"--loadEngine={engine.path}" if word.startswith("--loadEngine=") else word for word in command[1:]]
        transcript, log = _run(device, arguments, folder, timeout)
        _require_same(transcript, engine.stamp)
        here = Path(name) / export
        device.pull(f"{folder}/{export}", here, limit=LARGEST)
        return Run(transcript, _load_seconds(log), here.read_text(encoding="utf-8", errors="replace"))


def infer(device: Transport, engine: Engine, request: RunRequest, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of one run on these inputs, float64, by name; each with its batch dimension.

    Raises:
        DeviceFailed: trtexec crashed, hung, or answered garbage.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name, device.scratch() as folder:
        here, given = Path(name), []
        for number, (title, array) in enumerate(inputs.items()):
            (here / f"{number}").write_bytes(np.ascontiguousarray(array).tobytes())
            device.put(here / f"{number}", f"{folder}/{number}")
            given.append(f"{title}:{folder}/{number}")
        once = ["--iterations=1", "--duration=0", "--warmUp=0", "--avgRuns=1"]
        shapes = ",".join(f"{title}:{'x'.join(map(str, array.shape))}" for title, array in inputs.items())
        several = any(word.startswith("--minShapes=") for word in request.options.get("build", ()))
        arguments = [f"--loadEngine={engine.path}", f"--loadInputs={','.join(given)}", *([f"--shapes={shapes}"] if several else []), *once]
        _run(device, [*arguments, f"--exportOutput={OUTPUT}"], folder, float(request.options.get("timeout", 600.0)))
        device.pull(f"{folder}/{OUTPUT}", here / OUTPUT, limit=LARGEST)
        return read_output((here / OUTPUT).read_text(encoding="utf-8", errors="replace"))


def read_output(text: str) -> dict[str, np.ndarray]:
    """Tensors of an export of ``--exportOutput``.

    Raises:
        DeviceFailed: It is no such export.
    """
    try:
        found = {}
        for row in json.loads(text):
            shape = tuple(int(size) for size in str(row["dimensions"]).split("x"))
            found[str(row["name"])] = np.array(row["values"], np.float64).reshape(shape)
        return found
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DeviceFailed("this is no export of trtexec --exportOutput", next_step="run again") from None


def times(run: Run) -> tuple[float, ...]:
    """Latencies, in milliseconds and in order."""
    return read_times(run.export)


def layer_times(run: Run) -> tuple[LayerTime, ...]:
    """Times of layers."""
    return read_profile(run.export)


def _options(command: Sequence[str]) -> list[str]:
    """Options of a manifest's building command, without the files, which are ours to name."""
    kept = []
    for word in command[1:]:
        name = re.match(r"--(\w+)", word)
        if name is not None and name[1] in ("onnx", "saveEngine"):
            continue
        if name is None or name[1] not in BUILD_OPTIONS or (name[1] == "timingCacheFile" and "/" in word):
            raise UsageError(f"the artifact's build command has {word!r}", accepted=[f"--{n}" for n in BUILD_OPTIONS])
        kept.append(word)
    return kept if "--skipInference" in kept else [*kept, "--skipInference"]


def _build(device: Transport, model: Path, digest: str, options: Sequence[str], target: Path) -> None:
    with device.scratch() as folder:
        arguments = [f"--onnx={device.push(model)}", f"--saveEngine={folder}/{ENGINE}", *options]
        transcript, _ = _run(device, arguments, folder, BUILD_SECONDS)
        gpu, capability, count = transcript.gpu, transcript.compute_capability, transcript.multiprocessors
        if gpu is None or capability is None or count is None:
            raise DeviceFailed("trtexec does not say for which GPU it built the engine", next_step="run it by hand and look at its log")
        device.pull(f"{folder}/{ENGINE}", target / ENGINE, limit=2**31)
    stamp = Stamp(gpu, capability, count, transcript.tensorrt, digest)
    stamp_path(target / ENGINE).write_bytes(stamp.to_bytes())


def _run(device: Transport, arguments: Sequence[str], folder: str, timeout: float) -> tuple[Transcript, str]:
    done = device.run([_program(device), *arguments], folder=folder, timeout=timeout)
    log = done.stdout.decode("utf-8", "replace")
    if done.exit_code > 128:
        raise DeviceFailed(f"trtexec crashed on the device: {done.reason}")
    try:
        transcript = read_log(log)
    except InvalidMeasurement:
        done.require("trtexec")
        raise
    done.require("trtexec")
    return transcript, log


def _program(device: Transport) -> str:
    for path in PLACES:
        found: Completed = device.run(["sh", "-c", 'command -v "$1"', "sh", path])
        if found.exit_code == 0:
            return path
    raise DeviceUnavailable(
        f"{device.address} has no trtexec", accepted=PLACES, next_step="apt-get install libnvinfer-bin   (on the device)"
    )


def _require_same(transcript: Transcript, stamp: Stamp) -> None:
    now = (transcript.gpu, transcript.compute_capability, transcript.multiprocessors, transcript.tensorrt)
    if now != (stamp.gpu, stamp.compute_capability, stamp.multiprocessors, stamp.tensorrt):
        raise DeviceUnavailable(
            f"the engine was built on {stamp.gpu} with TensorRT {stamp.tensorrt}, and ran on {now[0]} with TensorRT {now[3]}",
            next_step=f"remove {_cache.folder() / 'engines'} and measure again",
        )


def _load_seconds(log: str) -> float | None:
    found = re.search(r"Engine (?:loaded|deserialized) in (\d{1,6}(?:\.\d{1,9})?) sec", log)
    return float(found[1]) if found else None
