"""What verification found, and whether the thresholds the user set are met."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from edgekit import junit
from edgekit.errors import DataError, GateFailed, UsageError
from edgekit.verification.intervals import Estimate
from edgekit.verification.metrics import MetricResult
from edgekit.verification.parity import OutputParity
from edgekit.verification.placing import Elsewhere

SCHEMA = "edgekit.verdict/1"
_SIDES = ("artifact", "reference", "difference")


@dataclass(frozen=True)
class Gates:
    """Thresholds; None sets none.

    Attributes:
        max_drop: How far the metric may fall below the float model's (0.01 = one point of accuracy). The measured
            difference counts; its interval is reported beside it.
        min_accuracy: Least value of the metric.
        min_cosine: Least cosine, of every output.
        min_sqnr: Least signal to noise ratio in dB, of every output.
        min_agreement: Least top-1 agreement, of every score output.
    """

    max_drop: float | None = None
    min_accuracy: float | None = None
    min_cosine: float | None = None
    min_sqnr: float | None = None
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        for name, low, high in (("min_cosine", -1, 1), ("min_agreement", 0, 1)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} is {value}", accepted=f"{low} to {high}")
        for f in fields(self):
            if (value := getattr(self, f.name)) is not None and not math.isfinite(value):
                raise UsageError(f"{f.name} is {value}", accepted="a finite number")

    @property
    def need_metric(self) -> bool:
        """Whether a threshold is on the metric."""
        return self.max_drop is not None or self.min_accuracy is not None


@dataclass(frozen=True)
class GateResult:
    """One threshold held against what was measured.

    Attributes:
        name: As in `Gates`, or ``finite``, which is always set: no output may be NaN or infinite where the float model's is not.
        output: The output concerned, or None.
        threshold: What was asked.
        value: What was measured.
        passed: Whether it is met.
    """

    name: str
    output: str | None
    threshold: float
    value: float
    passed: bool

    def __str__(self) -> str:
        where = f" of output {self.output!r}" if self.output else ""
        return f"{self.name}{where}: got {self.value:.6g}, asked {self.threshold:.6g}"


@dataclass(frozen=True)
class Verdict:
    """The float model and the artifact on the same samples.

    Attributes:
        model_sha256: Of the model file that was run.
        runtime: What ran it.
        delegate: How: ``xnnpack``, ``none`` or ``reference``.
        samples: How many were compared.
        reference: ``source`` where the float model ran on them, ``golden`` where its outputs were kept in the artifact.
        parity: One comparison an output.
        metric: None where there were no labels and no metric was asked.
        gates: All thresholds, met or not.
        notes: What a reader must know to read the figures rightly.
        elsewhere: How the device's answers compare with this machine's, or None if it ran on this machine.
    """

    model_sha256: str
    runtime: str
    delegate: str
    samples: int
    reference: str
    parity: tuple[OutputParity, ...]
    metric: MetricResult | None
    gates: tuple[GateResult, ...]
    notes: tuple[str, ...] = ()
    elsewhere: Elsewhere | None = None

    @property
    def passed(self) -> bool:
        """Whether every gate is met."""
        return all(g.passed for g in self.gates)

    def require(self) -> Verdict:
        """Return itself if every gate is met.

        Raises:
            GateFailed: It names those that are not.
        """
        failed = [g for g in self.gates if not g.passed]
        if failed:
            difference = f"; difference {self.metric.difference}" if self.metric and self.metric.difference else ""
            raise GateFailed("; ".join(map(str, failed)) + difference, next_step="edgekit explain shows what was quantized how")
        return self

    def to_json(self) -> dict[str, Any]:
        """The document, valid under ``schemas/verdict-1.json``. Numbers that JSON lacks are null: see `parity` and ``passed``."""
        metric = self.metric
        return {
            "schema": SCHEMA,
            "model_sha256": self.model_sha256,
            "runtime": self.runtime,
            "delegate": self.delegate,
            "samples": self.samples,
            "reference": self.reference,
            "parity": [numbers_for_json(vars(p)) for p in self.parity],
            "metric": None if metric is None else {"name": metric.name, **{k: _estimate(getattr(metric, k)) for k in _SIDES}},
            "gates": [numbers_for_json(vars(g)) for g in self.gates],
            "passed": self.passed,
            "notes": list(self.notes),
            "elsewhere": numbers_for_json(self.elsewhere.to_json()) if self.elsewhere else None,
        }

    def to_junit(self, name: str = "edgekit verify") -> str:
        """A JUnit XML document with one test case a gate, for continuous integration to show."""
        return junit.document(self.suite(name))

    def suite(self, name: str) -> junit.Suite:
        """A test case a gate."""
        named = ((gate, gate.name + (f"[{gate.output}]" if gate.output else "")) for gate in self.gates)
        return junit.Suite(name, [junit.Case(case, None if gate.passed else str(gate)) for gate, case in named])


def judge(gates: Gates, parity: tuple[OutputParity, ...], metric: MetricResult | None) -> tuple[GateResult, ...]:
    """Hold thresholds against what was measured.

    Raises:
        DataError: A threshold is set on something that was not measured.
    """
    return (*_finite_gates(parity), *_parity_gates(gates, parity), *_metric_gates(gates, metric))


def _finite_gates(parity: tuple[OutputParity, ...]) -> Iterator[GateResult]:
    return (GateResult("finite", p.name, 0, p.non_finite, p.non_finite == 0) for p in parity)


def _parity_gates(gates: Gates, parity: tuple[OutputParity, ...]) -> Iterator[GateResult]:
    if gates.min_agreement is not None and all(p.agreement is None for p in parity):
        raise DataError("min_agreement is set and no output is a vector of scores", accepted=["min_cosine", "min_sqnr"])
    for name, field in (("min_cosine", "cosine"), ("min_sqnr", "sqnr_db"), ("min_agreement", "agreement")):
        least = getattr(gates, name)
        for p in parity if least is not None else ():
            value = getattr(p, field)
            if value is not None:
                yield GateResult(name, p.name, least, value, value >= least)


def _metric_gates(gates: Gates, metric: MetricResult | None) -> Iterator[GateResult]:
    if metric is None:
        if gates.need_metric:
            raise DataError("a threshold is set on the metric and none was measured", next_step="give data with labels, or a metric")
        return
    if gates.max_drop is not None:
        if metric.difference is None:
            told = "max_drop compares with the float model, which was not found"
            raise DataError(told, next_step="name it with --model (model=...), or set min_accuracy instead")
        drop = -metric.difference.value
        yield GateResult("max_drop", None, gates.max_drop, drop, drop <= gates.max_drop + 1e-12)
    if gates.min_accuracy is not None:
        yield GateResult("min_accuracy", None, gates.min_accuracy, metric.artifact.value, metric.artifact.value >= gates.min_accuracy)


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else numbers_for_json(vars(estimate))


def numbers_for_json(values: dict[str, Any]) -> dict[str, Any]:
    """The same with null for numbers that JSON lacks."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def from_json(data: dict[str, Any]) -> Verdict:
    """Inverse of `Verdict.to_json`, but for numbers that JSON lacks: an infinite ratio comes back as infinite, others as NaN."""
    metric = data["metric"]
    estimates = {k: Estimate(**_numbers(metric[k])) for k in _SIDES if metric[k] is not None} if metric else {}
    return Verdict(
        **{k: data[k] for k in ("model_sha256", "runtime", "delegate", "samples", "reference")},
        parity=tuple(OutputParity(**_parity(p)) for p in data["parity"]),
        metric=MetricResult(metric["name"], **estimates) if metric else None,
        gates=tuple(GateResult(**g) for g in data["gates"]),
        notes=tuple(data["notes"]),
    )


def _numbers(values: dict[str, Any]) -> dict[str, Any]:
    return {k: math.nan if v is None else v for k, v in values.items()}


def _parity(values: dict[str, Any]) -> dict[str, Any]:
    ratio = values["sqnr_db"]
    return values | {"sqnr_db": (math.inf if values["max_abs"] == 0 else -math.inf) if ratio is None else ratio}
