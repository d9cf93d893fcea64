"""Whether data are what the model takes, and what to do where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.data.samples import Samples
from edgekit.errors import DataError
from edgekit.tensors import TensorSpec


def as_array(value: Any, name: str) -> np.ndarray:
    """A numpy array of numbers, from anything that converts to one (a torch tensor too).

    Raises:
        DataError: It is ragged, or does not hold numbers.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name!r} is no array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name!r} holds {array.dtype}, not numbers", accepted="arrays of real numbers, all samples of one shape")
    return array


def fitted(array: np.ndarray, spec: TensorSpec, *, batched: bool = True) -> np.ndarray:
    """`array` in the input's dtype, samples along the first axis.

    Args:
        array: Preprocessed.
        spec: The input.
        batched: Whether the first axis is one of samples; else it is one sample.

    Raises:
        DataError: Another shape, or a dtype that would lose something.
    """
    rows, wanted = (array if batched else array[None]), spec.shape[1:]
    if rows.ndim == 0 or rows.shape[1:] != wanted:
        got = list(rows.shape[1:]) if batched and rows.ndim else list(array.shape)
        raise DataError(
            f"samples for input {spec.name!r} have shape {got} after preprocessing",
            accepted=f"{list(wanted)} ({spec.dtype})",
            next_step=_way_out(tuple(got), wanted),
        )
    if np.issubdtype(spec.dtype, np.integer) and rows.dtype.kind == "f" and not np.array_equal(rows, np.trunc(rows)):
        raise DataError(f"samples for input {spec.name!r} hold fractions", accepted=spec.dtype)
    return np.ascontiguousarray(rows, spec.dtype)


def class_indices(labels: Any) -> np.ndarray:
    """Labels as int64 of shape (samples,).

    Raises:
        DataError: They are no class indices.
    """
    array = as_array(labels, "labels")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or (array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array))):
        raise DataError(
            f"labels have shape {list(array.shape)} and dtype {array.dtype}",
            accepted="class indices of shape (samples,)",
            next_step="one-hot labels: pass y.argmax(1)" if array.ndim == 2 else None,
        )
    return array.astype(np.int64)


def free_labels(labels: Any) -> np.ndarray:
    """Labels as a loss or a metric of the user's own takes them: class indices where they can be some, else numbers of any shape.

    Raises:
        DataError: They are no numbers.
    """
    array = as_array(labels, "labels")
    return class_indices(array) if array.dtype.kind != "f" and array[:1].size == 1 else array


def check_samples(samples: Samples, inputs: Sequence[TensorSpec]) -> Samples:
    """The samples, if they are whole.

    Raises:
        DataError: Empty, of unequal lengths, of other inputs, or not finite.
    """
    if set(samples.inputs) != {spec.name for spec in inputs}:
        raise DataError(f"the samples are for inputs {sorted(samples.inputs)}", accepted=[spec.name for spec in inputs])
    counts = {name: len(array) for name, array in samples.inputs.items()}
    if samples.labels is not None:
        counts["labels"] = len(samples.labels)
    if len(set(counts.values())) > 1:
        raise DataError(f"the numbers of samples differ: {', '.join(f'{n} of {k!r}' for k, n in counts.items())}")
    if not all(counts.values()):
        raise DataError("the data hold no samples")
    for spec in inputs:
        array = samples.inputs[spec.name]
        if array.shape[1:] != spec.shape[1:]:
            fitted(array, spec)
        if array.dtype.kind == "f":
            _check_finite(array, spec.name)
    return samples


def _check_finite(array: np.ndarray, name: str) -> None:
    if np.isfinite(array.sum(dtype=np.float64)):  # one pass; finite sums have finite terms
        return
    sample, *index = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
    value = array[(sample, *index)]
    raise DataError(
        f"input {name!r} holds {value} in sample {sample} at {index}",
        accepted="finite numbers",
        next_step="check the preprocessing (a division by 0, a log of 0), or leave the sample out",
    )


def _way_out(got: tuple[int, ...], wanted: tuple[int, ...]) -> str | None:
    if len(got) == len(wanted) == 3:
        if (got[2], got[0], got[1]) == wanted:
            return "the data look like NHWC, the model like NCHW: declare it, Preprocess(layout='NCHW')"
        if (got[1], got[2], got[0]) == wanted:
            return "the data look like NCHW, the model like NHWC: declare it, Preprocess(layout='NHWC', data_layout='NCHW')"
        if got[2] == wanted[2] or got[0] == wanted[0]:
            return "if these are images, declare their size: Preprocess(resize=(height, width))"
    if (*got, 1) == wanted:
        return "add the channel axis: x[..., None]"
    return None
