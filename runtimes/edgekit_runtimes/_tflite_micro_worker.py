"""What the tflite-micro runtime does inside its worker process."""

from __future__ import annotations

import importlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tflite_micro.python.tflite_micro import runtime as tflm

from edgekit.errors import ConversionError
from edgekit_runtimes import _sessions
from edgekit_runtimes._sessions import Answer, Arrays, Port

LARGEST_ARENA = 256 * 2**20
STEP = 16
"""Arenas are aligned to so many bytes."""
_RECORD = re.compile(r"'([^']+)' used (\d+) bytes|Arena allocation (total|head|tail) (\d+) bytes")
_NO_KERNEL = re.compile(r"(?:Didn't find op for builtin opcode|Failed to get registration from op code) '?(?:CUSTOM)?'?\s*'?([A-Z0-9_]+)'?")
_KERNEL_FAILED = re.compile(r"Node ([A-Z0-9_]+) \(number (\d+)f?\) failed")


def run(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Run every sample."""
    return _sessions.run(Session(arguments, folder), arrays)


def inspect(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Load and allocate; what is in the file, and what memory it needs."""
    session = Session(arguments, folder)
    ports = {side: [p.to_json() for p in getattr(session, side)] for side in ("inputs", "outputs")}
    ops = [{"index": i, "name": name, "delegated": False} for i, name in enumerate(session.op_names)]
    return {**ports, "ops": ops, "arena_bytes": session.smallest_arena(), "arena": session.record()}, {}


class Session:
    """A model in a tflite-micro interpreter, addressed by the names of its signature.

    Args:
        arguments: ``model``: its path; ``reader``: what describes such a file.
        folder: To write to.

    Raises:
        LoadError: It is no TFLite file.
        ConversionError: tflite-micro cannot run it.
    """

    def __init__(self, arguments: Mapping[str, Any], folder: Path) -> None:
        self.model = Path(arguments["model"])
        _sessions.require_file(self.model)
        described = _read(str(arguments["reader"]), self.model, folder)
        if described["subgraphs"] > 1:
            raise ConversionError(f"{self.model.name} has {described['subgraphs']} subgraphs; only files with one are run here")
        self.op_names = [op["name"] for op in described["ops"]]
        self.inputs, self.outputs = (tuple(_port(s) for s in described[side]) for side in ("inputs", "outputs"))
        self.content = self.model.read_bytes()
        self._interpreter = self._opened(LARGEST_ARENA)

    def fit(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Shapes are fixed: a microcontroller plans its memory once."""
        wrong = [p.name for p in self.inputs if shapes.get(p.name, p.shape) != p.shape]
        if wrong:
            raise ConversionError(f"tflite-micro cannot resize inputs {wrong}", next_step="convert with --dims or --batch")

    def feed(self, name: str, value: np.ndarray) -> None:
        """Give an input its value."""
        index = next(i for i, p in enumerate(self.inputs) if p.name == name)
        self._interpreter.set_input(value, index)

    def invoke(self) -> None:
        """Run once.

        Raises:
            ConversionError: A kernel refused.
        """
        self._told("run", self._interpreter.invoke)

    def fetch(self) -> dict[str, np.ndarray]:
        """All outputs of the last run, by name."""
        return {p.name: self._interpreter.get_output(i).copy() for i, p in enumerate(self.outputs)}

    def reset(self) -> None:
        """Forget the variables."""
        self._interpreter.reset()

    def bare_call(self) -> Callable[[], object]:
        """Not timed here."""
        raise NotImplementedError

    idle_call = bare_call

    def arena_bytes(self) -> int | None:
        """The smallest arena."""
        return self.smallest_arena()

    def record(self) -> dict[str, int]:
        """tflite-micro's own account of its arena, in bytes by what they are for."""
        with _stderr() as said:
            self._interpreter.print_allocations()
            words = said()
        found: dict[str, int] = {}
        for name, used, part, size in _RECORD.findall(words):
            found[part or name] = found.get(part or name, 0) + int(size or used)
        return found

    def smallest_arena(self) -> int:
        """The least multiple of 16 bytes in which the model allocates and runs, by bisection.

        It is looked for near what was recorded in an arena without limits: in one far too small for its own first objects,
        tflite-micro writes past the end instead of refusing.
        """
        total = self.record()["total"]
        low, high = max(768, total // 2) // STEP * STEP, -(-total // STEP) * STEP
        while not self._runs_in(high):
            low, high = high, 2 * high
        while high - low > STEP:
            middle = (low + high) // 2 // STEP * STEP
            low, high = (low, middle) if self._runs_in(middle) else (middle, high)
        return high

    def _runs_in(self, size: int) -> bool:
        try:
            with _stderr():
                interpreter = tflm.Interpreter(self.content, [], size)
                interpreter.invoke()
        except RuntimeError:
            return False
        return True

    def _opened(self, arena: int) -> Any:
        recording = tflm.InterpreterConfig.kAllocationRecording
        return self._told("prepare", lambda: tflm.Interpreter(self.content, [], arena, recording))

    def _told(self, doing: str, call: Callable[[], Any]) -> Any:
        """What a call returns; its refusal in the file's own terms, with the operator's number, which leads to the user's module."""
        with _stderr() as said:
            try:
                return call()
            except (RuntimeError, ValueError) as error:
                words = said()
                raise self._refusal(doing, words, str(error)) from None

    def _refusal(self, doing: str, words: str, error: str) -> ConversionError:
        if (found := _NO_KERNEL.search(words)) and found[1] in self.op_names:
            index = self.op_names.index(found[1])
            advice = "use another operation in the model; edgekit targets cortex-m4 lists those with int8 kernels"
            return ConversionError(f"tflite-micro has no kernel for {found[1]} (node number {index})", next_step=advice)
        if found := _KERNEL_FAILED.search(words):
            index = int(found[2])
            reason = next((line for line in words.splitlines() if line and not _KERNEL_FAILED.search(line)), error)
            return ConversionError(f"tflite-micro's kernel of {found[1]} (node number {index}) cannot {doing}: {reason.strip()}")
        lines = [line.strip() for line in words.splitlines() if line.strip()] or [error]
        return ConversionError(f"tflite-micro cannot {doing} {self.model.name}: {lines[0]}")


def _read(reader: str, model: Path, folder: Path) -> dict[str, Any]:
    module, _, function = reader.partition(":")
    described: dict[str, Any] = getattr(importlib.import_module(module), function)({"model": str(model)}, {}, folder)[0]
    return described


def _port(spec: Mapping[str, Any]) -> Port:
    grid = spec["grid"]
    told = (tuple(grid["scale"]), tuple(grid["zero_point"]), grid["axis"] or 0) if grid else ((), (), 0)
    shape = tuple(spec["shape"])
    return Port(spec["name"], shape, (False,) * len(shape), np.dtype(spec["dtype"]), told)


@contextmanager
def _stderr() -> Iterator[Callable[[], str]]:
    """Catch what native code writes to standard error; the function yielded gives it."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)

        def said() -> str:
            file.seek(0)
            return file.read().decode("utf-8", "replace")

        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
