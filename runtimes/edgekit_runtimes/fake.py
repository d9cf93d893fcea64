"""Runs what `edgekit_converters.fake` writes, with torch: a runtime without vendor code, so in this process.

`RunRequest.options` takes ``fail``: ``abort``, ``segfault``, ``hang``, ``oom`` or ``noise``, in a worker process, to see
what callers make of it, and ``timeout`` (seconds, 600).
"""

from __future__ import annotations

import ctypes
import io
import json
import operator
import os
import signal
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import worker
from edgekit.errors import DataError, LoadError
from edgekit.plugins import RunRequest
from edgekit.tensors import TensorSpec


@dataclass(frozen=True)
class FakeRuntime:
    """Runs ``.fake`` files."""

    name: str = "fake"
    formats: tuple[str, ...] = ("fake",)
    extra: str = "test"

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run each sample by itself.

        Raises:
            LoadError: Not a ``.fake`` file.
            DataError: The inputs are not the model's.
            WorkerCrashed: It was asked to fail.
        """
        arguments = {"model": str(request.model.resolve()), **request.options}
        arrays = {k: np.asarray(v) for k, v in inputs.items()}
        if "fail" not in arguments:
            return serve(arguments, arrays, request.model.parent)[1]
        return worker.run(f"{__name__}:serve", arguments, arrays, timeout=float(request.options.get("timeout", 600.0)))[1]

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """The file's inputs, outputs and operators; none is delegated."""
        document, _ = _read(request.model)
        ops = [{"index": i, "name": n["target"], "delegated": False} for i, n in enumerate(document["nodes"])]
        return {"inputs": document["inputs"], "outputs": document["outputs"], "ops": ops}


def serve(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `FakeRuntime.run` does, in its worker or here."""
    document, constants = _read(Path(arguments["model"]))
    fail(arguments.get("fail"), document)
    specs = [TensorSpec.from_json(s) for s in document["inputs"]]
    outputs = [TensorSpec.from_json(s) for s in document["outputs"]]
    _check(specs, arrays)
    rows = [_run(document, constants, specs, outputs, {k: v[i] for k, v in arrays.items()}) for i in range(len(arrays[specs[0].name]))]
    return {}, {s.name: np.stack([row[k] for row in rows]) for k, s in enumerate(outputs)}


def fail(how: str | None, document: dict[str, Any]) -> None:
    """Do what native code does at its worst."""
    if how == "abort":
        os.write(2, b"no_integer_overflow_from_quantization was not true.Node number 0 (FAKE) failed to prepare.\n")
        os.abort()
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "oom":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "hang":
        time.sleep(3600)
    elif how == "noise":
        for node in document["nodes"]:
            if node["target"] == "aten.relu.default":
                node["target"] = "aten.neg.default"


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        document: dict[str, Any] = json.loads(members.pop("graph.json"))
        constants = {k.removesuffix(".npy"): np.load(io.BytesIO(v), allow_pickle=False) for k, v in members.items()}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise LoadError(f"{path.name} is not a .fake model: {error}") from None
    return document, constants


def _check(specs: list[TensorSpec], arrays: Mapping[str, np.ndarray]) -> None:
    if set(arrays) != {s.name for s in specs}:
        raise DataError(f"the model's inputs were given as {sorted(arrays)}", accepted=[s.name for s in specs])
    for spec in specs:
        got = arrays[spec.name]
        if str(got.dtype) != spec.dtype or got.shape[1:] != spec.shape[1:]:
            raise DataError(f"input {spec.name!r} is {got.dtype}{list(got.shape[1:])}", accepted=f"{spec.dtype}{list(spec.shape[1:])}")


def _run(
    document: dict[str, Any],
    constants: Mapping[str, np.ndarray],
    inputs: list[TensorSpec],
    outputs: list[TensorSpec],
    sample: Mapping[str, np.ndarray],
) -> list[np.ndarray]:
    import torch  # noqa: PLC0415 - in the worker only

    import edgekit.ops  # noqa: F401, PLC0415 - registers edgekit's operators

    values: dict[str, Any] = {}
    for name, spec in zip(document["placeholders"], inputs, strict=True):
        array = sample[spec.name][None]
        values[name] = torch.from_numpy(array if spec.grid is None else spec.grid.to_reals(array))
    for node in document["nodes"]:
        args = [_value(a, values, constants) for a in node["args"]]
        kwargs = {k: _value(v, values, constants) for k, v in node["kwargs"].items()}
        values[node["name"]] = _target(node["target"])(*args, **kwargs)
    results = [_value(r, values, constants).numpy() for r in document["results"]]
    return [(r if s.grid is None else s.grid.to_integers(r))[0] for r, s in zip(results, outputs, strict=True)]


def _target(name: str) -> Any:
    import torch  # noqa: PLC0415

    if name == "getitem":
        return operator.getitem
    found = torch.ops
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _value(argument: Any, values: Mapping[str, Any], constants: Mapping[str, np.ndarray]) -> Any:
    import torch  # noqa: PLC0415

    if isinstance(argument, list):
        return [_value(a, values, constants) for a in argument]
    if not isinstance(argument, dict):
        return argument
    if "node" in argument:
        return values[argument["node"]]
    return torch.from_numpy(constants[argument["constant"]]) if "constant" in argument else getattr(torch, argument["dtype"])


RUNTIME = FakeRuntime()
