"""Mixed precision: int8 where it serves, int16 activations or float where it does not, found by measuring."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from glob import escape
from typing import ClassVar

import numpy as np
import torch

from edgekit.compress.budget import least
from edgekit.compress.cluster.agreement import agreement, answers, parted
from edgekit.compress.mixed.losses import rounding_losses
from edgekit.compress.mixed.rungs import Rung, edge_modules, kernel_modules, ladder, roundings
from edgekit.compress.options import require_one_budget, require_within
from edgekit.compress.overrides import for_module
from edgekit.compress.quantize import Quantize
from edgekit.compress.quantize.calibrate import batches
from edgekit.data import Samples
from edgekit.data.checking import class_indices
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph
from edgekit.recipe import Context
from edgekit.schemes import parse_scheme

BUDGETS: dict[str, str] = {
    "max_drop": "accuracy that may be lost, 0 up to 1",
    "min_agreement": "share of samples whose class stays, over 0 up to 1",
    "min_sqnr": "signal to quantization noise of the outputs, dB",
}
BATCH = 32


@dataclass(frozen=True)
class MixedPrecision:
    """Quantizes as ``quantize`` does, with the overrides that keep to a budget of accuracy at the least cost. Goes in its place.

    Given: a lowered float graph.
    Result: what ``quantize`` gives with those overrides; a note says which modules were raised, and what was measured. Each candidate is
    quantized as a whole and measured on samples that took no part in its calibration: validation data, else the last third of the
    calibration data. Modules that read the model's inputs or write its outputs keep `scheme`, so that these keep their dtypes;
    `overrides` raises them (with ``input_dtype`` and ``output_dtype`` of the recipe). Passes that follow (``bias_correction``,
    ``adaround``) only come nearer to float.
    Source: Yao et al. 2021, "HAWQ-V3: dyadic neural network quantization", section 3.3, with measured losses in the place of curvature.

    Exactly one of `max_drop`, `min_agreement` and `min_sqnr` is given.

    Attributes:
        scheme: Of every module that needs no other; a static one of `edgekit.schemes`.
        fallbacks: What a module may be raised to, the cheapest first; leave out ``w8a16`` where int16 kernels are slower than float.
        max_drop: Budget: the accuracy (0 to 1) that may be lost on labelled samples.
        min_agreement: Budget: the share (0 to 1) of samples whose class must stay the float model's; needs no labels.
        min_sqnr: Budget: signal to quantization noise of the outputs, dB; for models that are no classifiers.
        calibration: How activation ranges are chosen; as for ``quantize``.
        overrides: Module path glob to a scheme that is given, not searched for; the last match wins.
    """

    name: ClassVar[str] = "mixed_precision"

    scheme: str = "w8a8"
    fallbacks: tuple[str, ...] = ("w8a16", "float32")
    max_drop: float | None = None
    min_agreement: float | None = None
    min_sqnr: float | None = None
    calibration: str = "mse"
    overrides: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse schemes that round nothing or are no way up, and budgets that are none or several.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        Quantize(self.scheme, self.calibration, overrides=self.overrides)
        if parse_scheme(self.scheme).activation_bits != 8 or not parse_scheme(self.scheme).static:
            raise UsageError(f"scheme of mixed_precision is {self.scheme!r}", accepted=["w8a8", "w4a8"])
        if not self.fallbacks or set(self.fallbacks) - {"w8a16", "float32"}:
            raise UsageError(f"fallbacks are {list(self.fallbacks)}", accepted=["w8a16", "float32"])
        require_one_budget(self.name, [name for name in BUDGETS if getattr(self, name) is not None], list(BUDGETS))
        drop, agreement = self.max_drop, self.min_agreement
        require_within("max_drop", drop, drop is None or 0 <= drop < 1, BUDGETS["max_drop"])
        require_within("min_agreement", agreement, agreement is None or 0 < agreement <= 1, BUDGETS["min_agreement"])

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The quantized graph.

        Raises:
            DataError: There are no calibration data, no labels for `max_drop`, or they do not fit the model.
            UsageError: No assignment keeps to the budget, or the model is no classifier and the budget is one of answers.
            ConversionError: A weight is NaN or infinite.
        """
        samples = context.calibration_for("mixed precision measures the model on data")
        seen, unseen = (samples, context.validation) if context.validation is not None else parted(samples)
        measure, wanted = self._measure(graph, unseen)
        trial = Context(context.rules, seen, context.alignment)
        base = Quantize(self.scheme, self.calibration, overrides=self.overrides)(graph, trial)
        modules = kernel_modules(base)
        fixed = edge_modules(base) | {path for path in modules if for_module(path, None, self.overrides) is not None}
        rungs = [Rung()]
        if measure(base) < wanted:
            rungs = ladder(base, roundings(base, rounding_losses(base, seen), fixed), self.fallbacks)
        chosen = least(rungs, lambda rung: measure(self._quantized(graph, trial, modules, rung)) >= wanted) if len(rungs) > 1 else rungs[0]
        if chosen is None or (len(rungs) == 1 and measure(base) < wanted):
            raise self._unmet(measure(self._quantized(graph, trial, modules, rungs[-1])), wanted, len(unseen))
        result = self._quantized(graph, context, modules, chosen)
        return result.noting(_summary(chosen, f"{self._title} {measure(result):.4g} on {len(unseen)} samples (wanted: {wanted:.4g})"))

    @property
    def _title(self) -> str:
        titles = {"max_drop": "accuracy", "min_agreement": "agreement with the float model", "min_sqnr": "output SQNR in dB"}
        return next(title for name, title in titles.items() if getattr(self, name) is not None)

    def _measure(self, graph: Graph, unseen: Samples) -> tuple[Callable[[Graph], float], float]:
        """What tells how good a quantized graph is, and what it must reach."""
        if self.min_sqnr is not None:
            exact = _outputs(graph, unseen)
            return (lambda found: _sqnr(exact, _outputs(found, unseen))), self.min_sqnr
        expected = answers(graph, unseen)
        if self.min_agreement is not None:
            return (lambda found: agreement(expected, found, unseen)), self.min_agreement
        if unseen.labels is None:
            raise DataError(
                "max_drop counts right answers, but the samples have no labels",
                accepted="labelled validation or calibration samples",
                next_step="give labels, or a budget of min_agreement instead",
            )
        labels = torch.from_numpy(class_indices(unseen.labels))
        assert self.max_drop is not None
        accuracy = float((expected == labels).float().mean())
        return (lambda found: agreement(labels, found, unseen)), accuracy - self.max_drop

    def _quantized(self, graph: Graph, context: Context, modules: Collection[str], rung: Rung) -> Graph:
        """Quantized with overrides that raise the modules of a rung, and none inside them."""
        overrides = dict(self.overrides)
        for path in sorted(modules):
            given = for_module(path, self.scheme, self.overrides)
            if rung.get(path, given) != for_module(path, self.scheme, overrides):
                overrides[escape(path)] = rung.get(path, given)
        return Quantize(self.scheme, self.calibration, overrides=overrides)(graph, context)

    def _unmet(self, best: float, wanted: float, count: int) -> UsageError:
        """What to say where modules at the model's edges, which stay, lose too much alone."""
        ways = ["a wider budget", *(["fallbacks with float32"] if "float32" not in self.fallbacks else [])]
        slack = self.max_drop if self.max_drop is not None else None if self.min_agreement is None else 1 - self.min_agreement
        coarse = slack is not None and slack * count < 1
        return UsageError(
            f"the best mixture of {', '.join((self.scheme, *self.fallbacks))} reaches {self._title} {best:.4g} on {count} samples, "
            f"not {wanted:.4g}",
            accepted=[*ways, *(["fewer overrides"] if self.overrides else [])],
            next_step=f"give more samples: one answer of {count} is more than the budget" if coarse else None,
        )


def _outputs(graph: Graph, samples: Samples) -> list[torch.Tensor]:
    """All outputs of all samples, in batches."""
    with torch.inference_mode():
        return [value for run, inputs, _ in batches(graph, samples, BATCH) for value in run(*inputs)]


def _sqnr(exact: list[torch.Tensor], found: list[torch.Tensor]) -> float:
    signal = sum(float(a.double().square().sum()) for a in exact)
    noise = sum(float((a - b).double().square().sum()) for a, b in zip(exact, found, strict=True))
    return float(10 * np.log10(signal / noise)) if noise > 0 and signal > 0 else float("inf")


def _summary(rung: Rung, measured: str) -> str:
    by_scheme = {scheme: sorted(p for p, s in rung.items() if s == scheme) for scheme in sorted(set(rung.values()))}
    listed = "; ".join(f"{scheme}: {', '.join(repr(p) for p in paths)}" for scheme, paths in by_scheme.items())
    return f"mixed precision: {listed or 'no module had to be raised'}; {measured}"
