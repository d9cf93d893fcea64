"""From whatever the user has to `Samples`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.data.checking import check_samples, class_indices, fitted, free_labels
from edgekit.data.reading import is_array, read_images, read_numpy
from edgekit.data.rows import Labelled, Row, named, parted, stacked
from edgekit.data.samples import Samples
from edgekit.errors import DataError
from edgekit.preprocess import Preprocess
from edgekit.tensors import TensorSpec

ACCEPTED = (
    "an array (samples first), a dict of arrays by input name, a tuple (inputs, labels), a .npz or .npy file, "
    "a folder of images, or an iterable of samples"
)


def read_samples(
    data: Any,
    inputs: Sequence[TensorSpec],
    preprocess: Preprocess | Mapping[str, Preprocess] | None = None,
    *,
    limit: int | None = None,
    free: bool = False,
) -> Samples:
    """Read data from wherever they are, preprocess them and check them against the model's inputs.

    Args:
        data: An array with samples along the first axis; a dict of such arrays by input name; a tuple (inputs, labels) of
            either and class indices; the path of a ``.npz`` (arrays by input name, or ``x``, and labels as ``y``), of a
            ``.npy``, or of a folder of images (subfolders are classes; they are read in turn, so that `limit` takes of
            each); or any iterable of samples, or of batches: arrays, (input, label) tuples, dicts. `Samples` are only checked.
        inputs: The model's, whose first axis is the batch.
        preprocess: Applied to every sample: one for all inputs, or one by input name.
        limit: Use the first so many samples.
        free: Whether labels may be numbers of any shape, and not class indices only: for a loss or a metric of the user's own, and
            where nothing may ask for them.

    Raises:
        DataError: The data are missing, unreadable, empty, of the wrong names, shape or dtype, or hold NaN or infinity.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit is {limit}", accepted="1 or more samples")
    steps, labelled = _by_input(preprocess, inputs), free_labels if free else class_indices
    if isinstance(data, Samples):
        samples = data if limit is None else data.first(limit)
    elif isinstance(data, (str, Path)) and Path(data).is_dir():
        rows, classes = read_images(Path(data), inputs, limit)
        samples = stacked(rows, inputs, steps, limit, classes=classes)
    elif (columns := _columns(data)) is not None:
        samples = _from_columns(columns, inputs, steps, limit, labelled)
    elif isinstance(data, Iterable):
        samples = stacked((Row.of(item, inputs) for item in data), inputs, steps, limit, labelled=labelled)
    else:
        raise DataError(f"got data of type {type(data).__name__}", accepted=ACCEPTED)
    return check_samples(samples, inputs)


def _by_input(preprocess: Preprocess | Mapping[str, Preprocess] | None, inputs: Sequence[TensorSpec]) -> dict[str, Preprocess]:
    if preprocess is None:
        return {}
    if isinstance(preprocess, Preprocess):
        return {spec.name: preprocess for spec in inputs}
    if unknown := set(preprocess) - {spec.name for spec in inputs}:
        raise DataError(f"preprocess names inputs {sorted(unknown)} that the model has not", accepted=[s.name for s in inputs])
    return dict(preprocess)


def _columns(data: Any) -> dict[str, Any] | None:
    """Whole arrays by name, or None where the data come sample by sample."""
    if isinstance(data, (str, Path)):
        return read_numpy(Path(data))
    if isinstance(data, Mapping):
        return {str(k): v for k, v in data.items()}
    if is_array(data):
        return {"x": data}
    if isinstance(data, tuple):
        if len(data) != 2:
            raise DataError(f"got a tuple of {len(data)}", accepted="(inputs, labels); a list for a list of samples")
        columns = _columns(data[0])
        return None if columns is None else {**columns, "y": data[1]}
    return None


def _from_columns(
    columns: dict[str, Any], inputs: Sequence[TensorSpec], steps: Mapping[str, Preprocess], limit: int | None, labelled: Labelled
) -> Samples:
    arrays, labels = parted(columns, inputs)
    arrays = named(arrays, inputs)
    ready = {}
    for spec in inputs:
        array = arrays[spec.name]
        if array.shape == spec.shape[1:]:
            raise DataError(
                f"data for input {spec.name!r} have shape {list(array.shape)}: one sample without an axis of samples?",
                accepted=f"(samples, {', '.join(map(str, spec.shape[1:]))})",
                next_step="pass x[None] for a single sample",
            )
        array = array[:limit]
        ready[spec.name] = fitted(steps[spec.name](array) if spec.name in steps else array, spec)
    return Samples(ready, None if labels is None else labelled(labels)[:limit])
