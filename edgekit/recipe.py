"""A recipe: the ordered passes and the encoding that make a model small, as one TOML file.

    schema = "edgekit.recipe/1"
    name = "int8"
    input_dtype = "int8"
    output_dtype = "int8"

    [[passes]]
    pass = "quantize"
    scheme = "w8a8"
    calibration = "mse"

A pass is a frozen dataclass; its fields are the keys of its table. `PASSES` finds it by name, so that a recipe can be read
without importing what it does not use.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import tomli_w

from edgekit import declared, documents
from edgekit.errors import DataError, UsageError
from edgekit.schemes import Scheme, parse_scheme
from edgekit.targets.kernels import ONLY_MACS, Kernels

if TYPE_CHECKING:
    from edgekit.data import Samples
    from edgekit.graph import Graph
    from edgekit.targets import Rules

SCHEMA = "edgekit.recipe/1"

PASSES: dict[str, str] = {
    "prune": "edgekit.compress.prune:Prune",
    "prune_channels": "edgekit.compress.prune_channels:PruneChannels",
    "fine_tune": "edgekit.compress.training:FineTune",
    "low_rank": "edgekit.compress.low_rank:LowRank",
    "equalize": "edgekit.compress.equalize:Equalize",
    "smooth": "edgekit.compress.smooth:Smooth",
    "cluster": "edgekit.compress.cluster:Cluster",
    "hash_weights": "edgekit.compress.hash_weights:HashWeights",
    "quantize": "edgekit.compress.quantize:Quantize",
    "mixed_precision": "edgekit.compress.mixed:MixedPrecision",
    "adaround": "edgekit.compress.adaround:AdaRound",
    "bias_correction": "edgekit.compress.bias_correction:BiasCorrection",
}
"""Pass name to ``module:class``; imported only when a recipe uses it."""


@dataclass(frozen=True)
class Context:
    """What only the conversion knows and a pass may need.

    Attributes:
        rules: The target format's rules.
        calibration: Samples to calibrate on, or None.
        alignment: Channel counts that run at full speed on the device are multiples of this.
        training: Samples to train on, labelled or not, or None.
        validation: Samples that tell which epoch of a training was best, or None: a part of `training` is then kept aside.
        teacher: The model whose answers a training imitates; None for the graph as it was before the first pass.
        checkpoints: Folder to keep the state of a training in, so that it resumes there; None to keep nothing.
        loss: What trainings minimize (`edgekit.compress.training.own`), or None for one of their own.
        metric: What tells the best epoch of a training (the same file), or None for accuracy or the loss.
        kernels: What the device's kernels take for a layer.
    """

    rules: Rules
    calibration: Samples | None = None
    alignment: int = 1
    training: Samples | None = None
    validation: Samples | None = None
    teacher: Graph | Callable[..., Any] | None = None
    checkpoints: Path | None = None
    loss: Callable[..., Any] | None = None
    metric: Callable[..., Any] | None = None
    kernels: Kernels = ONLY_MACS

    def calibration_for(self, why: str, otherwise: str = "") -> Samples:
        """The calibration samples, for a pass that cannot do without.

        Args:
            why: What it does with them: ``AdaRound measures layers on data``.
            otherwise: What to do where there are none, as the end of a sentence: ``or a recipe without it: palettize8``.

        Raises:
            DataError: There are none.
        """
        if self.calibration is None:
            raise DataError(
                why,
                accepted="some 100 to 500 typical samples, no labels",
                next_step="pass calibration=..., on the command line --calibration" + (f", {otherwise}" if otherwise else ""),
            )
        return self.calibration


@runtime_checkable
class Pass(Protocol):
    """A frozen dataclass that maps a graph to a graph and never mutates the one it got."""

    name: ClassVar[str]

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """Apply it."""


@dataclass(frozen=True)
class Recipe:
    """Ordered passes and encoding options.

    Attributes:
        name: Speakable name (``int8``).
        passes: Applied in this order.
        input_dtype: Dtype of the artifact's float inputs: ``int8``, ``uint8``, ``int16`` or ``float32``;
            None for the target's default.
        output_dtype: The same for outputs.
    """

    name: str
    passes: tuple[Pass, ...] = ()
    input_dtype: str | None = None
    output_dtype: str | None = None

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """Those of its passes that round, in their order.

        Raises:
            UsageError: One has a scheme that does not exist.
        """
        return tuple(parse_scheme(p.scheme) for p in self.passes if hasattr(p, "scheme"))

    def without(self, *names: str) -> Recipe:
        """The same recipe without the passes of these names."""
        return dataclasses.replace(self, passes=tuple(p for p in self.passes if p.name not in names))

    def to_toml(self) -> str:
        """The recipe as a TOML document that `from_toml` reads back to an equal recipe."""
        head = {"schema": SCHEMA, "name": self.name, "input_dtype": self.input_dtype, "output_dtype": self.output_dtype}
        tables = [{"pass": p.name, **_options(p)} for p in self.passes]
        return tomli_w.dumps({k: v for k, v in head.items() if v is not None} | {"passes": tables})

    @classmethod
    def from_toml(cls, text: str, origin: str = "recipe") -> Recipe:
        """Read a recipe.

        Raises:
            UsageError: Not TOML, another schema, an unknown pass or option, or a value of another type than an option has.
        """
        data = documents.parse_toml(text, origin, SCHEMA)
        tables = data.pop("passes", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise UsageError(f"{origin}: passes is {tables!r}", accepted="a [[passes]] table for each")
        passes = tuple(_build(dict(table), origin) for table in tables)
        return declared.build(cls, {"name": Path(origin).stem, **data, "passes": passes}, origin, kind="key")


def pass_class(name: str) -> type:
    """The class of a pass by its recipe name.

    Raises:
        UsageError: No such pass.
    """
    if not isinstance(name, str) or name not in PASSES:
        raise UsageError(f"unknown pass {name!r}", accepted=sorted(PASSES))
    module, _, attribute = PASSES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]


def _options(step: Any) -> dict[str, Any]:
    values = {f.name: getattr(step, f.name) for f in dataclasses.fields(step)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v is not None and v != {}}


def _build(table: dict[str, Any], origin: str) -> Pass:
    name = table.pop("pass", None)
    if name is None:
        raise UsageError(f"{origin}: a [[passes]] table has no 'pass' key", accepted=sorted(PASSES))
    built: Pass = declared.build(pass_class(name), table, f"{origin}: pass {name!r}")
    return built
