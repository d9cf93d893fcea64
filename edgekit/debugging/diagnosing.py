"""Debug: find the layers that cost an artifact its accuracy, and say why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from edgekit.artifact import Artifact
from edgekit.compress.quantize.annotate import annotate
from edgekit.conversion.running import run_graph
from edgekit.debugging.causes import explain
from edgekit.debugging.diagnosis import Diagnosis, LayerLoss
from edgekit.debugging.losses import Losses, Nearness, measure
from edgekit.debugging.subject import LookingOptions, Subject, opened
from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.recipe import Recipe
from edgekit.schemes import parse_scheme
from edgekit.targets import Rules
from edgekit.verification import verifying
from edgekit.verification.parity import compare
from edgekit.verification.placing import placed

EXPLAINED = 10
"""Layers whose cause is looked for."""
COMPARED = 16
"""Samples that the file and the float model are run on, to see whether the graph stands for them."""
FAITHFUL = 25.0
"""Signal to noise ratio in dB below which the rebuilt graph is not said to be what the file computes."""


def debug(artifact: Artifact | str | Path, model: Any = None, *, data: Any, **how: Unpack[LookingOptions]) -> Diagnosis:
    """Find the layers that cost an artifact its accuracy, by module path, with the cause and the knob that addresses it.

    The artifact's recipe is applied to the float model again. Then each layer's roundings are put into the float model alone, and all
    of them one after the other; what the outputs lose ranks the layers.

    Args:
        artifact: The artifact, or its folder.
        model: The float model, as `edgekit.convert` takes it; None looks for the file the artifact was made from.
        data: Typical inputs, as `edgekit.convert` takes calibration data. Labels are not needed.
        **how: What the artifact was made with, and how to read and run everything; see `edgekit.debugging.subject.LookingOptions`.

    Raises:
        UsageError: The float model is not at hand, or the recipe rounds nothing.
        DataError: The data do not fit the model; or the recipe trains, and there are no data for it.
    """
    subject = opened(artifact, model, data=data, **how)
    with placed(subject.artifact.manifest.format, subject.reading.runtime, "host") as place:
        return diagnosed(subject, file=verifying.Subject(subject.artifact, place, subject.reading.delegate))


def diagnosed(subject: Subject, recipe: Recipe | None = None, file: verifying.Subject | None = None) -> Diagnosis:
    """Look into what a recipe makes of a subject's model.

    Args:
        subject: The model, the data.
        recipe: Another than the artifact's.
        file: How to run the artifact's file, to see whether it computes the same; None not to.

    Raises:
        UsageError: The recipe rounds nothing.
    """
    used = recipe or subject.recipe
    exact, final = subject.stages(used)
    losses = measure(exact, final, subject.data)
    if not losses.layers:
        where = "behind its training" if subject.trains else "in this model"
        raise UsageError(f"recipe {used.name!r} rounds nothing {where}, so there is nothing to debug", accepted="recipes such as int8")
    few = subject.data.spread(COMPARED).inputs
    wanted = run_graph(exact, few)
    before = _nearness(run_graph(subject.graph, few), wanted)
    given = None if file is None else _nearness(run_graph(final, few), file.outputs(few))
    return Diagnosis(
        artifact=str(subject.artifact.path),
        recipe=used.name,
        samples=losses.samples,
        layers=_rows(losses, _floats(exact, used, subject.target.rules)),
        outputs=losses.outputs,
        before=before,
        file=given,
        notes=(*subject.notes, *_doubts(given)),
    )


def _rows(losses: Losses, floats: frozenset[str]) -> tuple[LayerLoss, ...]:
    total = sum(loss.alone.noise for loss in losses.layers) or 1.0
    worst = sorted(losses.layers, key=lambda loss: -loss.alone.noise)[:EXPLAINED]
    findings = {id(loss): explain(losses, loss, floats) for loss in worst if loss.alone.noise}
    return tuple(LayerLoss(loss, loss.alone.noise / total, findings.get(id(loss))) for loss in losses.layers)


def _floats(exact: Graph, recipe: Recipe, rules: Rules) -> frozenset[str]:
    """Names of the calls that a static scheme leaves in float for want of a kernel."""
    found: set[str] = set()
    for step in recipe.passes:
        if hasattr(step, "scheme"):
            overrides = {k: parse_scheme(v) for k, v in getattr(step, "overrides", {}).items()}
            found |= {n.name for n in annotate(exact, rules, parse_scheme(step.scheme), overrides).floats}
    return frozenset(found)


def _nearness(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> Nearness:
    """Of the output that is farthest off."""
    worst = min(compare(wanted, got), key=lambda p: p.sqnr_db)
    return Nearness(worst.sqnr_db, worst.cosine)


def _doubts(file: Nearness | None) -> tuple[str, ...]:
    if file is None or file.sqnr_db >= FAITHFUL:
        return ()
    return (
        f"the file and the rebuilt graph are {file.sqnr_db:.1f} dB apart: it was made of other data or weights, and these figures are the"
        " graph's",
    )
