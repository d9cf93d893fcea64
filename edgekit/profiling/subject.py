"""What is measured: a model file, by itself or in an artifact, and one input to feed it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgekit import digests
from edgekit.artifact import MANIFEST, Artifact
from edgekit.conversion.running import encoded, runtime_for, runtime_on
from edgekit.devices import Device
from edgekit.errors import EdgekitError, LoadError, UsageError
from edgekit.plugins import EmittedOp, RunRequest, Runtime, load
from edgekit.tensors import TensorSpec
from edgekit.timing import TimedRuntime

FORMATS = {".tflite": "litert", ".mlpackage": "coreml"}
"""Formats of model files that come without a manifest, by suffix."""


@dataclass(frozen=True)
class Subject:
    """A model file.

    Attributes:
        name: What to call it: the artifact's folder or the file.
        file: The model file.
        format: Name of the format.
        bytes: Its size.
        sha256: Of the file.
        ops: The converter's account of its operators; empty for a file without a manifest.
        artifact: The artifact it is in, or None.
    """

    name: str
    file: Path
    format: str
    bytes: int
    sha256: str
    ops: tuple[EmittedOp, ...] = ()
    artifact: Artifact | None = None

    def to_json(self) -> dict[str, Any]:
        """What a record says about it. No path: records are shared."""
        return {"name": self.name, "format": self.format, "bytes": self.bytes, "sha256": self.sha256}

    def module(self, index: int | None, name: str) -> str | None:
        """The user's module that the operator at `index` came from, where the manifest knows."""
        known = index is not None and index < len(self.ops) and self.ops[index].name == name
        return self.ops[index].module if known and index is not None else None


def subject(what: Any) -> Subject:
    """An `Artifact`, its folder, or a model file.

    Raises:
        UsageError: None of these, or a damaged artifact.
        LoadError: No such file.
    """
    if isinstance(what, Artifact):
        return _of_artifact(what)
    if not isinstance(what, str | Path):
        raise UsageError(f"cannot measure a {type(what).__name__}", accepted="an Artifact, its folder, or a model file")
    path = Path(what)
    if path.is_dir() and path.suffix.lower() in FORMATS:
        return _of_folder(path, FORMATS[path.suffix.lower()])
    if path.is_dir() or path.name == MANIFEST:
        return _of_artifact(Artifact.load(path if path.is_dir() else path.parent))
    if not path.is_file():
        raise LoadError(f"no model file or artifact at {path}", next_step="check the path, or run `edgekit convert` first")
    return _of_file(path, FORMATS.get(path.suffix.lower(), path.suffix.lstrip(".")))


def engine(chosen: str | TimedRuntime | None, model: Subject, device: Device | None = None) -> TimedRuntime:
    """The runtime asked for, or the first that runs the format; on `device`, or here for None.

    Raises:
        UsageError: It does not run the format, cannot be profiled, or cannot run on the device.
    """
    if device is not None:
        return cast(TimedRuntime, runtime_on(device, model.format, chosen, useless=_useless))
    runtime = load("runtimes", chosen) if isinstance(chosen, str) else chosen or runtime_for(model.format)
    if model.format not in runtime.formats:
        raise UsageError(f"runtime {runtime.name!r} does not run {model.format!r} files", accepted=runtime.formats)
    if not hasattr(runtime, "measure"):
        raise UsageError(f"runtime {runtime.name!r} cannot be profiled: {_why(runtime)}", next_step=getattr(runtime, "instead", None))
    return cast(TimedRuntime, runtime)


def _why(runtime: Runtime) -> str:
    says = getattr(runtime, "measures", None)
    return f"it gives {says}" if says else "it has no `measure`"


def _useless(there: Runtime) -> str | None:
    if hasattr(there, "measure") or hasattr(there, "count"):
        return None
    return "it is emulated, and nothing counts there: wall time of an emulator is no latency"


def feed(model: Subject, runtime: TimedRuntime, request: RunRequest) -> tuple[dict[str, np.ndarray], str]:
    """One sample without its batch dimension, in the file's dtypes, and where it is from.

    An artifact's first golden input; otherwise random numbers: normal for floats, uniform over an integer type of 8 or 16 bits,
    zeros for wider ones, which are mostly indices.
    """
    if model.artifact is not None:
        try:
            golden, _ = model.artifact.golden()
            return {s.name: encoded(s, golden)[0] for s in model.artifact.manifest.inputs}, "golden input 0"
        except EdgekitError:
            pass  # an artifact without golden inputs is measured all the same, and the record says on what
    specs = [TensorSpec.from_json(s) for s in runtime.inspect(request)["inputs"]]
    rng = np.random.default_rng(0)
    return {s.name: _random(s, rng) for s in specs}, "random, seed 0"


def _random(spec: TensorSpec, rng: np.random.Generator) -> np.ndarray:
    dtype, shape = np.dtype(spec.dtype), tuple(max(1, d) for d in spec.shape[1:])
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return np.zeros(shape, dtype)


def _of_artifact(artifact: Artifact) -> Subject:
    manifest = artifact.manifest
    name = artifact.path.resolve().name
    return Subject(name, artifact.model_file, manifest.format, artifact.model_bytes, manifest.model_sha256, manifest.ops, artifact)


def _of_file(path: Path, model_format: str) -> Subject:
    return Subject(path.name, path, model_format, path.stat().st_size, digests.of_file(path))


def _of_folder(path: Path, model_format: str) -> Subject:
    """A model that is a folder; its digest is the artifact's own."""
    size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return Subject(path.name, path, model_format, size, digests.of_folder(path))
