"""Arm's compiler for Ethos-U NPUs as an estimator: cycles, memory, and which operators it leaves to the CPU. It runs nothing."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgekit import plugins, worker
from edgekit.counting import EstimatedOp, EstimatedRun
from edgekit.errors import ConversionError, UsageError
from edgekit.plugins import RunRequest, require
from edgekit.targets import load_target

DEFAULT = "ethos-u55"
ACCELERATORS = (
    *("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512"),
    *("ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048"),
)


@dataclass(frozen=True)
class Vela:
    """Estimates int8 ``.tflite`` files.

    ``RunRequest.options["target"]`` names the target whose table ``vela`` says what to estimate for (``accelerator``,
    ``system_config``, ``memory_mode``); by default ``ethos-u55``.
    """

    name: str = "vela"
    formats: tuple[str, ...] = ("litert",)
    extra: str = "microcontrollers"

    def version(self) -> str:
        """``ethos-u-vela 5.2.0``."""
        require("ethosu", self.extra)
        return f"ethos-u-vela {importlib.metadata.version('ethos-u-vela')}"

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Vela compiles and runs nothing."""
        raise UsageError(
            "vela runs no models: it estimates", accepted="--runtime tflite_micro runs the same file's kernels on this machine"
        )

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """What the file holds."""
        reader = plugins.load("converters", "litert").reader
        described = worker.run(reader, {"model": str(request.model.resolve())}, timeout=120)[0]
        ops = [{"index": op["index"], "name": op["name"], "delegated": False} for op in described["ops"]]
        return {"inputs": described["inputs"], "outputs": described["outputs"], "ops": ops}

    def estimate(self, request: RunRequest) -> EstimatedRun:
        """See `edgekit.counting.EstimatingRuntime`.

        Raises:
            LoadError: It is no TFLite file.
            ConversionError: Vela refuses the file, or fails on it.
            UsageError: The target says nothing, or something impossible, of an NPU.
        """
        require("ethosu", self.extra)
        require("ai_edge_litert", "litert")
        setup = _setup(request.options.get("target"))
        arguments = {"model": str(request.model.resolve()), **setup}
        try:
            told, _ = worker.run("edgekit_runtimes._vela_worker:estimate", arguments, timeout=float(request.options.get("timeout", 600.0)))
        except worker.WorkerCrashed as crash:
            raise ConversionError(f"vela failed on {request.model.name}: {crash.crash.reason}") from None
        basis = (
            f"Vela's performance model of {setup['accelerator']} in {setup['system_config']}, {setup['memory_mode']}; "
            "Arm gives no bounds for its error, and the CPU's part is not in it"
        )
        ops = tuple(EstimatedOp(**op) for op in told["ops"])
        memory = {"ram_bytes": told["ram_bytes"], "flash_bytes": told["flash_bytes"]}
        return EstimatedRun(told["cycles"], told["clock_mhz"], ops, setup["accelerator"], basis, **memory)


def _setup(target: str | None) -> dict[str, str]:
    """What to estimate for."""
    table = load_target(target).extra.get("vela") if target else None
    if table is None:
        table = load_target(DEFAULT).extra["vela"]
    missing = [k for k in ("accelerator", "system_config", "memory_mode") if not isinstance(table.get(k), str)]
    if missing or table["accelerator"] not in ACCELERATORS:
        raise UsageError(
            f"target {target!r} has an unusable table 'vela'",
            accepted=f"accelerator (one of {', '.join(ACCELERATORS)}), system_config, memory_mode",
        )
    return {k: table[k] for k in ("accelerator", "system_config", "memory_mode")}


RUNTIME = Vela()
