"""What a look into an artifact found: the nouns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.debugging.causes import CAUSES, Finding
from edgekit.debugging.losses import Loss, Nearness
from edgekit.verification.verdict import numbers_for_json

SCHEMA = "edgekit.diagnosis/1"
FLOAT_ROUNDING = 100.0
"""Signal to noise ratio in dB from which on two graphs differ in the order of float operations only."""


@dataclass(frozen=True)
class LayerLoss:
    """One of the user's layers.

    Attributes:
        loss: What it loses.
        share: Its part of the noise that all layers, each alone, put into the outputs: 0 to 1.
        finding: Why, for the worst ones; else None.
    """

    loss: Loss
    share: float
    finding: Finding | None = None

    @property
    def name(self) -> str:
        """The layer's, as the user knows it."""
        return self.loss.layer.name

    def to_json(self) -> dict[str, Any]:
        """The row."""
        layer, found = self.loss.layer, self.finding
        figures = {name: numbers_for_json(vars(getattr(self.loss, name))) for name in ("own", "here", "alone", "cumulative")}
        return {
            "name": layer.name,
            "module": layer.module,
            "op": layer.op,
            "rounded": sorted(set(layer.switches.values())),
            "share": self.share,
            **figures,
            "finding": None if found is None else {k: list(v) if isinstance(v, tuple) else v for k, v in vars(found).items()},
        }


@dataclass(frozen=True)
class Diagnosis:
    """Where an artifact loses accuracy.

    Attributes:
        artifact: Its folder.
        recipe: Name of its recipe.
        samples: How many the layers were measured on.
        layers: In execution order.
        outputs: What the recipe's graph gives, against the same without roundings and tables.
        before: That one, against the float model: what passes lose that come before them, such as pruning.
        file: What the file gives, against the recipe's graph: whether the one was rebuilt as the other was made.
        notes: For the reader.
    """

    artifact: str
    recipe: str
    samples: int
    layers: tuple[LayerLoss, ...]
    outputs: Nearness
    before: Nearness
    file: Nearness | None
    notes: tuple[str, ...] = ()

    @property
    def ranked(self) -> tuple[LayerLoss, ...]:
        """The worst layer first."""
        return tuple(sorted(self.layers, key=lambda layer: layer.loss.alone.sqnr_db))

    def to_json(self) -> dict[str, Any]:
        """The document. Numbers that JSON lacks are null."""
        return {
            "schema": SCHEMA,
            "artifact": self.artifact,
            "recipe": self.recipe,
            "samples": self.samples,
            "outputs": numbers_for_json(vars(self.outputs)),
            "before": numbers_for_json(vars(self.before)),
            "file": None if self.file is None else numbers_for_json(vars(self.file)),
            "layers": [layer.to_json() for layer in self.layers],
            "ranked": [self.layers.index(layer) for layer in self.ranked],
            "causes": {cause: {"meaning": meaning, "knobs": list(knobs)} for cause, (meaning, knobs) in CAUSES.items()},
            "notes": list(self.notes),
        }
