"""MNN's converter, called natively. Runs in a worker: it aborts on what it cannot convert, and writes scratch files where it stands."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import ConversionError
from edgekit.worker import WorkerCrashed

_UNSUPPORTED = re.compile(r"These Op Not Support: (.+)|Don't support op:\s*(\S+)|Can't convert (?:onnx )?op:?\s*(\S+)", re.IGNORECASE)


def convert(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Convert the ONNX file ``arguments["model"]`` to ``arguments["result"]``, with ``arguments["options"]``."""
    import _tools  # noqa: PLC0415 - the native entry point alone: the package's Python commands report to their makers

    os.chdir(folder)
    result = Path(arguments["result"])
    _tools.mnnconvert(
        [
            "MNNConvert",
            "-f",
            "ONNX",
            "--modelFile",
            arguments["model"],
            "--MNNModel",
            str(result),
            "--bizCode",
            "edgekit",
            *arguments["options"],
        ]
    )
    return {"written": result.is_file() and result.stat().st_size > 0}, {}


def refusal(crash: WorkerCrashed, modules: Mapping[str, str]) -> ConversionError:
    """What MNN's converter said as it gave up, with the operator where it names one.

    Args:
        crash: Its end.
        modules: Path of the user's module by ONNX operator, for those that one module has.
    """
    found = _UNSUPPORTED.search(crash.crash.log)
    named = next((g for g in found.groups() if g), "") if found else ""
    op = named.strip().split(" ")[0].split("::")[-1] or None
    said = f"it has no {op}" if op else f"{crash.crash.reason}{_last_line(crash.crash.log)}"
    return ConversionError(
        f"MNN's converter refuses the model: {said}",
        op=op,
        module=modules.get(op or ""),
        next_step="convert for another target, or replace the operator in your module",
    )


def _last_line(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith(("The device supports", "Traceback", "  "))]
    return f": {lines[-1][:200]}" if lines else ""
