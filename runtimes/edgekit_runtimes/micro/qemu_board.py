"""A board in a QEMU process: its serial line is a socket, its instructions are counted by a plugin."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from edgekit.devices import framing
from edgekit.errors import DeviceFailed, DeviceLost
from edgekit_runtimes import _compiling
from edgekit_runtimes.micro import marks
from edgekit_runtimes.micro.boards import FOLDER, EmulatedBoard
from edgekit_runtimes.micro.marks import Mark
from edgekit_runtimes.transports._qemu import Qemu

PROGRAM = "qemu-system-arm"
START_SECONDS = 20.0


class QemuBoard:
    """A running board.

    Args:
        board: Which.
        firmware: ELF image.
        emulator: QEMU.

    Raises:
        DeviceFailed: QEMU does not start.
    """

    def __init__(self, board: EmulatedBoard, firmware: Path, emulator: Qemu) -> None:
        self.version = str(emulator)
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-")
        folder = Path(self._folder.name)
        self._out, self._read = folder / "marks", 0
        self._log = (folder / "log").open("wb")
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(folder / "line"))
            listener.listen(1)
            command = [*command_line(emulator, board, firmware, self._out), "-chardev", f"socket,id=line,path={folder / 'line'}"]
            self._process = subprocess.Popen(
                [*command, "-serial", "chardev:line"], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
            )
            self._line = self._accepted(listener)
        finally:
            listener.close()
        self._await_boot()

    def exchange(self, message: bytes, *, timeout: float) -> bytes:
        """Send a message, return the answer.

        Raises:
            DeviceFailed: No answer in time, or garbage.
            DeviceLost: The emulator ended.
        """
        end = time.monotonic() + timeout
        try:
            self._line.settimeout(timeout)
            self._line.sendall(framing.encode(message))
            return framing.decode(lambda count: self._received(count, end))
        except TimeoutError:
            raise DeviceFailed(f"the emulated board gave no answer within {timeout:.0f} s") from None
        except OSError as error:
            raise DeviceLost(f"the emulator is gone: {self._reason() or error.strerror}") from None

    def marks(self) -> tuple[Mark, ...]:
        """Those passed since this was last asked."""
        text = self._out.read_text(encoding="ascii", errors="replace")
        fresh, self._read = text[self._read :], len(text)
        return marks.read(fresh)

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._line.close()
        stop(self._process)
        self._log.close()
        self._folder.cleanup()

    def _accepted(self, listener: socket.socket) -> socket.socket:
        """QEMU's end of the line, once it has started."""
        listener.settimeout(0.1)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(TimeoutError):
                return listener.accept()[0]
        reason = self._reason() or f"nothing came within {START_SECONDS:.0f} s"
        stop(self._process)
        self._log.close()
        self._folder.cleanup()
        raise DeviceFailed(f"the emulator does not start: {reason}")

    def _await_boot(self) -> None:
        """Until the firmware listens: QEMU's serial port forgets to take what was sent before."""
        end = time.monotonic() + START_SECONDS
        try:
            while self._received(1, end) != b"\n":
                pass
        except (OSError, DeviceLost) as error:
            self.close()
            raise DeviceFailed("the firmware does not start on the emulated board") from error

    def _received(self, count: int, end: float) -> bytes:
        content = bytearray()
        while len(content) < count:
            self._line.settimeout(max(0.001, end - time.monotonic()))
            part = self._line.recv(min(65536, count - len(content)))
            if not part:
                raise DeviceLost(f"the emulator ended in the middle of an answer: {self._reason() or 'no message'}")
            content += part
        return bytes(content)

    def _reason(self) -> str:
        """QEMU's last words."""
        with suppress(OSError):
            lines = (Path(self._folder.name) / "log").read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""


def command_line(emulator: Qemu, board: EmulatedBoard, image: Path, out: Path) -> list[str]:
    """QEMU with an image on a board, counting into a file; how the serial line goes is left to the caller."""
    quiet = ("-display", "none", "-monitor", "none", "-nodefaults")
    return [emulator.path, "-M", board.machine, *quiet, "-plugin", f"{counter()},out={out}", "-kernel", str(image)]


def counter() -> Path:
    """The plugin, built once and kept."""
    flags = ("-O2", "-std=gnu17", "-Wall", "-shared", "-fPIC")
    return _compiling.compiled(FOLDER / "counter.c", "gcc", flags, name="edgekit-counter.so", package="gcc")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, whatever it does."""
    process.kill()
    process.wait()


def execute(board: EmulatedBoard, image: Path, emulator: Qemu, timeout: float) -> tuple[tuple[Mark, ...], bytes]:
    """Run a user's own image until it ends itself by semihosting (``exit`` of newlib's rdimon); its marks, and what it printed.

    Semihosting lets the image read and write this machine's files, as a debugger would.

    Raises:
        DeviceFailed: It hangs, or ends with an error.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        out = Path(name) / "marks"
        out.touch()
        command = [*command_line(emulator, board, image, out), "-semihosting-config", "enable=on,target=native", "-serial", "null"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout, cwd=name)
        except subprocess.TimeoutExpired:
            raise DeviceFailed(
                f"{image.name} did not end within {timeout:.0f} s",
                accepted="an image that ends by semihosting: link with --specs=rdimon.specs and return from main",
            ) from None
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise DeviceFailed(f"{image.name} ended with code {done.returncode}" + (f": {words[-1][:300]}" if words else ""))
        return marks.read(out.read_text(encoding="ascii", errors="replace")), done.stdout + done.stderr
