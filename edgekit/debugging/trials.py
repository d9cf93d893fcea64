"""Trials of a fix: one recipe, one real file, its paired loss of accuracy; kept on disk as soon as each is over.

A fix that was interrupted finds the trials it has made and goes on behind them.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import schemas, staging
from edgekit.artifact import Artifact
from edgekit.compress.training.own import source
from edgekit.conversion.pipeline import convert
from edgekit.conversion.running import run_graph
from edgekit.data import Samples
from edgekit.debugging.losses import decibels
from edgekit.debugging.subject import Subject
from edgekit.errors import EdgekitError, UsageError
from edgekit.graph import Graph
from edgekit.recipe import Recipe
from edgekit.tensors import TensorSpec
from edgekit.verification import Gates, Verdict, verifying
from edgekit.verification.metrics import Metric
from edgekit.verification.verdict import numbers_for_json
from edgekit.verification.verifying import judged, quick

if TYPE_CHECKING:
    from edgekit.verification.placing import Place

SCHEMA = "edgekit.fix/1"


@dataclass(frozen=True)
class Trial:
    """One recipe tried.

    Attributes:
        knob: What was turned; empty for the artifact as it was.
        change: What that did, in words.
        recipe: As TOML.
        value: The metric of the file; None where there is no file.
        drop: The float model's metric minus the file's, on the same samples.
        low: Lower end of its 95 % interval.
        high: Upper end.
        sqnr_db: Of the output that is farthest off.
        bytes: Of the model file.
        model_sha256: Of the model file.
        failure: Why there is no file, or None.
    """

    knob: str
    change: str
    recipe: str
    value: float | None = None
    drop: float = math.inf
    low: float = math.inf
    high: float = math.inf
    sqnr_db: float = -math.inf
    bytes: int = 0
    model_sha256: str = ""
    failure: str | None = None

    @property
    def nearness(self) -> str:
        """`sqnr_db` in words."""
        return decibels(self.sqnr_db)

    def better_than(self, other: Trial) -> bool:
        """Whether it loses less; of two that lose the same, has the nearer outputs."""
        return (self.drop, -self.sqnr_db) < (other.drop, -other.sqnr_db)

    def to_json(self) -> dict[str, Any]:
        """The row. Numbers that JSON lacks are null."""
        return numbers_for_json(dict(vars(self)))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Trial:
        """Inverse of `to_json`."""
        unknown: dict[str, Any] = {
            "drop": math.inf,
            "low": math.inf,
            "high": math.inf,
            "sqnr_db": math.inf if data["failure"] is None else -math.inf,
        }
        values: dict[str, Any] = {k: unknown.get(k) if v is None else v for k, v in data.items()}
        return cls(**values)


@dataclass
class Bench:
    """Where trials are made.

    Attributes:
        subject: The model, the data and what else the conversion knew.
        place: What runs the files.
        metric: As `edgekit.verify` takes it.
        max_drop: The budget.
        record: The file that keeps the trials.
        trials: Those made so far, here or before an interruption.
    """

    subject: Subject
    place: Place
    metric: str | Metric | None
    max_drop: float
    record: Path
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        data, graph = self.subject.data, self.subject.graph
        self._wanted = run_graph(quick(graph, data.inputs), data.inputs)
        self._known = {trial.recipe: trial for trial in _kept(self.record, self.key)}

    @property
    def key(self) -> str:
        """A digest of all that a trial depends on but its recipe."""
        subject, lessons = self.subject, self.subject.lessons
        given = (self.metric, lessons.teacher, lessons.loss, lessons.metric)
        known = (subject.artifact.manifest.model_sha256, subject.model.source.digest, subject.target.name)
        total = hashlib.sha256(repr((*known, self.place.runtime.name, subject.reading.delegate, *map(_told, given))).encode())
        for samples in (subject.data, subject.calibration, lessons.training, lessons.validation):
            for name, array in sorted(_arrays(samples).items()):
                total.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    def baseline(self) -> Trial:
        """The artifact as it is."""
        return self._made("", "the artifact as it is", self.subject.recipe, lambda recipe: self._measured(self.subject.artifact))

    def trial(self, knob: str, change: str, recipe: Recipe) -> Trial:
        """Convert with a recipe, and hold the file against the float model."""
        return self._made(knob, change, recipe, self._converted)

    def running(self, artifact: Artifact) -> verifying.Subject:
        """An artifact as it is run here."""
        return verifying.Subject(artifact, self.place, self.subject.reading.delegate)

    def verdict(self, artifact: Artifact, samples: Samples, wanted: dict[str, np.ndarray] | None = None) -> Verdict:
        """An artifact against the float model."""
        subject, graph = self.running(artifact), self.subject.graph
        known = wanted or run_graph(quick(graph, samples.inputs), samples.inputs)
        got = subject.outputs(samples.inputs)
        return judged(
            subject, samples.inputs, got, known, labels=samples.labels, metric=self.metric, gates=Gates(max_drop=self.max_drop), notes=()
        )

    def write(self, **more: Any) -> None:
        """Keep the trials, with what else there is to say."""
        document = {"schema": SCHEMA, "key": self.key, **more, "trials": [t.to_json() for t in self.trials]}
        self.record.parent.mkdir(parents=True, exist_ok=True)
        staging.write_file(self.record, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())

    def _made(self, knob: str, change: str, recipe: Recipe, make: Any) -> Trial:
        text = recipe.to_toml()
        known = self._known.get(text)
        self.trials.append(replace(known or make(recipe), knob=knob, change=change, recipe=text))
        if known is None:
            self.write()
        return self.trials[-1]

    def _converted(self, recipe: Recipe) -> Trial:
        with tempfile.TemporaryDirectory(prefix="edgekit-fix-") as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the last conversion says what is to be said
            try:
                artifact = self.convert(recipe, Path(folder) / "trial")
            except EdgekitError as error:
                return Trial("", "", "", failure=error.message)
            return self._measured(artifact)

    def convert(self, recipe: Recipe, out: Path, *, overwrite: bool = False) -> Artifact:
        """The subject's model with another recipe, which says the dtypes of the file's edges; all else as it was converted before."""
        subject, manifest, lessons = self.subject, self.subject.artifact.manifest, self.subject.lessons
        return convert(
            subject.model,
            subject.target,
            recipe=recipe,
            calibration=subject.calibration,
            out=out,
            preprocess=subject.preprocess,
            batch=manifest.batch,
            overwrite=overwrite,
            labels=manifest.labels,
            description=manifest.description,
            author=manifest.author,
            licence=manifest.licence,
            version=manifest.version,
            compute=manifest.compute,
            images=[picture.name for picture in subject.pictures],
            batches=manifest.batches,
            emitter=manifest.emitter,
            training=lessons.training,
            validation=lessons.validation,
            teacher=lessons.teacher,
            checkpoints=lessons.checkpoints,
            loss=lessons.loss,
            metric=lessons.metric,
        )

    def _measured(self, artifact: Artifact) -> Trial:
        verdict = self.verdict(artifact, self.subject.data, self._wanted)
        assert verdict.metric is not None and verdict.metric.difference is not None  # the gate saw to that
        gained = verdict.metric.difference
        return Trial(
            "", "", "",
            value=verdict.metric.artifact.value,
            drop=0.0 - gained.value,
            low=0.0 - gained.high,
            high=0.0 - gained.low,
            sqnr_db=min(p.sqnr_db for p in verdict.parity),
            bytes=artifact.model_bytes,
            model_sha256=artifact.manifest.model_sha256,
        )  # fmt: skip


def _kept(record: Path, key: str) -> list[Trial]:
    """The trials of an earlier run.

    Raises:
        UsageError: The file is something else, or about something else.
    """
    if not record.exists():
        return []
    try:
        document = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{record} is in the way, and it cannot be read: {error}", next_step="move it away, or name another --out"
        ) from None
    schemas.validate(document, "fix-1", str(record))
    if document["key"] != key:
        raise UsageError(
            f"{record} has the trials of another fix: of other data, options or another artifact",
            next_step="move it away, or name another --out",
        )
    return [Trial.from_json(row) for row in document["trials"]]


def _told(given: Any) -> str | None:
    """What tells a metric, a loss or a teacher from another."""
    if given is None or isinstance(given, str):
        return given
    return given.source.digest if isinstance(given, Graph) else source(given)


def _arrays(samples: Samples | None) -> dict[str, np.ndarray]:
    if samples is None:
        return {}
    return samples.inputs if samples.labels is None else {**samples.inputs, "labels of the samples": samples.labels}


def edge_dtype(specs: Sequence[TensorSpec]) -> str | None:
    """Dtype of the float inputs or outputs of a file; None where there are none."""
    return next((s.dtype for s in specs if s.grid is not None or s.dtype.startswith("float")), None)
