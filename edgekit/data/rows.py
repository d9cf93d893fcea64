"""Data that come sample by sample, or batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.data.checking import as_array, class_indices, fitted
from edgekit.data.samples import Samples
from edgekit.errors import DataError
from edgekit.preprocess import Preprocess
from edgekit.tensors import TensorSpec

Labelled = Callable[[Any], np.ndarray]
LABEL_KEYS = ("y", "label", "labels")


@dataclass(frozen=True)
class Row:
    """One sample, or one batch of them (an axis more), as it came.

    Attributes:
        arrays: Raw, by input name.
        label: One class index, one a sample of the batch, or None.
    """

    arrays: dict[str, np.ndarray]
    label: Any = None

    @classmethod
    def of(cls, item: Any, inputs: Sequence[TensorSpec]) -> Row:
        """Read an item of the user's iterable: an array, an (input, label) tuple, or a dict."""
        if isinstance(item, (tuple, list)):
            if len(item) != 2:
                raise DataError(f"a sample is a tuple of {len(item)}", accepted="an array, (input, label), or a dict by input name")
            given, label = item
            row = cls.of(given, inputs)
            return cls(row.arrays, label)
        columns, label = parted(item if isinstance(item, Mapping) else {"x": item}, inputs)
        return cls(named(columns, inputs), label)


def parted(columns: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> tuple[dict[str, Any], Any]:
    """The inputs, and the labels if any key is a name for them (and no input's)."""
    names = {spec.name for spec in inputs}
    found = [k for k in LABEL_KEYS if k in columns and k not in names]
    return {k: v for k, v in columns.items() if k not in found[:1]}, columns[found[0]] if found else None


def named(columns: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    """Arrays by the model's input names; ``x`` will do for an only input.

    Raises:
        DataError: Names are missing or unknown.
    """
    names = [spec.name for spec in inputs]
    if len(names) == 1 and set(columns) == {"x"}:
        columns = {names[0]: columns["x"]}
    if set(columns) != set(names):
        raise DataError(
            f"the data are called {sorted(columns)}, the model's inputs {names}",
            accepted=[*names, "y for labels", *(["x for the input"] if len(names) == 1 else [])],
        )
    return {name: as_array(columns[name], name) for name in names}


def stacked(
    rows: Iterable[Row],
    inputs: Sequence[TensorSpec],
    steps: Mapping[str, Preprocess],
    limit: int | None,
    *,
    labelled: Labelled = class_indices,
    classes: tuple[str, ...] | None = None,
) -> Samples:
    """Preprocess each row by itself (raw images differ in size), and stack them; `labelled` makes an array of their labels."""
    columns: dict[str, list[np.ndarray]] = {spec.name: [] for spec in inputs}
    labels: list[Any] = []
    count = 0
    for row in rows:
        for spec in inputs:
            raw = row.arrays[spec.name]
            ready = fitted(steps[spec.name](raw) if spec.name in steps else raw, spec, batched=raw.ndim == len(spec.shape))
            columns[spec.name].append(ready)
        if row.label is not None:
            labels.append(np.atleast_1d(as_array(row.label, "labels")))
        count += len(columns[inputs[0].name][-1])
        if limit is not None and count >= limit:
            break
    if count == 0:
        raise DataError(
            "the data hold no samples", next_step="check the path, the filter or the iterable (an exhausted generator is empty)"
        )
    arrays = {name: np.concatenate(parts)[:limit] for name, parts in columns.items()}
    return Samples(arrays, labelled(np.concatenate(labels))[:limit] if labels else None, classes)
