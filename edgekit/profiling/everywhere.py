"""One model on several devices at once. A device that is lost loses its own result only."""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from edgekit import progress
from edgekit.devices import Address
from edgekit.devices.opening import schemes
from edgekit.errors import EdgekitError, UsageError
from edgekit.profiling.measuring import profile
from edgekit.profiling.reading import AnyProfile
from edgekit.profiling.stopping import Stop


@dataclass(frozen=True)
class Measured:
    """What one device gave.

    Attributes:
        on: Its name, as it was asked for.
        profile: The result, or None.
        error: Why there is none, or None.
    """

    on: str
    profile: AnyProfile | None = None
    error: EdgekitError | None = None

    def to_json(self) -> dict[str, Any]:
        """Its part of a document ``edgekit.profiles/1``."""
        error = self.error and {"type": type(self.error).__name__, "message": self.error.message, "next": self.error.next_step}
        return {"on": self.on, "profile": self.profile.to_json() if self.profile else None, "error": error}


def profile_each(model: Any, devices: Sequence[str], **options: Any) -> Iterator[Measured]:
    """Profile on every device, and yield each result as soon as it is there.

    This machine is measured first, with nothing else running: talking to devices and emulating them would disturb it. The others then
    run at the same time, as many emulators as there are processors. Ctrl-C ends all at once, and the launches that were finished by
    then are yielded.

    Args:
        model: As for `edgekit.profile`.
        devices: Their names.
        **options: The other options of `edgekit.profile`.

    Raises:
        UsageError: An impossible or repeated name. What fails on one device only is in its `Measured.error`.
    """
    addresses = [Address.parse(name, schemes()) for name in devices]
    repeated = [str(a) for i, a in enumerate(addresses) if a in addresses[:i]]
    if repeated or not addresses:
        raise UsageError(f"{repeated[0]} was named twice" if repeated else "no device was named")
    here = [name for address, name in zip(addresses, devices, strict=True) if address.scheme == "host"]
    for name in here:
        yield _measured(model, name, options)
    yield from _together(model, [name for name in devices if name not in here], options)


def _together(model: Any, names: Sequence[str], options: dict[str, Any]) -> Iterator[Measured]:
    results: queue.Queue[Measured] = queue.Queue()
    stop, emulators = Stop(), threading.Semaphore(os.cpu_count() or 1)
    for name in names:
        context = contextvars.copy_context()  # progress goes to the same listener
        work = _Work(model, name, {**options, "stop": stop}, results, emulators)
        threading.Thread(target=context.run, args=(work,), name=f"edgekit {name}", daemon=True).start()
    missing = len(names)
    while missing:
        try:
            result = results.get()
        except KeyboardInterrupt:
            if stop.is_set:
                raise  # the second one does not wait
            stop.set()
            continue
        missing -= 1
        yield result


@dataclass(frozen=True)
class _Work:
    """What one thread does."""

    model: Any
    on: str
    options: dict[str, Any]
    results: queue.Queue[Measured]
    emulators: threading.Semaphore

    def __call__(self) -> None:
        with progress.as_part(self.on), self.emulators if self.on.startswith("qemu") else nullcontext():
            self.results.put(_measured(self.model, self.on, self.options))


def _measured(model: Any, on: str, options: dict[str, Any]) -> Measured:
    try:
        return Measured(on, profile(model, on=on, **options))
    except EdgekitError as error:
        stop = options.get("stop")
        interrupted = stop is not None and stop.is_set
        return Measured(on, error=EdgekitError(f"interrupted before the first launch on {on} was done") if interrupted else error)
    except Exception as error:  # a defect of ours on one device must not take the others' results along
        return Measured(on, error=EdgekitError(f"{type(error).__name__}: {error}", next_step="report it to edgekit's maintainers"))
