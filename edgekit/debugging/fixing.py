"""Fix: turn the knobs of an artifact's recipe, the cheapest first, until its loss of accuracy is inside a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact
from edgekit.debugging.diagnosing import diagnosed
from edgekit.debugging.diagnosis import Diagnosis, LayerLoss
from edgekit.debugging.knobs import FLOAT, State, in_order
from edgekit.debugging.subject import Subject, opened
from edgekit.debugging.trials import Bench, Trial, edge_dtype
from edgekit.errors import GateFailed, UsageError
from edgekit.graph import is_call, op_name
from edgekit.ordering import QUANTIZERS
from edgekit.preprocess import Preprocess
from edgekit.progress import report
from edgekit.recipe import Recipe
from edgekit.targets import Target
from edgekit.verification import Verdict, verifying
from edgekit.verification.metrics import Metric
from edgekit.verification.placing import placed
from edgekit.verification.verifying import read_data

RECORD = ".trials.json"
"""What the name of the record adds to the artifact's."""
FIXED = "_fixed"
"""What the name of a recipe gets added."""


@dataclass(frozen=True)
class Fix:
    """What came of a fix.

    Attributes:
        diagnosis: Of the artifact as it was.
        max_drop: The budget.
        trials: All recipes tried, in order; the first is the artifact as it was.
        best: The one that was taken.
        artifact: With that recipe; the given one, where nothing was better.
        record: The file with all trials.
        test: The artifact on samples that no choice was made with, or None.
    """

    diagnosis: Diagnosis
    max_drop: float
    trials: tuple[Trial, ...]
    best: Trial
    artifact: Artifact
    record: Path
    test: Verdict | None = None

    @property
    def passed(self) -> bool:
        """Whether the loss is inside the budget, on the test data too where there are any."""
        return inside(self.best, self.max_drop) and (self.test_drop is None or self.test_drop <= self.max_drop + 1e-12)

    @property
    def test_drop(self) -> float | None:
        """The loss on the test data."""
        metric = None if self.test is None else self.test.metric
        return None if metric is None or metric.difference is None else -metric.difference.value

    def require(self) -> Fix:
        """Return itself if the loss is inside the budget.

        Raises:
            GateFailed: It is not.
        """
        if self.passed:
            return self
        if inside(self.best, self.max_drop):
            raise GateFailed(
                f"the loss is {self.best.drop:.4f} on the data the knobs were chosen with, and {self.test_drop:.4f} on the test data",
                accepted=f"{self.max_drop:.4f} or less",
                next_step="choose with more samples",
            )
        raise GateFailed(
            f"no knob brought the loss from {self.trials[0].drop:.4f} to the budget; the best has {self.best.drop:.4f}",
            accepted=f"{self.max_drop:.4f} or less",
            next_step="train it: a recipe with fine_tune behind quantize",
        )

    def to_json(self) -> dict[str, Any]:
        """What the record says besides its trials."""
        return {
            "max_drop": self.max_drop,
            "passed": self.passed,
            "artifact": str(self.artifact.path),
            "best": self.trials.index(self.best),
            "test": None if self.test is None else self.test.to_json(),
        }


def fix(
    artifact: Artifact | str | Path,
    model: Any = None,
    *,
    data: Any,
    max_drop: float,
    out: str | Path | None = None,
    test: Any = None,
    metric: str | Metric | None = None,
    calibration: Any = None,
    target: str | Path | Target | None = None,
    preprocess: Preprocess | Mapping[str, Preprocess] | None = None,
    samples: int | None = None,
    example_inputs: Any = None,
    weights: str | Path | None = None,
    dims: Any = None,
    trust: bool = False,
    runtime: str | None = None,
    delegate: str = "xnnpack",
    overwrite: bool = False,
) -> Fix:
    """Turn the knobs of an artifact's recipe until its loss of accuracy is inside a budget.

    What costs the device nothing comes first: calibration, equalization, bias correction, in the order that suits what `edgekit.debug`
    finds; then AdaRound, then int16 and at last float for the worst layers. Each trial is a file of its own, run on its runtime and
    compared with the float model sample by sample. All are kept in a record beside `out`, and a fix that was interrupted goes on there.

    Args:
        artifact: The artifact, or its folder.
        model: The float model, as in `edgekit.debug`, like all that is not explained here.
        data: Samples to choose with; with labels, unless `metric` needs none.
        max_drop: The budget: how far the metric may fall below the float model's (0.005 = half a point of accuracy).
        out: The folder of the new artifact; None for the artifact's name and ``-fixed``.
        test: Other samples that the result is held against once more: that of `data` is flattered, since knobs were chosen with it.
        metric: As in `edgekit.verify`.
        calibration: As in `edgekit.debug`.
        target: The same.
        preprocess: The same; of `test` too.
        samples: The same.
        example_inputs: The same.
        weights: The same.
        dims: The same.
        trust: The same.
        runtime: The same.
        delegate: The same.
        overwrite: Whether an artifact at `out` may be replaced.

    Raises:
        UsageError: As in `edgekit.debug`; or the recipe has no pass whose knobs could be turned, or the record is of another fix.
        DataError: The data do not fit, or have no labels.
    """
    if not 0 <= max_drop < 1:
        raise UsageError(f"max_drop is {max_drop:g}", accepted="0 up to 1: 0.005 for half a point of accuracy")
    options = {"example_inputs": example_inputs, "weights": weights, "dims": dims, "trust": trust}
    subject = opened(artifact, model, data=data, calibration=calibration, target=target, preprocess=preprocess, samples=samples, **options)
    _check_knobs(subject)
    destination = Path(out) if out is not None else subject.artifact.path.with_name(f"{subject.artifact.path.name}-fixed")
    if destination.exists() and not overwrite:
        raise UsageError(f"{destination} is there already", next_step="name another --out, or --force")
    given = None if test is None else read_data(subject.artifact, test, preprocess, None)
    record = destination.with_name(destination.name + RECORD)
    with placed(subject.artifact.manifest.format, runtime, "host") as place:
        bench = Bench(subject, place, delegate, metric, max_drop, record)
        first = bench.baseline()  # refuses at once what cannot be measured
        seen = diagnosed(subject, file=verifying.Subject(subject.artifact, place, delegate))
        best = _search(bench, first, seen)
        made = subject.artifact
        if best is not bench.trials[0]:
            made = bench.convert(Recipe.from_toml(best.recipe), destination, overwrite=overwrite)
            made = made.with_evidence(bench.verdict(made, subject.data).to_json())
        found = Fix(seen, max_drop, tuple(bench.trials), best, made, record, None if given is None else bench.verdict(made, given))
        bench.write(**found.to_json())
    return found


def inside(trial: Trial, max_drop: float) -> bool:
    """Whether a trial's loss is inside the budget."""
    return trial.drop <= max_drop + 1e-12


def _search(bench: Bench, first: Trial, seen: Diagnosis) -> Trial:
    """Try knob after knob on the best recipe so far; returns the first inside the budget, else the best."""
    best, named = first, seen.ranked[0].finding
    ops = frozenset(op_name(node) for node in bench.subject.graph.nodes if is_call(node))
    for knob in () if inside(best, bench.max_drop) else in_order(() if named is None else named.knobs):
        recipe = Recipe.from_toml(best.recipe)
        state = State(recipe, bench.subject.target.rules, ops, partial(_ranked, bench.subject, recipe))
        for change, other in knob.options(state):
            report(f"trying {change}", len(bench.trials))
            trial = bench.trial(knob.name, change, _with_edges(bench.subject, other))
            if trial.failure is not None and knob.tier:
                trial = bench.trial(knob.name, f"{change}, floats in and out", _with_edges(bench.subject, other, FLOAT))
            best = trial if trial.better_than(best) else best
            if inside(best, bench.max_drop):
                return best
    return best


def _ranked(subject: Subject, recipe: Recipe) -> Sequence[LayerLoss]:
    return diagnosed(subject, recipe).ranked


def _with_edges(subject: Subject, recipe: Recipe, dtype: str | None = None) -> Recipe:
    """The recipe under a name of its own, for a file of the same input and output dtypes as the artifact's, or of this one.

    Where the first or the last layer gets wider, an integer edge of the old width does not fit it.
    """
    manifest, name = subject.artifact.manifest, subject.recipe.name
    edges = [dtype or edge_dtype(specs) for specs in (manifest.inputs, manifest.outputs)]
    return replace(recipe, name=name if name.endswith(FIXED) else f"{name}{FIXED}", input_dtype=edges[0], output_dtype=edges[1])


def _check_knobs(subject: Subject) -> None:
    if not any(p.name in QUANTIZERS for p in subject.recipe.passes):
        raise UsageError(
            f"recipe {subject.recipe.name!r} has no knobs to turn: it rounds to no grids",
            accepted=f"recipes with one of {', '.join(QUANTIZERS)}",
            next_step="for tables, more bits: edgekit recipes lists palettes",
        )
    if any(part.startswith("--minShapes=") for part in subject.artifact.manifest.build):
        raise UsageError(
            f"{subject.artifact.path} takes any batch of a range, and a fix converts for one batch",
            next_step="convert without --batches, fix that, and convert with its recipe.toml and --batches",
        )
    if subject.artifact.manifest.images:
        raise UsageError(
            f"{subject.artifact.path} takes pictures, and a fix converts again from arrays",
            next_step="convert without --images, fix that, and convert with its recipe.toml and --images",
        )
