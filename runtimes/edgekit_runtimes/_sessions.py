"""What a worker needs of a loaded model, whichever library loaded it; and running samples through one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgekit.errors import LoadError, UsageError
from edgekit_runtimes import _feeding as feeding

Arrays = Mapping[str, np.ndarray]
"""By input name, arrays of shape (samples, *input shape without batch)."""

Answer = tuple[dict[str, Any], dict[str, np.ndarray]]
"""What a worker function returns: JSON values, and arrays."""


@dataclass(frozen=True)
class Port:
    """An input or output tensor of a loaded file.

    Attributes:
        name: Its name in the file.
        shape: As loaded; 1 where the file leaves a dimension open.
        flexible: For each dimension, whether the file leaves it open.
        dtype: NumPy's.
        grid: Scales, zero points and axis; empty scales if not quantized.
    """

    name: str
    shape: tuple[int, ...]
    flexible: tuple[bool, ...]
    dtype: np.dtype[Any]
    grid: tuple[tuple[float, ...], tuple[int, ...], int] = ((), (), 0)

    def to_json(self) -> dict[str, Any]:
        """As a `TensorSpec` reads it."""
        scales, zero_points, axis = self.grid
        grid = None
        if scales:
            grid = {"dtype": self.dtype.name, "scale": scales, "zero_point": zero_points, "axis": axis if len(scales) > 1 else None}
        return {"name": self.name, "shape": self.shape, "dtype": self.dtype.name, "grid": grid}


class Session(Protocol):
    """A loaded model, ready to be fed."""

    @property
    def inputs(self) -> tuple[Any, ...]:
        """A `Port` each."""

    @property
    def outputs(self) -> tuple[Any, ...]:
        """A `Port` each."""

    def fit(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Resize the inputs whose open dimensions differ from these shapes."""

    def feed(self, name: str, value: np.ndarray) -> None:
        """Give an input its value, of the port's shape and dtype."""

    def invoke(self) -> None:
        """Run once."""

    def fetch(self) -> dict[str, np.ndarray]:
        """All outputs of the last run, by name."""

    def reset(self) -> None:
        """Forget what the last run left in the model's variables."""

    def bare_call(self) -> Callable[[], object]:
        """`invoke` without anything around it, to be timed."""

    def idle_call(self) -> Callable[[], object]:
        """A call into the same library that does no work: what timing itself costs."""

    def arena_bytes(self) -> int | None:
        """Memory planned for activations, as far as the library tells."""


def run(session: Session, arrays: Arrays, batch: int = 1) -> Answer:
    """Run every sample, one batch of the model at a time (`batch` where it is open), each run without memory of the one before."""
    samples = feeding.check(session, arrays)
    batch = feeding.prepare(session, arrays, batch)
    rows: dict[str, list[np.ndarray]] = {p.name: [] for p in session.outputs}
    for start in range(0, samples, batch):
        session.reset()
        feeding.feed(session, arrays, start, batch)
        session.invoke()
        for name, value in session.fetch().items():
            rows[name].append(value)
    return {}, {p.name: _stacked(rows[p.name], p, batch)[:samples] for p in session.outputs}


def feed_one(session: Session, arrays: Arrays) -> None:
    """Give the session one sample, whose arrays have no batch dimension."""
    one = {name: value[None] for name, value in arrays.items()}
    feeding.check(session, one)
    feeding.feed(session, one, 0, feeding.prepare(session, one))


def check_request(library: str, model: Path, delegate: str, threads: int, delegates: Collection[str]) -> None:
    """Refuse what no session can be made of.

    Args:
        library: As its users call it.
        model: The file.
        delegate: One of `delegates`.
        threads: CPU threads.
        delegates: Those the library has here.

    Raises:
        UsageError: It has no such delegate, or there are no threads.
        LoadError: There is no such file.
    """
    if delegate not in delegates:
        raise UsageError(f"{library} has no delegate {delegate!r} here", accepted=tuple(delegates))
    if threads < 1:
        raise UsageError(f"cannot run on {threads} threads", accepted="1 or more")
    require_file(model)


def require_file(model: Path) -> None:
    """Raise `LoadError` where there is no such file."""
    if not model.is_file():
        raise LoadError(f"no model file at {model}", next_step="check the path, or run `edgekit convert` first")


def layers(session: Session, arrays: Arrays, read: Callable[[], Mapping[str, np.ndarray]]) -> Answer:
    """Run every sample, and collect what `read` gives after each run: ``names`` and, by their numbers, arrays of all samples."""
    samples, batch = feeding.check(session, arrays), feeding.prepare(session, arrays)
    rows: dict[str, list[np.ndarray]] = {}
    for start in range(0, samples, batch):
        session.reset()
        feeding.feed(session, arrays, start, batch)
        session.invoke()
        for name, value in read().items():
            rows.setdefault(name, []).append(np.asarray(value, np.float32))
    whole = {name: values for name, values in rows.items() if values[0].ndim}
    return {"names": list(whole)}, {str(i): np.concatenate(values) for i, values in enumerate(whole.values())}


def _stacked(values: list[np.ndarray], port: Port, batch: int) -> np.ndarray:
    if not values:
        return np.zeros((0, *port.shape[1:]), port.dtype)
    by_row = values[0].ndim > 0 and values[0].shape[0] == batch
    return np.concatenate(values) if by_row else np.stack(values)
