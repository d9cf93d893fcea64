"""A package loaded and ready to run samples, as many at once as the program allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.errors import ConversionError
from edgekit_runtimes import _feeding as feeding
from edgekit_runtimes._coreml.edges import Edge, edges
from edgekit_runtimes._coreml.evaluate import Evaluator
from edgekit_runtimes._coreml.package import open_package
from edgekit_runtimes._coreml.program import Program, read_program
from edgekit_runtimes._sessions import Arrays, Port

_ELEMENTS = 1 << 19
_MOST = 64


class CoreMLSession:
    """A loaded package.

    A program is written for one batch, mostly of one sample. Many samples are computed at once by `torch.vmap`, which runs the same
    program on all of them side by side without changing what it says; where an operator cannot be run so (its result's shape depends
    on the values), one after the other.

    Attributes:
        inputs: A `Port` each.
        outputs: A `Port` each.
        interface: The model's edges.
        evaluator: Of the program.
    """

    side_by_side = True
    """Whether many samples can be tried at once."""

    def __init__(self, path: Path) -> None:
        package = open_package(path)
        program = read_program(package)
        self.interface = edges(package.specification, program)
        self.evaluator = self._evaluator(program)
        self.inputs = tuple(_port(edge) for edge in self.interface.inputs)
        self.outputs = tuple(_port(edge) for edge in self.interface.outputs)
        self._fed: dict[str, np.ndarray] = {}
        self._one_by_one = not self.side_by_side

    def _evaluator(self, program: Program) -> Any:
        return Evaluator(program)

    def fit(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Nothing to resize: an open dimension takes the size it gets."""

    def feed(self, name: str, value: np.ndarray) -> None:
        """Keep one batch of an input."""
        self._fed[name] = value

    def run(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Run every sample; see `Runtime.run`. A classifier's labels come beside its probabilities, as strings."""
        arrays = {name: self._pixels(name, array) for name, array in arrays.items()}
        samples, batch = feeding.check(self, arrays), feeding.prepare(self, arrays)  # type: ignore[arg-type]
        rows: dict[str, list[np.ndarray]] = {port.name: [] for port in self.outputs}
        for group in self._groups(arrays, samples, batch):
            for name, value in self._computed(group).items():
                rows[name].append(value)
        outputs = {port.name: _joined(rows[port.name], port, batch)[:samples] for port in self.outputs}
        return outputs | self._labels(outputs)

    def _pixels(self, name: str, array: np.ndarray) -> np.ndarray:
        """An image's bytes as the floats that the program gets."""
        image = any(edge.name == name and edge.colour for edge in self.interface.inputs)
        return array.astype(np.float32) if image and array.dtype == np.uint8 else array

    def _groups(self, arrays: Arrays, samples: int, batch: int) -> Iterator[dict[str, Tensor]]:
        """Batches of the model side by side, shape (batches, *input shape)."""
        largest = max((int(np.prod(array.shape[1:])) * batch for array in arrays.values()), default=1)
        size = max(1, min(_MOST, _ELEMENTS // max(largest, 1)))
        starts = range(0, samples, batch)
        for first in range(0, len(starts), size):
            fed = [self._batch(arrays, start, batch) for start in starts[first : first + size]]
            yield {edge.port.name: _tensor(edge, [f[edge.name] for f in fed]) for edge in self.interface.inputs}

    def _batch(self, arrays: Arrays, start: int, batch: int) -> dict[str, np.ndarray]:
        feeding.feed(self, arrays, start, batch)  # type: ignore[arg-type]
        return dict(self._fed)

    def _computed(self, group: dict[str, Tensor]) -> dict[str, np.ndarray]:
        """Outputs of a group by feature, shape (batches, *output shape)."""
        with torch.no_grad():
            values = self._side_by_side(group) if not self._one_by_one else None
            if values is None:
                self._one_by_one = True
                values = _stacked([self._evaluated({name: v[i] for name, v in group.items()}) for i in range(_length(group))])
        return {edge.name: values[edge.port.name].numpy().astype(edge.dtype, copy=False) for edge in self.interface.outputs}

    def _side_by_side(self, group: dict[str, Tensor]) -> dict[str, Tensor] | None:
        """All batches of a group at once; None if the program cannot be run so."""
        if _length(group) == 1:
            return {name: value.unsqueeze(0) for name, value in self._evaluated({n: v[0] for n, v in group.items()}).items()}
        try:
            return torch.vmap(self._evaluated)(group)
        except (ConversionError, RuntimeError):  # if the program is at fault it fails one by one too, and says why
            return None

    def _evaluated(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        names = [edge.port.name for edge in self.interface.outputs]
        return {name: value for name, value in self.evaluator(inputs, names).items() if isinstance(value, Tensor)}

    def _labels(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        classifier = self.interface.classifier
        if classifier is None or classifier.probabilities not in outputs:
            return {}
        scores = outputs[classifier.probabilities]
        best = scores.reshape(len(scores), -1).argmax(1)
        return {classifier.name: np.array(classifier.labels)[best]}


def _port(edge: Edge) -> Port:
    shape = tuple(max(size, 1) if size != -1 else 1 for size in edge.port.shape)
    return Port(edge.name, shape, tuple(size == -1 for size in edge.port.shape), np.dtype(edge.dtype))


def _tensor(edge: Edge, batches: list[np.ndarray]) -> Tensor:
    array = np.stack(batches)
    wide = array.astype(np.float32) if array.dtype == np.float16 else array
    value = torch.from_numpy(np.ascontiguousarray(wide))
    return value.to(torch.float32) if edge.port.dtype in ("fp16", "fp32") else value


def _stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    try:
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    except RuntimeError:
        shapes = sorted({tuple(value.shape) for row in rows for value in row.values()})
        raise ConversionError(
            f"samples give results of different shapes, such as {list(shapes[0])} and {list(shapes[-1])}", next_step="run them one by one"
        ) from None


def _joined(groups: list[np.ndarray], port: Port, batch: int) -> np.ndarray:
    """Shape (samples, *output shape without batch); of an output without a batch dimension, (batches, *shape)."""
    if not groups:
        return np.zeros((0, *port.shape[1:]), port.dtype)
    whole = np.concatenate(groups)
    by_row = whole.ndim > 1 and whole.shape[1] == batch
    joined: np.ndarray = whole.reshape(-1, *whole.shape[2:]) if by_row else whole
    return joined


def _length(group: dict[str, Any]) -> int:
    return len(next(iter(group.values())))
