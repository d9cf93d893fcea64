"""How much of a model has to go for it to fit a device's memories, found by converting it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from edgekit.conversion.concessions import ConversionWarning
from edgekit.conversion.pipeline import CALIBRATION_SAMPLES, RANDOM, convert
from edgekit.conversion.resolve import FileOptions
from edgekit.conversion.room import NoRoom
from edgekit.data import read_samples
from edgekit.errors import UsageError
from edgekit.preprocess import Preprocess
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
    graph: Graph,
    target: Target,
    recipe: Recipe,
    pruning: Mapping[str, Any] | None = None,
    *,
    calibration: Any = None,
    preprocess: Preprocess | Mapping[str, Preprocess] | None = None,
    **how: Unpack[FileOptions],
) -> dict[str, float]:
    """The budget of ``prune_channels`` that takes as little as possible from a model for its file to fit the target.

    The model is converted with one share after the other, and not trained: sizes do not depend on values.

    Args:
        graph: The model.
        target: With limits of flash or RAM.
        recipe: What is done besides; without training.
        pruning: Further options of ``prune_channels``.
        calibration: The data the model will be converted with: they tell which channels go, and others would choose others.
        preprocess: Of these data.
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
    if calibration is not None and not (isinstance(calibration, str) and calibration == RANDOM):
        calibration = read_samples(calibration, graph.inputs, preprocess, limit=CALIBRATION_SAMPLES, free=True)
    probe = _Probe(graph, target, calibration, how)
    lacking = probe.lacks(recipe)
    if lacking is None:
        return {}
    from edgekit.compress.overrides import check_modules  # noqa: PLC0415 - torch loads where it is needed
    from edgekit.compress.shrinking import shrunk  # noqa: PLC0415

    check_modules(graph, (pruning or {}).get("keep", ()), "keep")
    measure, low, high, found = MEASURES[lacking.memory], 0.0, 1.0, None
    for done in range(PROBES):
        report("fitting", done, PROBES)
        share = (low + high) / 2
        fits = probe.fits(shrunk(recipe, {**(pruning or {}), measure: share}))
        low, high, found = (share, high, share) if fits else (low, share, found)
    report("fitting", PROBES, PROBES)
    if found is None:
        raise UsageError(
            f"{lacking.message}, and no pruning makes it fit",
            accepted=f"a model that needs at most {lacking.room:,} bytes of {lacking.memory}",
            next_step="a narrower model, or a device with more memory",
        )
    return {measure: found}


@dataclass(frozen=True)
class _Probe:
    """Converts a model to see whether its file fits.

    Attributes:
        graph: The model.
        target: What it is to fit.
        calibration: Data, read; `RANDOM`, or None.
        how: How the file is written.
    """

    graph: Graph
    target: Target
    calibration: Any
    how: FileOptions

    def fits(self, recipe: Recipe) -> bool:
        """Whether it does."""
        try:
            return self.lacks(recipe) is None
        except UsageError:
            return False  # what may go does not suffice for so small a share

    def lacks(self, recipe: Recipe) -> NoRoom | None:
        """What the file would be too large for, or None."""
        options: FileOptions = {**self.how, "accept": None}
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
            warnings.simplefilter("ignore", ConversionWarning)
            try:
                convert(self.graph, self.target, calibration=self.calibration, recipe=recipe, out=Path(scratch) / "probe", **options)
            except NoRoom as error:
                return error
        return None
