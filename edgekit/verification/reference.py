"""The float model an artifact is held against: given by the user, or found again by the artifact's own record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.artifact import Artifact
from edgekit.conversion.images import Picture, pictures
from edgekit.errors import EdgekitError
from edgekit.preprocess import Preprocess
from edgekit.sizes import Range

if TYPE_CHECKING:
    from edgekit.graph import Graph

_FILES = (".keras", ".h5", ".pt2")
"""Sources that can be opened by name without running code of their own."""


def reference_graph(artifact: Artifact, model: Any, *, resizable: bool = False, **options: Any) -> tuple[Graph | None, tuple[str, ...]]:
    """The float graph, and what a reader must know about it.

    Args:
        artifact: Says what it was made from.
        model: The user's model, or None to look for the recorded one beside the caller and the artifact.
        resizable: Whether the graph must know how to take the other sizes that the artifact leaves open, which takes more traces.
        **options: As of `edgekit.loading.export`.
    """
    if options.get("dims") is None:
        options["dims"] = _typical(artifact)
    if model is not None:
        examples = _example_inputs(artifact, model, options.get("example_inputs"))
        graph = load(model, resizable=resizable, **{**options, "example_inputs": examples})
        same = graph.source.digest == artifact.manifest.source.digest
        return graph, () if same else ("the float model given is not the one the artifact was made from: its digest differs",)
    for path in _candidates(artifact):
        try:
            graph = load(path, resizable=resizable, **options)
        except EdgekitError:
            continue
        if graph.source.digest == artifact.manifest.source.digest:
            return graph, (f"the float model was found at {path.name}",)
    return None, ()


def pictures_of(artifact: Artifact, graph: Graph) -> tuple[Picture, ...]:
    """The inputs of the float model whose preprocessing moved into the artifact's file."""
    moved = artifact.manifest.images
    if not moved:
        return ()
    steps = {name: Preprocess.from_json(step) for name, step in moved.items()}
    return pictures(graph.inputs, list(steps), steps)


def _typical(artifact: Artifact) -> dict[str, dict[int, Range]] | None:
    """The sizes the artifact leaves open, which the float model takes at the typical ones; None if there are none."""
    dims: dict[str, dict[int, Range]] = {}
    for open_size in artifact.manifest.open_sizes:
        for name, axis in open_size.places:
            dims.setdefault(name, {})[axis] = open_size.range
    return dims or None


def _example_inputs(artifact: Artifact, model: Any, given: Any) -> Any:
    """Those given; for a module in memory that has none, what the artifact says its inputs are."""
    import torch  # noqa: PLC0415 - torch loads where it is needed

    plain = isinstance(model, torch.nn.Module) and artifact.manifest.source.framework == "pytorch"
    if given is not None or not plain:
        return given
    return tuple(replace(s, dtype="float32", grid=None) if s.grid else s for s in artifact.manifest.inputs)


def load(model: Any, *, resizable: bool = False, **options: Any) -> Graph:
    """A model as a canonical graph, of the typical sizes only unless it must be `resizable`; a graph as it is."""
    from edgekit.graph import Graph  # noqa: PLC0415 - torch loads where it is needed

    if isinstance(model, Graph):
        return model
    from edgekit.canonicalize import canonicalize  # noqa: PLC0415
    from edgekit.canonicalize.opening import read  # noqa: PLC0415
    from edgekit.loading import export  # noqa: PLC0415

    return read(model, **options) if resizable else canonicalize(export(model, **options))


def _candidates(artifact: Artifact) -> list[Path]:
    name = Path(artifact.manifest.source.name)
    if name.suffix not in _FILES:
        return []
    places = (name, *(folder / name.name for folder in (Path(), artifact.path.parent)))
    return [p for p in dict.fromkeys(places) if p.is_file()]
