"""What a runtime says of a file it cannot run, told in the user's own terms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgekit.errors import ConversionError, LoadError
from edgekit.plugins import EmittedOp
from edgekit.worker import WorkerCrashed


class Untraced(ConversionError):
    """The file fails, and nobody said at which operator."""


_NODE = re.compile(r"[Nn]ode (?:number |#)(\d+)")
_SLOW = ("no answer", "SIGKILL")
"""Ends that took time or memory: not worth repeating to find where."""


@contextmanager
def told(doing: str, ops: Sequence[EmittedOp], next_step: str) -> Iterator[None]:
    """Turn a crash, a hang or a refusal of native code in the block into a `ConversionError`.

    Args:
        doing: What was being done, as in "loading the written file".
        ops: The file's operators; a message that names a node by its number is mapped to one.
        next_step: What the user may do.
    """
    try:
        yield
    except WorkerCrashed as crash:
        said = f"{crash.crash.reason} {crash.crash.log}"
        sudden = not crash.crash.reason.startswith(_SLOW)
        raise _named(f"{doing} failed: {_sentence(crash)}", said, ops, next_step, traceable=sudden) from None
    except ConversionError as error:
        if error.op is not None:
            raise
        raise _named(f"{doing} failed: {error.message}", error.message, ops, error.next_step or next_step, traceable=True) from None
    except LoadError as error:  # of a file that edgekit wrote itself
        raise ConversionError(f"{doing} failed: {error.message}", next_step=next_step) from None


def _named(message: str, said: str, ops: Sequence[EmittedOp], next_step: str, *, traceable: bool) -> ConversionError:
    op = mentioned(said, ops)
    if op is None:
        return (Untraced if traceable else ConversionError)(message, next_step=next_step)
    return ConversionError(message, op=op.name, shapes=op.shapes, module=op.module or None, next_step=next_step)


def mentioned(text: str, ops: Sequence[EmittedOp]) -> EmittedOp | None:
    """The operator whose number a runtime's message mentions last."""
    numbers = [int(n) for n in _NODE.findall(text)]
    return next((ops[n] for n in reversed(numbers) if n < len(ops)), None)


def _sentence(crash: WorkerCrashed) -> str:
    """The reason and the last thing said that is not a stack or a banner."""
    lines = [line.strip() for line in crash.crash.log.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if not line.startswith(("INFO", "I0000", "File ", "Traceback"))), "")
    return crash.crash.reason if not last or last in crash.crash.reason else f"{crash.crash.reason}: {last}"
