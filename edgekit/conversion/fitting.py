"""How much of a model has to go for it to fit a device's memories, found by converting it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from edgekit.conversion.concessions import ConversionWarning
from edgekit.conversion.pipeline import RANDOM, convert
from edgekit.conversion.resolve import FileOptions
from edgekit.conversion.room import NoRoom
from edgekit.errors import UsageError
from edgekit.progress import report
from edgekit.recipe import Recipe
from edgekit.targets import Target

if TYPE_CHECKING:
    from edgekit.graph import Graph

PROBES = 6
"""Halvings of the interval in which the share lies: it is known to 1 / 64 of the model."""
MEASURES = {"flash": "bytes", "RAM": "macs"}
"""What to take from a model that is too large for a memory: weights fill the flash; values, which every channel has, the RAM."""


def budget_that_fits(
    graph: Graph, target: Target, recipe: Recipe, pruning: Mapping[str, Any] | None = None, **how: Unpack[FileOptions]
) -> dict[str, float]:
    """The budget of ``prune_channels`` that takes as little as possible from a model for its file to fit the target.

    The model is converted with one share after the other, calibrated on noise and not trained: sizes do not depend on values.

    Args:
        graph: The model.
        target: With limits of flash or RAM.
        recipe: What is done besides; without training.
        pruning: Further options of ``prune_channels``.
        **how: As of `edgekit.convert`.

    Returns:
        ``{"bytes": share}`` or ``{"macs": share}``; empty if the model fits as it is.

    Raises:
        UsageError: The target has no limits, or the model fits with no share that the pass can reach.
        ConversionError: The model cannot be converted for another reason.
    """
    if target.flash_bytes is None and target.ram_bytes is None:
        raise UsageError(
            f"target {target.name!r} limits neither flash nor RAM",
            accepted="targets such as cortex-m4, or your own with flash_bytes and ram_bytes",
            next_step="name a budget: --macs, --params or --bytes",
        )
    lacking = _lacks(graph, target, recipe, how)
    if lacking is None:
        return {}
    from edgekit.compress.overrides import check_modules  # noqa: PLC0415 - torch loads where it is needed

    check_modules(graph, (pruning or {}).get("keep", ()), "keep")
    measure, low, high, found = MEASURES[lacking.memory], 0.0, 1.0, None
    for probe in range(PROBES):
        report("fitting", probe, PROBES)
        share = (low + high) / 2
        fits = _fits(graph, target, recipe, {**(pruning or {}), measure: share}, how)
        low, high, found = (share, high, share) if fits else (low, share, found)
    report("fitting", PROBES, PROBES)
    if found is None:
        raise UsageError(
            f"{lacking.message}, and no pruning makes it fit",
            accepted=f"a model that needs at most {lacking.room:,} bytes of {lacking.memory}",
            next_step="a narrower model, or a device with more memory",
        )
    return {measure: found}


def _fits(graph: Graph, target: Target, recipe: Recipe, pruning: Mapping[str, Any], how: FileOptions) -> bool:
    from edgekit.compress.shrinking import shrunk  # noqa: PLC0415 - torch loads where it is needed

    smaller = shrunk(recipe, pruning)
    try:
        return _lacks(graph, target, smaller, how) is None
    except UsageError:
        return False  # what may go does not suffice for so small a share


def _lacks(graph: Graph, target: Target, recipe: Recipe, how: FileOptions) -> NoRoom | None:
    """What the file would be too large for, or None."""
    options: FileOptions = {**how, "accept": None}
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        warnings.simplefilter("ignore", ConversionWarning)
        try:
            convert(graph, target, calibration=RANDOM, recipe=recipe, out=Path(scratch) / "probe", **options)
        except NoRoom as error:
            return error
    return None
