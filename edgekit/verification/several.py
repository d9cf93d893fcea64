"""Several artifacts of one model on the same samples: each against the float model, and every two against each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from edgekit import junit
from edgekit.artifact import Artifact
from edgekit.conversion.running import run_graph
from edgekit.errors import EdgekitError, UsageError
from edgekit.progress import track
from edgekit.verification.layers import LayerParity, compare_layers
from edgekit.verification.metrics import Metric, MetricResult, is_own
from edgekit.verification.parity import OutputParity, compare
from edgekit.verification.placing import placed
from edgekit.verification.reading import JudgingOptions, as_written, judging
from edgekit.verification.verdict import Verdict, numbers_for_json
from edgekit.verification.verifying import Subject, judged, measured, quick

SCHEMA = "edgekit.verdicts/1"


@dataclass(frozen=True)
class Pair:
    """Two artifacts compared: the first's outputs against the second's.

    Attributes:
        first: Its label.
        second: Its label.
        parity: One comparison an output; the second is the reference.
        metric: Of both, and their paired difference; None where there were no labels and no metric was asked.
    """

    first: str
    second: str
    parity: tuple[OutputParity, ...]
    metric: MetricResult | None


@dataclass(frozen=True)
class Verdicts:
    """What was found.

    Attributes:
        verdicts: Of each artifact against the float model, by label: its target, or its folder where two have one target.
        pairs: Every two of them.
        layers: By module and artifact, where asked for.
    """

    verdicts: Mapping[str, Verdict]
    pairs: tuple[Pair, ...]
    layers: tuple[LayerParity, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate of every artifact is met."""
        return all(v.passed for v in self.verdicts.values())

    def require(self) -> Verdicts:
        """Return itself if every gate is met.

        Raises:
            GateFailed: It names the first artifact that fails, and its gates.
        """
        for label, verdict in self.verdicts.items():
            try:
                verdict.require()
            except EdgekitError as error:
                error.message = f"{label}: {error.message}"
                raise
        return self

    def to_json(self) -> dict[str, Any]:
        """The document. Numbers that JSON lacks are null, as in a verdict's."""
        pairs = []
        for pair in self.pairs:
            difference = pair.metric.difference if pair.metric else None
            pairs.append(
                {
                    "first": pair.first,
                    "second": pair.second,
                    "parity": [numbers_for_json(vars(p)) for p in pair.parity],
                    "difference": numbers_for_json(vars(difference)) if difference else None,
                }
            )
        return {
            "schema": SCHEMA,
            "verdicts": {label: verdict.to_json() for label, verdict in self.verdicts.items()},
            "pairs": pairs,
            "layers": [layer.to_json() for layer in self.layers],
            "passed": self.passed,
        }

    def to_junit(self) -> str:
        """A JUnit XML document: a suite an artifact, a test case a gate."""
        suites = [verdict.suite(f"edgekit verify {label}") for label, verdict in self.verdicts.items()]
        return junit.document(suites, "edgekit verify")


def verify_all(
    artifacts: Sequence[Artifact | str | Path],
    model: Any = None,
    *,
    data: Any = None,
    metric: str | Metric | None = None,
    layers: bool = False,
    record: bool = True,
    **how: Unpack[JudgingOptions],
) -> Verdicts:
    """Compare several artifacts of one model with the float model and with each other.

    Args:
        artifacts: Two or more, of the same inputs and outputs.
        model: As in `edgekit.verify`.
        data: The same; None uses the inputs kept in the first artifact.
        metric: The same.
        layers: Whether to compare what the files compute layer by layer; wants the float model.
        record: Whether to write each verdict into its artifact's manifest.
        **how: As in `edgekit.verify`. Thresholds are each artifact's; a runtime must execute all formats.

    Raises:
        UsageError: The artifacts are not of one interface, or an option cannot be used.
        DataError: The data do not fit, or a gate is set on something they cannot measure.
    """
    gates, reading = judging(how)
    labelled = _labelled(artifacts)
    with ExitStack() as stack:  # this machine needs no closing
        places = {label: stack.enter_context(placed(a.manifest.format, reading.runtime, "host")) for label, a in labelled.items()}
    subjects = {label: Subject(artifact, places[label], reading.delegate) for label, artifact in labelled.items()}
    first = next(iter(labelled.values()))
    given = None if data is None else reading.data(first, data, reading.samples, free=is_own(metric))
    graph, notes = reading.graph(first, model)
    graph = None if graph is None else as_written(first, graph)
    inputs = given.inputs if given is not None else first.golden()[0]
    wanted = run_graph(quick(graph, inputs), inputs) if graph is not None else None
    outputs = {label: subjects[label].outputs(inputs) for label in track("running the artifacts", list(subjects))}
    labels = given.labels if given is not None else None
    verdicts = {
        label: judged(subject, inputs, outputs[label], wanted, labels=labels, metric=metric, gates=gates, notes=notes)
        for label, subject in subjects.items()
    }
    pairs = tuple(_pair(a, b, outputs, metric, labels) for a, b in itertools.combinations(subjects, 2))
    found = compare_layers(subjects, graph, inputs) if layers else ()
    for label, subject in subjects.items():
        if record:
            subject.artifact.with_evidence(verdicts[label].to_json())
    return Verdicts(verdicts, pairs, found)


def _labelled(artifacts: Sequence[Artifact | str | Path]) -> dict[str, Artifact]:
    """By target, or by folder where two are for one target."""
    loaded = [a if isinstance(a, Artifact) else Artifact.load(a) for a in artifacts]
    if len(loaded) < 2:
        raise UsageError(f"got {len(loaded)} artifacts to compare", accepted="two or more")
    targets = [a.manifest.target for a in loaded]
    labels = [a.manifest.target if targets.count(a.manifest.target) == 1 else str(a.path) for a in loaded]
    if len(set(labels)) < len(labels):
        raise UsageError("an artifact is named twice", accepted="each once")
    for label, artifact in zip(labels, loaded, strict=True):
        _check_interface(label, artifact, labels[0], loaded[0])
    return dict(zip(labels, loaded, strict=True))


def _check_interface(label: str, artifact: Artifact, first: str, other: Artifact) -> None:
    """Refuse an artifact that does not take and give what the first one does."""
    for side in ("inputs", "outputs"):
        mine, wanted = ({s.name: s.shape[1:] for s in getattr(a.manifest, side)} for a in (artifact, other))
        if mine != wanted:
            raise UsageError(f"artifact {label!r} has {side} {mine}", accepted=f"{wanted}, as {first!r}")
    if (artifact.manifest.images or {}) != (other.manifest.images or {}):
        raise UsageError(
            f"artifact {label!r} takes {_taken(artifact)}, and {first!r} takes {_taken(other)}",
            accepted="artifacts that take the same values",
            next_step="verify them one by one, or convert without --images",
        )


def _taken(artifact: Artifact) -> str:
    """What goes into a file, in words."""
    images = artifact.manifest.images
    return f"pixels at {', '.join(images)}" if images else "no pixels"


def _pair(a: str, b: str, outputs: Mapping[str, Mapping[str, np.ndarray]], metric: str | Metric | None, labels: np.ndarray | None) -> Pair:
    return Pair(a, b, compare(outputs[b], outputs[a]), measured(metric, outputs[b], outputs[a], labels, needed=False))
