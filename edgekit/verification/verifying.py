"""Verify: the float model and the artifact, on its real runtime, on the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from edgekit.artifact import Artifact
from edgekit.conversion.running import BATCH, encoded, request, run_file, run_graph, runtime_for
from edgekit.data import Samples
from edgekit.plugins import Runtime
from edgekit.verification.metrics import Metric, MetricResult, evaluate, is_own
from edgekit.verification.parity import compare, scores
from edgekit.verification.placing import Elsewhere, Place, held_against_here, placed
from edgekit.verification.reading import JudgingOptions, as_written, judging
from edgekit.verification.verdict import Gates, Verdict, judge

if TYPE_CHECKING:
    from edgekit.graph import Graph

Arrays = Mapping[str, np.ndarray]


def verify(
    artifact: Artifact | str | Path,
    model: Any = None,
    *,
    data: Any = None,
    metric: str | Metric | None = None,
    on: str = "host",
    record: bool = True,
    **how: Unpack[JudgingOptions],
) -> Verdict:
    """Compare an artifact with the float model it was made from.

    Args:
        artifact: The artifact, or its folder.
        model: The float model, as `edgekit.convert` takes it. None looks for the file the artifact was made from; if that is
            not there either, the outputs kept in the artifact serve as reference.
        data: Samples and labels, as `edgekit.convert` takes calibration data; None uses the inputs kept in the artifact.
        metric: ``accuracy`` (the default where there are labels), ``top5``, ``accuracy:output``, ``module:function``,
            ``file.py:function``, or a function; see `edgekit.verification.metrics.Metric`.
        on: The device, as `edgekit.devices.address` names them. Answers of another than this machine are held against this machine's too.
        record: Whether to write the verdict into the artifact's manifest.
        **how: Thresholds, and how to read and run everything; see `edgekit.verification.reading.JudgingOptions`.

    Returns:
        The verdict; `Verdict.require` raises where a gate is not met.

    Raises:
        UsageError: A name or an option cannot be used, or the artifact is damaged.
        DataError: The data do not fit the model, or a gate is set on something they cannot measure.
        DeviceUnavailable: The device cannot be reached, or failed.
    """
    gates, reading = judging(how)
    artifact = artifact if isinstance(artifact, Artifact) else Artifact.load(artifact)
    given = None if data is None else reading.data(artifact, data, reading.samples, free=is_own(metric))
    graph, notes = reading.graph(artifact, model)
    with placed(artifact.manifest.format, reading.runtime, on) as place:
        subject = Subject(artifact, place, reading.delegate)
        written = None if graph is None else as_written(artifact, graph)
        verdict = _verified(subject, written, given, metric=metric, gates=gates, notes=notes)
    if record:
        artifact.with_evidence(verdict.to_json())
    return verdict


@dataclass(frozen=True)
class Subject:
    """What is verified: an artifact, and how it is run."""

    artifact: Artifact
    place: Place
    delegate: str

    def outputs(self, inputs: Arrays, runtime: Runtime | None = None) -> dict[str, np.ndarray]:
        """The artifact's real-valued outputs; of another runtime, if one is given."""
        manifest = self.artifact.manifest
        job = request(self.artifact.model_file, self.delegate)
        return run_file(runtime or self.place.runtime, job, inputs=manifest.inputs, outputs=manifest.outputs, samples=inputs)

    def elsewhere(self, inputs: Arrays, got: Arrays) -> Elsewhere | None:
        """How another device's answers compare with this machine's."""
        if self.place.machine is None:
            return None
        here = self.outputs(inputs, runtime_for(self.artifact.manifest.format))
        return held_against_here(self.place, here, got)


def _verified(
    subject: Subject, graph: Graph | None, data: Samples | None, *, metric: str | Metric | None, gates: Gates, notes: tuple[str, ...]
) -> Verdict:
    inputs: Arrays = subject.artifact.golden()[0] if data is None else data.inputs
    wanted = run_graph(quick(graph, inputs), inputs) if graph is not None else None
    got = subject.outputs(inputs)
    labels = None if data is None else data.labels
    return judged(subject, inputs, got, wanted, labels=labels, metric=metric, gates=gates, notes=notes)


def judged(
    subject: Subject,
    inputs: Arrays,
    got: Arrays,
    wanted: Arrays | None,
    *,
    labels: np.ndarray | None,
    metric: str | Metric | None,
    gates: Gates,
    notes: tuple[str, ...],
) -> Verdict:
    """Hold an artifact's outputs against the float model's.

    Args:
        subject: The artifact.
        inputs: What it ran on.
        got: What it answered.
        wanted: What the float model answered; None where that is not at hand: then the samples kept in the artifact serve.
        labels: Of the inputs, or None.
        metric: As `verify` takes it.
        gates: Thresholds.
        notes: For the reader.
    """
    kept_inputs, kept_outputs = subject.artifact.golden()
    known = wanted
    if wanted is None and all(np.array_equal(inputs[name], kept) for name, kept in kept_inputs.items()):
        known = kept_outputs
    parity = compare(known, got) if known is not None else compare(kept_outputs, subject.outputs(kept_inputs))
    if wanted is None:
        told = f"the float model {subject.artifact.manifest.source.name!r} is not at hand (--model names it)"
        notes = (*notes, f"{told}: parity is on the {count(kept_inputs)} samples kept in the artifact")
    if says := getattr(subject.place.runtime, "measures", None):
        notes = (*notes, f"{subject.place.runtime.name} evaluates what the file says on this machine: {says}")
    elsewhere = subject.elsewhere(inputs, got)
    result = measured(metric, known, got, labels, needed=gates.need_metric)
    return Verdict(
        model_sha256=subject.artifact.manifest.model_sha256,
        runtime=subject.place.runtime.name,
        delegate=subject.delegate if getattr(subject.place.runtime, "delegates", True) else "none",
        samples=count(inputs),
        reference="source" if wanted is not None else "golden",
        parity=parity,
        metric=result,
        gates=judge(gates, parity, result),
        notes=notes if elsewhere is None else (*notes, str(elsewhere)),
        elsewhere=elsewhere,
    )


def quick(graph: Graph, inputs: Arrays) -> Graph:
    """A graph that takes many samples at once, where that gives the same answers."""
    from edgekit.canonicalize.batched import batched  # noqa: PLC0415 - torch is there where a graph is

    if count(inputs) <= BATCH:
        return graph
    import torch  # noqa: PLC0415

    rows = [tuple(torch.from_numpy(encoded(s, inputs)[i : i + 1]) for s in graph.inputs) for i in range(2)]
    return batched(graph, rows) or graph


def count(arrays: Arrays) -> int:
    """How many samples."""
    return len(next(iter(arrays.values())))


def measured(
    metric: str | Metric | None, wanted: Arrays | None, got: Arrays, labels: np.ndarray | None, *, needed: bool
) -> MetricResult | None:
    """The metric asked for; by default accuracy, where there are labels and one output of class scores."""
    if metric is None and (labels is None or (not needed and sum(scores(value) for value in got.values()) != 1)):
        return None
    return evaluate(metric or "accuracy", wanted, got, labels)
