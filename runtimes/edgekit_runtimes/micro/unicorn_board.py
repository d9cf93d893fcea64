"""A board in Unicorn, which needs nothing but its Python package, and is slower than QEMU.

Unicorn is a library without boards: memory, a serial port and the counting of blocks are written here. Each exchange boots the firmware
in a worker process and says again what the board was told before, so that a crash of native code stays there and nothing is left over.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import worker
from edgekit.devices import framing
from edgekit.errors import DeviceFailed
from edgekit.plugins import require
from edgekit_runtimes.micro.boards import EmulatedBoard
from edgekit_runtimes.micro.marks import Kind, Mark
from edgekit_runtimes.micro.thumb import CLASSES, MARKS, classes_of, is_wide

STARTUP_SECONDS = 120.0
"""A worker's own start, and the exchanges that are said again."""
_PAGE = 0x1000
_PRIVATE_BUS = 0xE0000000
_DATA, _STATE, _RECEIVED = 0x0, 0x4, 2
_WAIT = b"\x30\xbf"
"""The instruction WFI: the firmware has read all there is."""


class UnicornBoard:
    """A board as it is after some exchanges.

    Args:
        board: Which.
        firmware: ELF image.
    """

    def __init__(self, board: EmulatedBoard, firmware: Path) -> None:
        require("unicorn", "microcontrollers")
        require("elftools", "microcontrollers")
        self.version = f"unicorn {importlib.metadata.version('unicorn')}"
        self._board, self._firmware = board, firmware
        self._loaded: bytes = b""
        self._marks: tuple[Mark, ...] = ()

    def exchange(self, message: bytes, *, timeout: float) -> bytes:
        """Send a message, return the answer.

        Raises:
            DeviceFailed: No answer in time, or garbage.
        """
        before = framing.encode(self._loaded) if self._loaded else b""
        board = {"cpu": self._board.unicorn, "code_at": self._board.code_at, "ram_at": self._board.ram_at, "uart": self._board.uart}
        sizes = {"code_bytes": self._board.code_bytes, "ram_bytes": self._board.ram_bytes}
        line = np.frombuffer(before + framing.encode(message), np.uint8)
        try:
            told, arrays = worker.run(
                f"{__name__}:serve", {"firmware": str(self._firmware), **board, **sizes}, {"line": line}, timeout=timeout + STARTUP_SECONDS
            )
        except worker.WorkerCrashed as crash:
            raise DeviceFailed(f"the emulated board failed: {crash.crash.reason}") from None
        answers = _frames(arrays["line"].tobytes())
        if len(answers) != 1 + bool(before):
            raise DeviceFailed("the emulated board gave no answer")
        if message[:1] == b"l" and answers[-1] == b"k":
            self._loaded = message
        self._marks += tuple(Mark(Kind(kind), tuple(counts)) for kind, *counts in told["marks"])
        return answers[-1]

    def marks(self) -> tuple[Mark, ...]:
        """Those passed since this was last asked."""
        fresh, self._marks = self._marks, ()
        return fresh

    def close(self) -> None:
        """Nothing runs between exchanges."""


def _frames(content: bytes) -> list[bytes]:
    """The payloads of all frames, boot messages left out."""
    found, at = [], 0

    def read(count: int) -> bytes:
        nonlocal at
        part = content[at : at + count]
        at += count
        if len(part) < count:
            raise EOFError
        return part

    try:
        while True:
            found.append(framing.decode(read))
    except EOFError:
        return found


def serve(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Boot the firmware, let it read the line to its end, and return what it sent and the marks it passed. Runs in a worker."""
    core = _Core(arguments, arrays["line"].tobytes())
    core.run()
    return {"marks": core.marks}, {"line": np.frombuffer(bytes(core.sent), np.uint8)}


class _Core:
    """A Cortex-M with its memories and a serial port."""

    def __init__(self, arguments: Mapping[str, Any], line: bytes) -> None:
        unicorn: Any = importlib.import_module("unicorn")  # in the worker only
        arm_const: Any = importlib.import_module("unicorn.arm_const")
        from elftools.elf.elffile import ELFFile  # noqa: PLC0415

        self._engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._engine.ctl_set_cpu_model(getattr(arm_const, arguments["cpu"]))
        self._engine.mem_map(arguments["code_at"], arguments["code_bytes"])
        self._engine.mem_map(arguments["ram_at"], arguments["ram_bytes"])
        self._engine.mem_map(_PRIVATE_BUS, 16 * _PAGE)
        self._engine.mmio_map(arguments["uart"], _PAGE, self._uart_read, None, self._uart_write, None)
        with Path(arguments["firmware"]).open("rb") as file:
            for segment in ELFFile(file).iter_segments():
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                    self._engine.mem_write(segment["p_paddr"], segment.data())
        stack, self._start = np.frombuffer(bytes(self._engine.mem_read(arguments["code_at"], 8)), "<u4").tolist()
        self._engine.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self._engine.hook_add(unicorn.UC_HOOK_BLOCK, self._entered)
        self._line, self._at, self.sent = line, 0, bytearray()
        self._blocks: dict[tuple[int, int], tuple[list[tuple[np.ndarray, int | None]], bool]] = {}
        self._counts = np.zeros(1 + len(CLASSES), np.int64)
        self.marks: list[list[int]] = []

    def run(self) -> None:
        """Until the firmware waits for more than there is."""
        self._engine.emu_start(self._start | 1, 0xFFFFFFFF)

    def _uart_read(self, engine: Any, offset: int, size: int, data: Any) -> int:
        if offset == _STATE:
            return _RECEIVED if self._at < len(self._line) and self._booted else 0
        if offset == _DATA and self._booted and self._at < len(self._line):
            self._at += 1
            return self._line[self._at - 1]
        return 0

    @property
    def _booted(self) -> bool:
        """Whether the firmware listens: what it reads before its first words is what lay in the port."""
        return bool(self.sent)

    def _uart_write(self, engine: Any, offset: int, size: int, value: int, data: Any) -> None:
        if offset == _DATA:
            self.sent.append(value & 0xFF)

    def _entered(self, engine: Any, address: int, size: int, data: Any) -> None:
        """A block begins, and will run to its end: count it, in pieces where it holds marks. Waiting for what never comes ends it all."""
        block = self._blocks.get((address, size))
        if block is None:
            code = bytes(engine.mem_read(address, size))
            block = self._blocks[address, size] = (_pieces(code), _WAIT in code)
        pieces, waits = block
        if waits and self._at == len(self._line):
            engine.emu_stop()
        for counts, mark in pieces:
            self._counts += counts
            if mark is not None:
                self.marks.append([mark, *self._counts.tolist()])


def _pieces(code: bytes) -> list[tuple[np.ndarray, int | None]]:
    """The instructions of a block, counted by class, up to each mark and after the last."""
    halves = np.frombuffer(code[: len(code) // 2 * 2], "<u2").tolist()
    found: list[tuple[np.ndarray, int | None]] = []
    counts = np.zeros(1 + len(CLASSES), np.int64)
    at = 0
    while at < len(halves):
        half, wide = halves[at], is_wide(halves[at])
        if not wide and half in MARKS:
            found.append((counts, MARKS[half]))
            counts = np.zeros(1 + len(CLASSES), np.int64)
        else:
            counts[0] += 1
            for name in classes_of(half, halves[at + 1] if wide and at + 1 < len(halves) else 0):
                counts[1 + CLASSES.index(name)] += 1
        at += 1 + wide
    return [*found, (counts, None)]
