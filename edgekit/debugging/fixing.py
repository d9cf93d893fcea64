"""Fix: turn the knobs of an artifact's recipe, the cheapest first, until its loss of accuracy is inside a budget."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from edgekit.artifact import Artifact
from edgekit.debugging.diagnosing import diagnosed
from edgekit.debugging.diagnosis import Diagnosis, LayerLoss
from edgekit.debugging.knobs import FLOAT, State, in_order
from edgekit.debugging.subject import LookingOptions, Subject, opened
from edgekit.debugging.trials import Bench, Trial, edge_dtype
from edgekit.errors import GateFailed, UsageError
from edgekit.graph import is_call, op_name
from edgekit.ordering import QUANTIZERS
from edgekit.progress import report
from edgekit.recipe import Recipe
from edgekit.verification import Verdict
from edgekit.verification.metrics import Metric, is_own
from edgekit.verification.placing import placed

RECORD = ".trials.json"
"""What the name of the record adds to the artifact's."""
STATES = ".states"
"""What the name of the folder adds that keeps trainings until the fix is over."""
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
    overwrite: bool = False,
    **how: Unpack[LookingOptions],
) -> Fix:
    """Turn the knobs of an artifact's recipe until its loss of accuracy is inside a budget.

    What costs the device nothing comes first: calibration, equalization, bias correction, in the order that suits what `edgekit.debug`
    finds; then AdaRound, then int16 and at last float for the worst layers. Each trial is a file of its own, run on its runtime and
    compared with the float model sample by sample. All are kept in a record beside `out`, and a fix that was interrupted goes on there.

    Args:
        artifact: As in `edgekit.debug`, like all that is not explained here.
        model: The same.
        data: Samples to choose with; with labels, unless `metric` needs none.
        max_drop: The budget: how far the metric may fall below the float model's (0.005 = half a point of accuracy).
        out: The folder of the new artifact; None for the artifact's name and ``-fixed``.
        test: Other samples that the result is held against once more: that of `data` is flattered, since knobs were chosen with it.
        metric: As in `edgekit.verify`.
        overwrite: Whether an artifact at `out` may be replaced.
        **how: As in `edgekit.debug`. Each trial of a recipe that trains trains anew, but for what its `checkpoints` say is over; without
            a folder for them, one beside `out` keeps them until the fix is.

    Raises:
        UsageError: As in `edgekit.debug`; or the recipe has no pass whose knobs could be turned, or the record is of another fix.
        DataError: As in `edgekit.debug`; or the data have no labels.
    """
    if not 0 <= max_drop < 1:
        raise UsageError(f"max_drop is {max_drop:g}", accepted="0 up to 1: 0.005 for half a point of accuracy")
    subject = opened(artifact, model, data=data, free=is_own(metric), **how)
    _check_knobs(subject)
    destination = Path(out) if out is not None else subject.artifact.path.with_name(f"{subject.artifact.path.name}-fixed")
    if destination.exists() and not overwrite:
        raise UsageError(f"{destination} is there already", next_step="name another --out, or --force")
    given = None if test is None else subject.reading.data(subject.artifact, test, free=is_own(metric))
    record = destination.with_name(destination.name + RECORD)
    place = placed(subject.artifact.manifest.format, subject.reading.runtime, "host")
    with _trained_once(subject, destination) as subject, place as there:
        bench = Bench(subject, there, metric, max_drop, record)
        first = bench.baseline()  # refuses at once what cannot be measured
        seen = diagnosed(subject, file=bench.running(subject.artifact))
        best = _search(bench, first, seen)
        made = subject.artifact
        if best is not bench.trials[0]:
            made = bench.convert(Recipe.from_toml(best.recipe), destination, overwrite=overwrite)
            made = made.with_evidence(bench.verdict(made, subject.data).to_json())
        found = Fix(seen, max_drop, tuple(bench.trials), best, made, record, None if given is None else bench.verdict(made, given))
        bench.write(**found.to_json())
    return found


@contextmanager
def _trained_once(subject: Subject, destination: Path) -> Iterator[Subject]:
    """Yield the subject with a folder for the state of trainings, where it has none and trains; it goes once the block ends well."""
    if not subject.trains or subject.lessons.checkpoints is not None:
        yield subject
        return
    states = destination.with_name(destination.name + STATES)
    yield replace(subject, lessons=replace(subject.lessons, checkpoints=states))
    shutil.rmtree(states, ignore_errors=True)


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
