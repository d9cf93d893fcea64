"""Several artifacts of one model on the same samples: each against the float model, and every two against each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from edgekit.artifact import Artifact
from edgekit.conversion.running import run_graph
from edgekit.errors import EdgekitError, UsageError
from edgekit.preprocess import Preprocess
from edgekit.progress import track
from edgekit.verification.layers import LayerParity, compare_layers
from edgekit.verification.metrics import Metric, MetricResult
from edgekit.verification.parity import OutputParity, compare
from edgekit.verification.placing import placed
from edgekit.verification.reference import reference_graph
from edgekit.verification.verdict import Gates, Verdict, numbers_for_json
from edgekit.verification.verifying import Subject, judged, measured, quick, read_data, same_interface

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
        suites = ElementTree.Element("testsuites", name="edgekit verify")
        for label, verdict in self.verdicts.items():
            suites.append(ElementTree.fromstring(verdict.to_junit(f"edgekit verify {label}")))
        ElementTree.indent(suites)
        return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def verify_all(
    artifacts: Sequence[Artifact | str | Path],
    model: Any = None,
    *,
    data: Any = None,
    metric: str | Metric | None = None,
    max_drop: float | None = None,
    min_accuracy: float | None = None,
    min_cosine: float | None = None,
    min_sqnr: float | None = None,
    min_agreement: float | None = None,
    preprocess: Preprocess | Mapping[str, Preprocess] | None = None,
    samples: int | None = None,
    example_inputs: Any = None,
    weights: str | Path | None = None,
    dims: Any = None,
    trust: bool = False,
    runtime: str | None = None,
    delegate: str = "xnnpack",
    layers: bool = False,
    record: bool = True,
) -> Verdicts:
    """Compare several artifacts of one model with the float model and with each other.

    Args:
        artifacts: Two or more, of the same inputs and outputs.
        model: As in `edgekit.verify`, like all that is not explained here.
        data: The same; None uses the inputs kept in the first artifact.
        metric: The same.
        max_drop: Gate of each artifact, like the next ones.
        min_accuracy: The same.
        min_cosine: The same.
        min_sqnr: The same.
        min_agreement: The same.
        preprocess: The same.
        samples: The same.
        example_inputs: The same.
        weights: The same.
        dims: The same.
        trust: The same.
        runtime: The same; it must execute all formats.
        delegate: The same.
        layers: Whether to compare what the files compute layer by layer; wants the float model.
        record: Whether to write each verdict into its artifact's manifest.

    Raises:
        UsageError: The artifacts are not of one interface, or an option cannot be used.
        DataError: The data do not fit, or a gate is set on something they cannot measure.
    """
    gates = Gates(max_drop, min_accuracy, min_cosine, min_sqnr, min_agreement)
    labelled = _labelled(artifacts)
    with ExitStack() as stack:  # this machine needs no closing
        places = {label: stack.enter_context(placed(a.manifest.format, runtime, "host")) for label, a in labelled.items()}
    subjects = {label: Subject(artifact, places[label], delegate) for label, artifact in labelled.items()}
    first = next(iter(labelled.values()))
    given = None if data is None else read_data(first, data, preprocess, samples)
    options = {"example_inputs": example_inputs, "weights": weights, "dims": dims, "trust": trust, "batch": first.manifest.batch}
    graph, notes = reference_graph(first, model, **options)
    if graph is not None:
        for subject in subjects.values():
            same_interface(subject.artifact, graph)
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
        for side in ("inputs", "outputs"):
            mine, other = ({s.name: s.shape[1:] for s in getattr(a.manifest, side)} for a in (artifact, loaded[0]))
            if mine != other:
                raise UsageError(f"artifact {label!r} has {side} {mine}", accepted=f"{other}, as {labels[0]!r}")
    return dict(zip(labels, loaded, strict=True))


def _pair(a: str, b: str, outputs: Mapping[str, Mapping[str, np.ndarray]], metric: str | Metric | None, labels: np.ndarray | None) -> Pair:
    return Pair(a, b, compare(outputs[b], outputs[a]), measured(metric, outputs[b], outputs[a], labels, needed=False))
