"""The clustering pass: weights of few distinct values, as tables and small indices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from edgekit.compress.budget import Assignment, Choice, ladder, least, within
from edgekit.compress.cluster.agreement import agreement, answers, parted
from edgekit.compress.cluster.clustering import Clustering
from edgekit.compress.cluster.layers import HALF_BITS, Layer, layers
from edgekit.compress.cluster.sensitivity import weight_costs
from edgekit.compress.cluster.tables import SIGNS
from edgekit.compress.options import require_one_of, require_within
from edgekit.compress.overrides import check_modules, for_module
from edgekit.constraints import BITS
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.progress import track
from edgekit.recipe import Context
from edgekit.targets import Rules

AUTO = "auto"

METHODS: dict[str, str] = {
    "kmeans": "tables of least squared error",
    "sensitivity": "tables of least squared error, each weight by its squared gradients on calibration data",
    "uniform": "evenly spaced tables, from the least to the greatest weight",
    "binary": "plus or minus a scale; bits = 1, and channels = 1 for a scale each output channel",
    "ternary": "plus or minus a scale, or zero; bits = 2, and channels = 1 for a scale each output channel",
}

CORRECTIONS: dict[str, str] = {
    "none": "nothing is corrected",
    "sums": "assignments and tables that keep what each filter sums to, over each kernel and over all inputs; no data needed",
    "bias": "the mean that each output channel loses on calibration data goes into its bias",
    "layers": "assignments and tables that give back each layer's outputs on calibration data, then biases",
}

WITHOUT_DATA = ("none", "sums")
"""Corrections that need no data."""


@dataclass(frozen=True)
class Cluster:
    """Replaces weights by entries of small tables, which files store as indices (palettization, weight clustering).

    Given: a lowered graph with float weights, pruned or not. Weights that have a table keep it.
    Result: a graph that computes with the clustered weights, each with a `Codebook` among its constraints (pruned elements
    stay zero and take no entry). A weight stays as it is where indices and tables would take more room than half-precision numbers.
    Notes say what was left alone and how many bits a weight takes on average, tables included.
    Source: Han, Mao and Dally 2016, "Deep Compression", section 3; those of the methods are in the files of this package.

    Attributes:
        bits: Width of the indices: 1, 2, 3, 4, 6 or 8; ``auto`` for widths of each weight's own, within a budget.
        channels: Output channels that share a table, at most (the nearest divisor of their number below); None for one table a weight.
        method: A key of `METHODS`.
        correction: A key of `CORRECTIONS`.
        average_bits: The budget of ``auto`` as size: stored bits a weight, tables included, at most.
        min_agreement: The budget of ``auto`` as accuracy: the share (0 to 1) of samples whose class must stay the float model's, measured
            on the last third of the calibration data while the rest is clustered with.
        widths: What ``auto`` chooses from, besides half precision.
        ridge: How far ``layers`` may move weights: what a change costs, in shares of the mean squared input. Larger is closer to float.
        overrides: Module path glob to the bits of those modules, 16 for half precision; the last match wins.
    """

    name: ClassVar[str] = "cluster"

    bits: int | str = 4
    channels: int | None = None
    method: str = "kmeans"
    correction: str = "none"
    average_bits: float | None = None
    min_agreement: float | None = None
    widths: tuple[int, ...] = (2, 4, 6, 8)
    ridge: float = 0.1
    overrides: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse what no format stores and budgets that contradict each other.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        require_one_of("bits", self.bits, (*BITS, AUTO))
        require_one_of("method", self.method, METHODS)
        require_one_of("correction", self.correction, CORRECTIONS)
        for bits in self.overrides.values():
            require_one_of("bits of an override", bits, (*BITS, HALF_BITS))
        for width in self.widths or (0,):
            require_one_of("width", width, BITS)
        if self.method in SIGNS and {self.bits, *self.overrides.values()} - {SIGNS[self.method], HALF_BITS}:
            raise UsageError(f"method {self.method!r} with bits = {self.bits!r}", accepted=f"bits = {SIGNS[self.method]}, overrides of 16")
        if self.method == "sensitivity" and self.correction == "sums":
            why = "correction 'sums' weighs all errors of a layer alike, so that method 'sensitivity' would change nothing"
            raise UsageError(why, accepted="method 'kmeans', or correction 'layers', which weighs by data")
        shared = "1 or more output channels that share a table"
        require_within("channels", self.channels, self.channels is None or self.channels >= 1, shared)
        require_within("ridge", self.ridge, self.ridge > 0, "over 0 (shares of the mean squared input)")
        budgets = [b for b in (self.average_bits, self.min_agreement) if b is not None]
        if len(budgets) != (self.bits == AUTO):
            got = f"{len(budgets)} budgets with bits = {self.bits!r}"
            raise UsageError(got, accepted='one of average_bits and min_agreement with bits = "auto", none with a number')
        agreement = self.min_agreement
        require_within("min_agreement", agreement, agreement is None or 0 < agreement <= 1, "over 0, up to 1 (share of the samples)")

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The clustered graph.

        Raises:
            DataError: The options need calibration data, and there are none or they do not fit the model.
            UsageError: No assignment of bits keeps to the budget, or an override names a module that the graph has not.
            ConversionError: A weight is NaN or infinite.
        """
        check_modules(graph, self.overrides, "overrides of cluster")
        found, samples = layers(graph, context.rules), context.calibration
        if not found:
            return graph.noting("palettes: no weight was clustered")
        if self._weighs or self.correction not in WITHOUT_DATA:
            without = "or a recipe without it: palettize8, palettize6, palettize4_grouped"
            samples = context.calibration_for("this clustering measures layers on data", without)
        costs = weight_costs(graph, found, samples) if samples is not None and self._weighs else None
        clustering = self._clustering(costs, samples)
        if samples is not None and self.min_agreement is not None:
            widths = self._within_accuracy(graph, found, samples)
        elif costs is not None and self.average_bits is not None:
            widths = self._within_size(self._ladder(found, costs, clustering), found)
        else:
            widths = {layer.name: self._fixed(layer) for layer in found}
        return clustering.apply(graph, found, widths).noting(*self._notes(found, widths, context.rules))

    @property
    def _weighs(self) -> bool:
        return self.bits == AUTO or self.method == "sensitivity"

    def _clustering(self, costs: Mapping[str, Tensor] | None, samples: Samples | None) -> Clustering:
        weighing = costs if self.method == "sensitivity" else None
        return Clustering(self.channels, self.method, weighing, self.correction, self.ridge, samples)

    def _fixed(self, layer: Layer) -> int:
        """The width asked for; less where fewer bits lose nothing; half precision where a table would take more room than it saves."""
        bits = for_module(layer.module, None, self.overrides)
        if bits is not None:
            return bits
        width = int(self.bits) if self.method in SIGNS else layer.narrowest(int(self.bits))
        worthwhile = layer.stored_bits(width, self.channels) < layer.stored_bits(HALF_BITS, None)
        return width if worthwhile else HALF_BITS

    def _ladder(self, found: Sequence[Layer], costs: Mapping[str, Tensor], clustering: Clustering) -> list[Assignment]:
        """Assignments of bits from small to exact."""
        choices = {}
        for layer in track("trying widths", found):
            fixed = for_module(layer.module, None, self.overrides)
            widths = (*self.widths, HALF_BITS) if fixed is None else (fixed,)
            choices[layer.name] = [self._choice(layer, bits, costs[layer.name], clustering) for bits in widths]
        return ladder(choices)

    def _choice(self, layer: Layer, bits: int, costs: Tensor, clustering: Clustering) -> Choice:
        size = layer.stored_bits(bits, self.channels)
        if bits == HALF_BITS:
            return Choice(bits, size, 0.0)
        error = layer.value - clustering.clustered(layer, clustering.codebook(layer, bits))
        return Choice(bits, size, float((costs * error.square()).double().sum()))

    def _within_size(self, rungs: Sequence[Assignment], found: Sequence[Layer]) -> Assignment:
        chosen = within(rungs, lambda rung: self._average(found, rung), self.average_bits or 0.0)
        if chosen is None:
            raise UsageError(
                f"average_bits is {self.average_bits:g}, but the smallest tables take {self._average(found, rungs[0]):.2f} bits a weight",
                accepted=f"{self._average(found, rungs[0]):.2f} or more, or smaller widths than {list(self.widths)}",
            )
        return chosen

    def _within_accuracy(self, graph: Graph, found: Sequence[Layer], samples: Samples) -> Assignment:
        """The smallest assignment with which enough samples keep their class, on samples that took no part in the clustering."""
        seen, unseen = parted(samples)
        expected, wanted = answers(graph, unseen), self.min_agreement or 0.0
        costs = weight_costs(graph, found, seen)
        clustering = self._clustering(costs, seen)
        rungs = self._ladder(found, costs, clustering)
        chosen = least(rungs, lambda rung: agreement(expected, clustering.apply(graph, found, rung), unseen) >= wanted)
        if chosen is None:
            best = agreement(expected, clustering.apply(graph, found, rungs[-1]), unseen)
            raise UsageError(
                f"min_agreement is {wanted:g}, but the most bits there are keep the class of {best:.4f} of {len(unseen)} samples",
                accepted="a smaller share, or overrides of more bits",
            )
        return chosen

    def _average(self, found: Sequence[Layer], widths: Assignment) -> float:
        """Stored bits a weight."""
        stored = sum(y.stored_bits(widths[y.name], self.channels) for y in found)
        return stored / sum(y.value.numel() for y in found)

    def _notes(self, found: Sequence[Layer], widths: Assignment, rules: Rules) -> Iterator[str]:
        counts = sorted(Counter(widths.values()).items())
        listed = ", ".join(f"{count} at {bits} bits" for bits, count in counts)
        yield f"palettes: {self._average(found, widths):.2f} bits a weight on average, tables included (weights: {listed})"
        for layer in found:
            if widths[layer.name] == HALF_BITS and self.bits != AUTO and for_module(layer.module, None, self.overrides) is None:
                whose = repr(layer.module) if layer.module else "the model"
                yield f"palettes: the weight of {whose} stays as it is: tables would take more room than they save"
        if not rules.palettes:
            yield f"{rules.name} has no tables: clustered weights are stored as plain numbers"
