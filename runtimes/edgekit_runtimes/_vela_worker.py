"""What the Vela runtime does inside its worker process.

Vela names the rows of its report by tensors, and splits and fuses operators. So it gets a copy of the file in which every tensor is named
after the operator that makes it; what it derives from a name, it appends to it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np

from edgekit.errors import ConversionError, LoadError

_NAME = re.compile(r"op(\d+)x")
_BUILTINS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def estimate(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Compile the file; cycles by operator, memory, and where each runs."""
    names = _renamed(Path(arguments["model"]), folder / "model.tflite")
    _compile(arguments, folder)
    (summary,) = list(csv.DictReader(next(folder.glob("model_summary_*.csv")).read_text().splitlines()))
    cycles = _cycles(folder / "model_per-layer.csv")
    left = _on_cpu(folder / "model_vela.tflite")
    ops = [
        {"index": i, "name": name, "cycles": None if i in left else cycles.get(i, 0), "placed": "cpu" if i in left else "npu"}
        for i, name in enumerate(names)
    ]
    kib = {key: float(summary[f"{key}_memory_used"]) * 1024 for key in ("sram", "on_chip_flash", "off_chip_flash", "dram")}
    ram, flash = kib["sram"] + kib["dram"], kib["on_chip_flash"] + kib["off_chip_flash"]
    answer = {"cycles": int(float(summary["cycles_total"])), "clock_mhz": float(summary["core_clock"]) / 1e6, "ops": ops}
    return {**answer, "ram_bytes": round(ram), "flash_bytes": round(flash)}, {}


def _renamed(source: Path, target: Path) -> list[str]:
    """Write the copy; the operators' names."""
    try:
        model: Any = schema.ModelT.InitFromPackedBuf(source.read_bytes())
        graph = model.subgraphs[0]
        codes = [_BUILTINS[max(c.builtinCode, c.deprecatedBuiltinCode)] for c in model.operatorCodes]
    except Exception as error:  # a damaged file may lead the generated code anywhere
        raise LoadError(f"{source.name} is not a readable TFLite file: {error}", accepted="a whole .tflite file") from None
    for index, op in enumerate(graph.operators):
        for position, tensor in enumerate(op.outputs):
            graph.tensors[tensor].name = f"op{index}x{position}".encode()
    builder = flatbuffers.Builder(source.stat().st_size)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(builder.Output())
    return [codes[op.opcodeIndex] for op in graph.operators]


def _compile(arguments: Mapping[str, Any], folder: Path) -> None:
    from ethosu.vela import vela  # noqa: PLC0415 - slow, and after the file was found readable

    options = ["--accelerator-config", arguments["accelerator"], "--system-config", arguments["system_config"]]
    options += ["--memory-mode", arguments["memory_mode"], "--config", "Arm/vela.ini", "--verbose-performance", "--output-dir", str(folder)]
    try:
        code = vela.main([str(folder / "model.tflite"), *options])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except Exception as error:  # Vela's errors have no common base
        raise ConversionError(f"vela refuses the file: {type(error).__name__}: {error}") from None
    if code or not list(folder.glob("model_summary_*.csv")):
        raise ConversionError(f"vela refuses the file (exit code {code})", accepted="an int8 file of operators Vela reads")


def _cycles(report: Path) -> dict[int, int]:
    """Cycles by operator."""
    found: dict[int, int] = {}
    if report.exists():
        for row in csv.DictReader(report.read_text().splitlines()):
            if match := _NAME.search(row["Name"]):
                found[int(match[1])] = found.get(int(match[1]), 0) + int(float(row["Op Cycles"]))
    return found


def _on_cpu(compiled: Path) -> set[int]:
    """The operators that are left in the compiled file beside the NPU's own."""
    model: Any = schema.ModelT.InitFromPackedBuf(compiled.read_bytes())
    left: set[int] = set()
    for graph in model.subgraphs:
        for op in graph.operators:
            code = model.operatorCodes[op.opcodeIndex]
            if (code.customCode or b"") == b"ethos-u":
                continue
            for tensor in op.outputs:
                if match := _NAME.search(graph.tensors[tensor].name.decode("utf-8", "replace")):
                    left.add(int(match[1]))
    return left
