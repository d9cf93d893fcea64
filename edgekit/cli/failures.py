"""How a command fails: an exit code, and text that says what was wrong and what to do about it."""

from __future__ import annotations

import errno
import sys
import traceback
from contextlib import suppress

from edgekit.cli.terminal import Terminal
from edgekit.errors import ConversionError, EdgekitError, GateFailed, UsageError

INTERNAL, INTERRUPTED = 70, 130


def failed(error: BaseException, terminal: Terminal) -> int:
    """Tell the user about `error`; returns the exit code."""
    if isinstance(error, KeyboardInterrupt):
        terminal.err.write("\ninterrupted\n")
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else INTERNAL
    error = _translated(error)
    if terminal.debug or not isinstance(error, (UsageError, GateFailed)):  # the user's own doing needs no traceback
        traceback.print_exception(error, file=sys.stderr)
    if terminal.as_json:
        with suppress(OSError):
            terminal.emit("edgekit.error/1", {"error": as_data(error, terminal)})
            terminal.out.flush()
    write(error, terminal)
    return error.exit_code if isinstance(error, EdgekitError) else INTERNAL


def _translated(error: BaseException) -> BaseException:
    """What the machine lacks is neither the model's fault nor ours."""
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("edgekit"):
        return UsageError(f"the package {error.name!r} is not installed", next_step="edgekit doctor says what to install")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UsageError("the disk is full", next_step="free some space, or write elsewhere")
    return error


def write(error: BaseException, terminal: Terminal, subject: str = "") -> None:
    """Print an error for a reader, with what it is about where several things were done at once."""
    from rich.text import Text

    console = terminal.console(terminal.err)
    if isinstance(error, EdgekitError):
        head, *rest = str(error).splitlines()
        console.print(Text("error: ", "bold red") + Text(f"{subject}: {head}" if subject else head, "bold"))
        for line in rest:
            console.print(Text(line))
        if log := _log(terminal):
            console.print(Text(f"  log: {log}", "dim"))
        return
    console.print(Text("internal error: ", "bold red") + Text(f"{type(error).__name__}: {error}"))
    console.print(Text("  This is a defect of edgekit, not of your model."))
    if log := _log(terminal):
        console.print(Text(f"  log: {log} (the traceback is there; --debug shows it)"))
    console.print(Text("  next: report it to edgekit's maintainers with that log and the output of: edgekit doctor --json"))


def _log(terminal: Terminal) -> str | None:
    """Where the libraries' output is, if there was any."""
    return str(terminal.log) if not terminal.debug and terminal.log.stat().st_size else None


def as_data(error: BaseException, terminal: Terminal) -> dict[str, object]:
    """An error as JSON."""
    data: dict[str, object] = {"type": type(error).__name__, "log": _log(terminal)}
    if not isinstance(error, EdgekitError):
        return data | {"message": str(error), "exit_code": INTERNAL}
    data |= {"message": error.message, "accepted": error.accepted, "module": error.module, "next": error.next_step}
    if isinstance(error, ConversionError):
        data |= {"op": error.op, "shapes": [list(s) for s in error.shapes] if error.shapes else None}
    return data | {"exit_code": error.exit_code}
