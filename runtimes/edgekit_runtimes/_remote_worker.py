"""`edgekit.worker` on a device that has Python: the same functions, the same files, another machine.

What a worker imports of edgekit goes there once, as one zip file whose bytes depend on nothing but the sources; Python imports from it.
The device brings numpy and the library that runs models.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import edgekit
from edgekit import worker
from edgekit.devices import Machine, Transport
from edgekit.errors import DeviceFailed
from edgekit_runtimes import _cache

OLDEST = (3, 11)
RESULTS = ("result.json", "result.npz")
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_LARGEST = 2**30
"""Bytes of results."""


@dataclass(frozen=True)
class RemoteWorker:
    """Runs workers' functions on a device."""

    device: Transport

    def run(
        self, function: str, arguments: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None, *, timeout: float = 600.0
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """As `edgekit.worker.run`; ``arguments["model"]`` is a file here, and goes there.

        Raises:
            DeviceFailed: The worker crashed, hung, or answered garbage.
            EdgekitError: The function raised this.
        """
        device, sources = self.device, self.device.push(_sources())
        there = {**arguments, "model": device.push(Path(arguments["model"]))}
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name, device.scratch() as folder:
            here = Path(name)
            worker.write_job(here, function, there, arrays)
            for file in ("job.json", "arrays.npz"):
                device.put(here / file, f"{folder}/{file}")
            command = ["python3", "-P", "-m", "edgekit.worker", folder]
            environment = {"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}
            done = device.run(command, folder=folder, environment=environment, timeout=timeout)
            (here / "log").write_bytes(done.stderr)
            done.require(f"the worker of {function.rpartition(':')[2]}")
            for file in RESULTS:
                device.pull(f"{folder}/{file}", here / file, limit=_LARGEST)
            return _read(function, here)


def refusal(machine: Machine, package: str) -> str | None:
    """Why a worker that needs `package` cannot run on a machine, or None."""
    python = machine.versions.get("python", "0")
    if machine.emulator:
        return "it is emulated: wall time there is no latency"
    if tuple(int(part) for part in python.split(".")[:2] if part.isdecimal()) < OLDEST:
        return f"it has no Python {'.'.join(map(str, OLDEST))} or newer"
    return None if package in machine.versions else f"its Python has no {package}"


def _read(function: str, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        return worker.read_result(function, folder)
    except worker.WorkerCrashed as error:
        raise DeviceFailed(f"on the device: {error.message}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DeviceFailed(f"the worker on the device answered garbage: {error}", next_step="run again") from None


@cache
def _sources() -> Path:
    """The zip file: edgekit's nouns and the runtimes' own worker modules."""
    files = dict(sorted(_modules()))
    key = {"form": 1, "files": {name: path.read_text(encoding="utf-8") for name, path in files.items()}}
    return _cache.kept("sources", key, lambda folder: _pack(files, folder / "edgekit-sources.zip")) / "edgekit-sources.zip"


def _modules() -> Iterator[tuple[str, Path]]:
    packages = {"edgekit": Path(edgekit.__file__).parent, "edgekit_runtimes": Path(__file__).parent}
    for package, root in packages.items():
        for pattern in ("*.py", "targets/*.py"):
            for path in root.glob(pattern):
                if not path.name.endswith("_test.py") and path.name != "conftest.py":
                    yield f"{package}/{path.relative_to(root).as_posix()}", path


def _pack(files: Mapping[str, Path], target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            archive.writestr(zipfile.ZipInfo(name, _TIMESTAMP), path.read_bytes())
