"""Fitting samples to a session's inputs: names, dtypes, open dimensions, batches larger than one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import DataError

if TYPE_CHECKING:
    from edgekit_runtimes._sessions import Arrays, Port, Session


def check(session: Session, arrays: Arrays) -> int:
    """The number of samples.

    Raises:
        DataError: Names, dtypes or lengths are not what the model takes.
    """
    expected, got = {p.name for p in session.inputs}, set(arrays)
    if expected != got:
        raise DataError(f"the model's inputs were given as {sorted(got)}", accepted=sorted(expected))
    counts = {name: len(a) for name, a in arrays.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"inputs have different numbers of samples: {counts}")
    for port in session.inputs:
        if arrays[port.name].dtype != port.dtype:
            raise DataError(f"input {port.name!r} is {arrays[port.name].dtype}", accepted=port.dtype.name)
    return next(iter(counts.values()), 0)


def prepare(session: Session, arrays: Arrays, batch: int = 1) -> int:
    """Resize open dimensions to the samples', an open batch to `batch`; the number of samples the model then takes at once.

    Raises:
        DataError: A sample has another shape than the model's.
    """
    session.fit({p.name: _fitting(p, arrays[p.name].shape[1:], batch) for p in session.inputs})
    sizes = {p.shape[0] for p in session.inputs if arrays[p.name].shape[1:] != p.shape}
    if len(sizes) > 1:
        raise DataError(f"the model's inputs disagree on the batch size: { {p.name: list(p.shape) for p in session.inputs} }")
    return sizes.pop() if sizes else 1


def feed(session: Session, arrays: Arrays, start: int, batch: int) -> None:
    """Copy samples `start` to `start + batch` in, the last one repeated to fill the batch."""
    for port in session.inputs:
        session.feed(port.name, _rows(arrays[port.name], start, port, batch))


def _fitting(port: Port, sample: tuple[int, ...], batch: int) -> tuple[int, ...]:
    """The shape to give an input so that a batch of such samples fits, within what the file leaves open."""
    if sample == port.shape:
        return port.shape
    first = (batch,) if port.flexible[:1] == (True,) else port.shape[:1]
    shape = (*first, *sample)
    fits = len(shape) == len(port.shape) and all(a == b or free for a, b, free in zip(shape, port.shape, port.flexible, strict=True))
    if not fits:
        accepted = f"{list(port.shape[1:])} (the model's, without its batch)"
        raise DataError(f"a sample of input {port.name!r} has shape {list(sample)}", accepted=accepted)
    return shape


def _rows(array: np.ndarray, start: int, port: Port, batch: int) -> np.ndarray:
    if array.shape[1:] == port.shape:  # an input that has no batch dimension
        return np.ascontiguousarray(array[start])
    rows = array[start : start + batch]
    missing = batch - len(rows)
    return np.ascontiguousarray(np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows)
