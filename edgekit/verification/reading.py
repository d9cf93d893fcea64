"""The float model and the samples that artifacts are held against, and what runs them: what verifying and debugging ask for alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from edgekit.arguments import check_known
from edgekit.artifact import Artifact
from edgekit.conversion.images import from_pixels
from edgekit.data import Samples, read_samples
from edgekit.errors import UsageError
from edgekit.preprocess import Preprocess
from edgekit.verification.reference import pictures_of, reference_graph
from edgekit.verification.verdict import Gates

if TYPE_CHECKING:
    from edgekit.graph import Graph


class ReadingOptions(TypedDict, total=False):
    """What `edgekit.verify`, `edgekit.verify_all`, `edgekit.debug` and `edgekit.fix` have in common.

    Attributes:
        preprocess: What makes model inputs of the data; None for what the artifact's manifest says.
        samples: Use at most so many.
        example_inputs: For a PyTorch module, as in `edgekit.convert`.
        weights: The same.
        dims: The same.
        trust: The same.
        runtime: Name of what runs the artifact; None for the format's.
        delegate: ``xnnpack`` (the default), ``none`` or ``reference``.
    """

    preprocess: Preprocess | Mapping[str, Preprocess] | None
    samples: int | None
    example_inputs: Any
    weights: str | Path | None
    dims: Any
    trust: bool
    runtime: str | None
    delegate: str


class JudgingOptions(ReadingOptions, total=False):
    """What `edgekit.verify` and `edgekit.verify_all` have in common: thresholds too, as of `Gates`.

    Attributes:
        max_drop: How far the metric may fall below the float model's (0.01 = one point of accuracy).
        min_accuracy: Least value of the metric.
        min_cosine: Least cosine, of every output.
        min_sqnr: Least signal to quantization noise ratio in dB, of every output.
        min_agreement: Least top-1 agreement, of every score output.
    """

    max_drop: float | None
    min_accuracy: float | None
    min_cosine: float | None
    min_sqnr: float | None
    min_agreement: float | None


@dataclass(frozen=True)
class Reading:
    """`ReadingOptions` with their defaults."""

    preprocess: Preprocess | Mapping[str, Preprocess] | None = None
    samples: int | None = None
    example_inputs: Any = None
    weights: str | Path | None = None
    dims: Any = None
    trust: bool = False
    runtime: str | None = None
    delegate: str = "xnnpack"

    def data(self, artifact: Artifact, data: Any, limit: int | None = None, *, free: bool = False) -> Samples:
        """Data for an artifact, preprocessed as asked or as its manifest says.

        Args:
            artifact: Its inputs are what the data must be.
            data: As `edgekit.convert` takes calibration data.
            limit: Use at most so many.
            free: Whether labels may be numbers of any shape, not class indices only.

        Raises:
            DataError: They do not fit.
        """
        manifest, steps = artifact.manifest, self.preprocess
        inputs = tuple(replace(s, dtype="float32", grid=None) if s.grid else s for s in manifest.inputs)
        if steps is None and manifest.preprocess is not None:
            steps = {name: Preprocess.from_json(step) for name, step in manifest.preprocess.items()}
        return read_samples(data, inputs, steps, limit=limit, free=free)

    def graph(self, artifact: Artifact, model: Any, *, resizable: bool = False) -> tuple[Graph | None, tuple[str, ...]]:
        """The float model, with inputs as the user has them, and what a reader must know about it.

        Args:
            artifact: What was made from it.
            model: As `edgekit.convert` takes it; None to look for the file the artifact was made from.
            resizable: As of `reference_graph`.

        Returns:
            None where it is not at hand.

        Raises:
            LoadError: The model given cannot be read.
            UsageError: It has other inputs or outputs than the artifact.
        """
        options = {"example_inputs": self.example_inputs, "weights": self.weights, "dims": self.dims, "trust": self.trust}
        graph, notes = reference_graph(artifact, model, resizable=resizable, **options, batch=artifact.manifest.batch)
        if graph is not None:
            same_interface(artifact, as_written(artifact, graph))
        return graph, notes


def judging(how: JudgingOptions) -> tuple[Gates, Reading]:
    """The options sorted, with their defaults.

    Raises:
        TypeError: There is no such option.
        UsageError: A threshold has no meaning.
    """
    check_known(how, JudgingOptions.__optional_keys__)
    given, names = dict[str, Any](how), {f.name for f in fields(Gates)}
    thresholds = {name: given.pop(name) for name in names & given.keys()}
    return Gates(**thresholds), Reading(**given)


def as_written(artifact: Artifact, graph: Graph) -> Graph:
    """The float model with the preprocessing that moved into the artifact's file moved into it too."""
    return from_pixels(graph, found) if (found := pictures_of(artifact, graph)) else graph


def same_interface(artifact: Artifact, graph: Graph) -> None:
    """Refuse a float model of other inputs or outputs than the artifact's."""
    for side in ("inputs", "outputs"):
        mine, other = ({s.name: list(s.shape) for s in getattr(owner, side)} for owner in (artifact.manifest, graph))
        if mine != other:
            raise UsageError(
                f"the float model has {side} {other}", accepted=f"{mine}", next_step="give the model the artifact was made from"
            )
