"""What a command may write to: results on the real stdout, progress on the real stderr, everything else in a log file.

Vendors' libraries print banners and warnings from Python and from C. `diverted` points file descriptors 1 and 2 at a
log file for the length of a command and keeps the originals for edgekit's own output, so that no library's noise reaches
the terminal and ``--json`` is alone on stdout.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

KEPT_LOGS = 20


@dataclass(frozen=True)
class Terminal:
    """Where a command's output goes.

    Attributes:
        out: The real stdout: results.
        err: The real stderr: progress, warnings and errors.
        log: The file that holds everything else.
        as_json: Whether stdout takes JSON instead of tables.
        debug: Whether nothing is diverted and tracebacks are shown.
        quiet: Whether progress is kept quiet even on a terminal.
    """

    out: TextIO
    err: TextIO
    log: Path
    as_json: bool = False
    debug: bool = False
    quiet: bool = False

    def console(self, stream: TextIO | None = None) -> Console:
        """A rich console on `stream` (default `out`), as wide as that terminal."""
        from rich.console import Console

        class Plain(Console):
            """Leaves a closed pipe to the command, where rich would exit with 1."""

            def on_broken_pipe(self) -> None:
                raise BrokenPipeError

        stream = self.out if stream is None else stream
        return Plain(file=stream, width=_width(stream), highlight=False, markup=False, soft_wrap=not stream.isatty())

    def show(self, *renderables: Any) -> None:
        """Print tables or text for a reader."""
        console = self.console()
        for item in renderables:
            console.print(item)

    def emit(self, schema: str, data: Mapping[str, Any]) -> None:
        """Print one JSON document; `schema` names its form and version (``edgekit.profile/1``)."""
        self.emit_document({"schema": schema, **data})

    def emit_document(self, document: Mapping[str, Any]) -> None:
        """Print a JSON document that names its schema itself."""
        json.dump(document, self.out, indent=2)
        self.out.write("\n")


@contextmanager
def diverted(name: str, *, as_json: bool, debug: bool, quiet: bool) -> Iterator[Terminal]:
    """Divert stdout and stderr to a log file for the block (not with `debug`). An empty log is deleted."""
    if debug:
        yield Terminal(sys.stdout, sys.stderr, Path(os.devnull), as_json, debug, quiet)
        return
    log = _new_log(name)
    with ExitStack() as stack:
        out = stack.enter_context(_kept(sys.stdout, 1))
        err = stack.enter_context(_kept(sys.stderr, 2))
        sink = stack.enter_context(log.open("ab", buffering=0))
        stack.enter_context(_redirected(1, sink.fileno()))
        stack.enter_context(_redirected(2, sink.fileno()))
        stack.enter_context(_streams(log))
        yield Terminal(out, err, log, as_json, debug, quiet)
    if not log.stat().st_size:
        log.unlink()


@contextmanager
def _kept(stream: TextIO, descriptor: int) -> Iterator[TextIO]:
    """The original of a descriptor, as a text stream of its own."""
    stream.flush()
    kept = os.fdopen(os.dup(descriptor), "w", encoding=stream.encoding or "utf-8", errors="replace")
    try:
        yield kept
    finally:
        with suppress(OSError):  # a closed pipe or a full disk was told of when the command flushed
            kept.close()


@contextmanager
def _redirected(descriptor: int, to: int) -> Iterator[None]:
    original = os.dup(descriptor)
    os.dup2(to, descriptor)
    try:
        yield
    finally:
        os.dup2(original, descriptor)
        os.close(original)


@contextmanager
def _streams(log: Path) -> Iterator[None]:
    """Point Python's own streams, which a caller may have replaced, and the crash handler at the log too."""
    original = sys.stdout, sys.stderr
    with log.open("a", encoding="utf-8", errors="replace", buffering=1) as stream:
        sys.stdout = sys.stderr = stream
        faulthandler.enable(stream)
        try:
            yield
        finally:
            faulthandler.disable()
            sys.stdout, sys.stderr = original


def log_folder() -> Path:
    """Where logs are kept: ``$XDG_STATE_HOME/edgekit/log``, by default under ``~/.local/state``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edgekit" / "log"


def _new_log(name: str) -> Path:
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{name}-{os.getpid()}.log"
    try:
        folder = log_folder()
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.log"))[:-KEPT_LOGS]:
            old.unlink(missing_ok=True)
        (folder / stem).touch()
    except (OSError, RuntimeError):  # no home, or not writable
        folder = Path(tempfile.gettempdir())
        (folder / stem).touch()
    return folder / stem


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 120
    except OSError:
        return 120
