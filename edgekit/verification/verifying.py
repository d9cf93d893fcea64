"""Verify: the float model and the artifact, on its real runtime, on the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.artifact import Artifact
from edgekit.conversion.images import from_pixels, pictures
from edgekit.conversion.running import BATCH, encoded, request, run_file, run_graph, runtime_for
from edgekit.data import Samples, read_samples
from edgekit.errors import UsageError
from edgekit.plugins import Runtime
from edgekit.preprocess import Preprocess
from edgekit.verification.metrics import Metric, MetricResult, evaluate
from edgekit.verification.parity import compare, scores
from edgekit.verification.placing import Elsewhere, Place, held_against_here, placed
from edgekit.verification.reference import reference_graph
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
    on: str = "host",
    record: bool = True,
) -> Verdict:
    """Compare an artifact with the float model it was made from.

    Args:
        artifact: The artifact, or its folder.
        model: The float model, as `edgekit.convert` takes it. None looks for the file the artifact was made from; if that is
            not there either, the outputs kept in the artifact serve as reference.
        data: Samples and labels, as `edgekit.convert` takes calibration data; None uses the inputs kept in the artifact.
        metric: ``accuracy`` (the default where there are labels), ``top5``, ``accuracy:output``, ``module:function``,
            ``file.py:function``, or a function; see `edgekit.verification.metrics.Metric`.
        max_drop: Gate: how far the metric may fall below the float model's.
        min_accuracy: Gate: least value of the metric.
        min_cosine: Gate: least cosine, of every output.
        min_sqnr: Gate: least signal to quantization noise ratio in dB, of every output.
        min_agreement: Gate: least top-1 agreement, of every score output.
        preprocess: What makes model inputs of the data; None for what the artifact's manifest says.
        samples: Use at most so many.
        example_inputs: For a PyTorch module, as in `edgekit.convert`.
        weights: The same.
        dims: The same.
        trust: The same.
        runtime: Name of the runtime; None for the format's.
        delegate: ``xnnpack``, ``none`` or ``reference``.
        on: The device, as `edgekit.devices.address` names them. Answers of another than this machine are held against this machine's too.
        record: Whether to write the verdict into the artifact's manifest.

    Returns:
        The verdict; `Verdict.require` raises where a gate is not met.

    Raises:
        UsageError: A name or an option cannot be used, or the artifact is damaged.
        DataError: The data do not fit the model, or a gate is set on something they cannot measure.
        DeviceUnavailable: The device cannot be reached, or failed.
    """
    gates = Gates(max_drop, min_accuracy, min_cosine, min_sqnr, min_agreement)
    artifact = artifact if isinstance(artifact, Artifact) else Artifact.load(artifact)
    given = None if data is None else read_data(artifact, data, preprocess, samples)
    options = {"example_inputs": example_inputs, "weights": weights, "dims": dims, "trust": trust, "batch": artifact.manifest.batch}
    graph, notes = reference_graph(artifact, model, **options)
    if graph is not None:
        graph = with_pictures(graph, artifact)
        same_interface(artifact, graph)
    with placed(artifact.manifest.format, runtime, on) as place:
        verdict = _verified(Subject(artifact, place, delegate), graph, given, metric=metric, gates=gates, notes=notes)
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


def with_pictures(graph: Graph, artifact: Artifact) -> Graph:
    """The float model with the preprocessing that moved into the artifact's file moved into it too."""
    moved = artifact.manifest.images
    if not moved:
        return graph
    steps = {name: Preprocess.from_json(step) for name, step in moved.items()}
    return from_pixels(graph, pictures(graph.inputs, list(steps), steps))


def same_interface(artifact: Artifact, graph: Graph) -> None:
    """Refuse a float model of other inputs or outputs than the artifact's."""
    for side in ("inputs", "outputs"):
        mine, other = ({s.name: list(s.shape) for s in getattr(owner, side)} for owner in (artifact.manifest, graph))
        if mine != other:
            raise UsageError(
                f"the float model has {side} {other}", accepted=f"{mine}", next_step="give the model the artifact was made from"
            )


def read_data(artifact: Artifact, data: Any, preprocess: Preprocess | Mapping[str, Preprocess] | None, limit: int | None) -> Samples:
    """Data for an artifact, preprocessed as asked or as its manifest says."""
    manifest = artifact.manifest
    inputs = tuple(replace(s, dtype="float32", grid=None) if s.grid else s for s in manifest.inputs)
    if preprocess is None and manifest.preprocess is not None:
        preprocess = {name: Preprocess.from_json(step) for name, step in manifest.preprocess.items()}
    return read_samples(data, inputs, preprocess, limit=limit)


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
        notes = (*notes, f"the float model is not at hand: parity is on the {count(kept_inputs)} samples kept in the artifact")
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
