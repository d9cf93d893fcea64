"""What a model is judged by: accuracy, or a metric of the user's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import DataError, LoadError, UsageError
from edgekit.loading.source import imported
from edgekit.verification.intervals import Estimate, bootstrap, paired_difference, proportion
from edgekit.verification.parity import scores

Outputs = Mapping[str, np.ndarray]
Metric = Callable[[Outputs, np.ndarray | None], Any]
"""Maps outputs by name, arrays of shape (samples, ...), and labels to a number (larger is better), or to one number a sample,
whose mean is the metric. Booleans a sample make it a proportion."""

_BUILT_IN = {"accuracy": 1, "top5": 5}


@dataclass(frozen=True)
class MetricResult:
    """A metric of both models on the same samples.

    Attributes:
        name: The metric's.
        artifact: Of the artifact.
        reference: Of the float model; None where it was not at hand.
        difference: Artifact minus float, paired sample by sample; None likewise.
    """

    name: str
    artifact: Estimate
    reference: Estimate | None = None
    difference: Estimate | None = None


def is_own(metric: str | Metric | None) -> bool:
    """Whether a metric is the user's own, which takes labels of any shape."""
    return metric is not None and (not isinstance(metric, str) or metric.partition(":")[0] not in _BUILT_IN)


def evaluate(metric: str | Metric, reference: Outputs | None, artifact: Outputs, labels: np.ndarray | None) -> MetricResult:
    """Apply a metric to the outputs of both models.

    Args:
        metric: ``accuracy`` or ``top5``, of the only score output or of one named as ``accuracy:logits``; ``module:function``;
            ``file.py:function``; or a function.
        reference: The float model's outputs, or None.
        artifact: The artifact's, same samples in the same order.
        labels: Class indices, shape (samples,), or whatever the metric takes.

    Raises:
        UsageError: No such metric, or it fails on these outputs.
        DataError: It needs labels and there are none.
    """
    name, function = _resolve(metric, artifact, labels)
    given = _applied(name, function, artifact, labels)
    wanted = None if reference is None else _applied(name, function, reference, labels)
    if given.ndim == 0:
        return _resampled(name, function, reference, artifact, labels)
    if given.dtype == bool and wanted is None:
        return MetricResult(name, _proportion(given))
    if given.dtype == bool and wanted is not None:
        return MetricResult(name, _proportion(given), _proportion(wanted), paired_difference(given, wanted))
    columns = np.stack([given] if wanted is None else [given, wanted, given.astype(np.float64) - wanted], axis=1)
    return MetricResult(name, *bootstrap(lambda index: columns[index].mean(axis=0), len(columns)))


def _resampled(name: str, function: Metric, reference: Outputs | None, artifact: Outputs, labels: np.ndarray | None) -> MetricResult:
    def of(outputs: Outputs, index: np.ndarray) -> float:
        picked = {k: v[index] for k, v in outputs.items()}
        return float(_applied(name, function, picked, None if labels is None else labels[index]))

    def statistic(index: np.ndarray) -> np.ndarray:
        given = of(artifact, index)
        if reference is None:
            return np.array([given])
        wanted = of(reference, index)
        return np.array([given, wanted, given - wanted])

    return MetricResult(name, *bootstrap(statistic, len(next(iter(artifact.values()))), 1000))


def _proportion(hits: np.ndarray) -> Estimate:
    return proportion(int(hits.sum()), len(hits))


def _applied(name: str, function: Metric, outputs: Outputs, labels: np.ndarray | None) -> np.ndarray:
    try:
        value = np.asarray(function(outputs, labels))
    except Exception as error:  # the user's code may raise anything
        raise UsageError(
            f"metric {name!r} failed: {type(error).__name__}: {error}", accepted="metric(outputs, labels) -> number"
        ) from error
    samples = len(next(iter(outputs.values())))
    if value.shape not in ((), (samples,)) or value.dtype.kind not in "biuf":
        got = f"{value.dtype} of shape {list(value.shape)}"
        raise UsageError(f"metric {name!r} returned {got}", accepted=f"a number, or {samples} numbers (one a sample)")
    return value


def _resolve(metric: str | Metric, outputs: Outputs, labels: np.ndarray | None) -> tuple[str, Metric]:
    if not isinstance(metric, str):
        return getattr(metric, "__name__", "metric"), metric
    word, _, rest = metric.partition(":")
    if word in _BUILT_IN:
        return metric, _accuracy(metric, _BUILT_IN[word], _score_output(metric, rest, outputs), outputs, labels)
    if not rest:
        raise UsageError(f"unknown metric {metric!r}", accepted=[*_BUILT_IN, "module:function", "file.py:function"])
    return metric, _imported(metric)


def _accuracy(name: str, top: int, output: str, outputs: Outputs, labels: np.ndarray | None) -> Metric:
    if labels is None:
        raise DataError(f"metric {name!r} needs labels and the data has none", next_step="give labels with the data, or another metric")
    classes = math.prod(outputs[output].shape[1:])
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        got = f"{labels.dtype} of shape {list(labels.shape)} in {labels.min()}..{labels.max()}" if labels.size else "none"
        raise DataError(f"labels do not fit output {output!r}: {got}", accepted=f"class indices 0..{classes - 1}, one a sample")

    def hits(given: Outputs, truth: np.ndarray | None) -> np.ndarray:
        assert truth is not None
        rows = given[output].reshape(len(truth), -1)
        best = np.argsort(-np.where(np.isnan(rows), -np.inf, rows), axis=1, kind="stable")[:, :top]
        found: np.ndarray = (best == truth[:, None]).any(axis=1) & ~np.isnan(rows).all(axis=1)
        return found

    return hits


def _score_output(metric: str, wanted: str, outputs: Outputs) -> str:
    candidates = [name for name, value in outputs.items() if scores(value)]
    if wanted in candidates or (not wanted and len(candidates) == 1):
        return wanted or candidates[0]
    accepted = [f"{metric.partition(':')[0]}:{name}" for name in candidates] or "a metric of your own: module:function"
    told = f"output {wanted!r} has no class scores" if wanted else f"{len(candidates)} outputs have class scores"
    raise UsageError(f"cannot take {metric!r}: {told}", accepted=accepted, next_step="name the output, or give a metric of your own")


def _imported(spec: str) -> Metric:
    try:
        function: Metric = imported(spec)
    except LoadError as error:
        raise UsageError(f"cannot import metric {spec!r}: {error}", accepted="module:function or file.py:function") from None
    return function
