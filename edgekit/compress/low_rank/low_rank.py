"""The low-rank pass: layers whose outputs span less than their number become two or three smaller ones.

The sources of the factorizations are in `edgekit.compress.low_rank.kinds`; one budget over all layers goes where the outputs lose least, by
the squared error of each layer's outputs times how strongly the model's react to it (`edgekit.compress.quantize.sensitivity`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import LAYERS
from edgekit.compress.budget import Choice, ladder, within
from edgekit.compress.channels import groups_of
from edgekit.compress.cluster.fitting import Target
from edgekit.compress.cluster.moments import can_fit, moments
from edgekit.compress.cluster.reconstruction import Seen, reconstruct
from edgekit.compress.costs import Cost, check_budget, cost_of
from edgekit.compress.low_rank.kinds import KINDS, Stages
from edgekit.compress.low_rank.options import Option, measured, weight_of
from edgekit.compress.low_rank.replacing import with_factors
from edgekit.compress.options import require_one_budget, require_within
from edgekit.compress.overrides import check_modules, for_module, matches
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.graph import Graph, argument, constraints_of, is_call, module_path, reads
from edgekit.recipe import Context

BUDGETS = ("macs", "parameters")


@dataclass(frozen=True)
class LowRank:
    """Factorizes linear layers and convolutions until a budget is met, or as far as an energy allows.

    Given: a canonical graph, before lowering and quantization.
    Result: a graph of more and smaller layers. A layer stays as it is where factors would be larger or slower, and where it is grouped,
    transposed, pruned, clustered or shared. With calibration data each layer's last factor and bias are fitted to what the float model
    gives, one layer after the other; training brings back more (`fine_tune`).
    Source: Zhang et al. 2016, "Accelerating very deep convolutional networks", section 3.1 (``svd``); Jaderberg, Vedaldi and Zisserman
    2014, "Speeding up convolutional neural networks with low rank expansions", section 2 (``spatial``); Kim et al. 2016, "Compression of
    deep convolutional neural networks for fast and low power mobile applications", section 3.1 (``tucker``).

    Exactly one of `energy`, `macs` and `parameters` is given.

    Attributes:
        energy: Share of the squares of each layer's outputs (of its weight, without calibration data) that its factors keep, over 0 and
            below 1.
        macs: Multiply-accumulates of the model that may be left: a share between 0 and 1, or a number.
        parameters: Parameters of the model that may be left, likewise.
        kinds: What may be tried: ``svd`` (the kernel with few outputs, then 1x1), ``spatial`` (along the height, then the width) and
            ``tucker`` (1x1, kernel, 1x1); linear layers know the first only.
        overrides: Module path glob to the energy of those modules, which take no part in a budget; the last match wins.
        keep: Module path globs that stay as they are.
        alignment: Ranks are multiples of this; None for what the target's device wants of channels.
        ridge: How far fits may move a layer's weight: what a change costs, in shares of the mean squared input.
    """

    name: ClassVar[str] = "low_rank"

    energy: float | None = None
    macs: float | None = None
    parameters: float | None = None
    kinds: tuple[str, ...] = tuple(KINDS)
    overrides: Mapping[str, float] = field(default_factory=dict, hash=False)
    keep: tuple[str, ...] = ()
    alignment: int | None = None
    ridge: float = 0.1

    def __post_init__(self) -> None:
        """Refuse options that do not exist, and numbers out of range.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        amounts = ("energy", *BUDGETS)
        require_one_budget(self.name, [name for name in amounts if getattr(self, name) is not None], amounts)
        for energy in (self.energy, *self.overrides.values()):
            require_within("energy", energy, energy is None or 0 < energy < 1, "between 0 and 1 (a share of the squares)")
        for name in BUDGETS:
            check_budget(name, getattr(self, name))
        if not self.kinds or set(self.kinds) - set(KINDS):
            raise UsageError(f"kinds of low_rank are {list(self.kinds)}", accepted=list(KINDS))
        require_within("alignment", self.alignment, self.alignment is None or self.alignment >= 1, "1 or more channels")
        require_within("ridge", self.ridge, self.ridge > 0, "over 0 (shares of the mean squared input)")

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The factorized graph.

        Raises:
            UsageError: The budget cannot be met, or a module path does not exist.
            DataError: The calibration data do not fit the model.
        """
        check_modules(graph, (*self.overrides, *self.keep), "overrides and keep of low_rank")
        layers = [n for n in graph.nodes if self._may_go(n)]
        options = measured(graph, layers, self.kinds, self.alignment or context.alignment, context.calibration)
        before = cost_of(graph)
        chosen = self._chosen(layers, options, before)
        factorized = {name: option for name, option in chosen.items() if option.kind is not None}
        result = _factorized(graph, layers, factorized, context.calibration, self.ridge) if factorized else graph
        return result.noting(_summary(before, cost_of(result), len(factorized), len(layers)))

    def _may_go(self, node: fx.Node) -> bool:
        if not is_call(node, *LAYERS) or not can_fit(node) or groups_of(node) != 1:
            return False
        weight = argument(node, "weight")
        return reads(weight) == 1 and not constraints_of(weight) and not any(matches(module_path(node), glob) for glob in self.keep)

    def _chosen(self, layers: Sequence[fx.Node], options: Mapping[str, list[Option]], before: Cost) -> dict[str, Option]:
        """What each layer becomes."""
        chosen: dict[str, Option] = {}
        for node in layers:
            energy = for_module(module_path(node), self.energy, self.overrides)
            if energy is not None:
                kept = [o for o in options[node.name] if o.lost <= 1 - energy]
                chosen[node.name] = min(kept, key=lambda o: (o.macs, o.parameters))
        for name in BUDGETS:
            budget = getattr(self, name)
            if budget is not None:
                total = int(getattr(before, name))
                saved = sum(_size(options[k][-1], name) - _size(o, name) for k, o in chosen.items())
                ranked = {k: sorted(found, key=lambda o: _size(o, name)) for k, found in options.items() if k not in chosen}
                chosen |= _within(name, ranked, total, saved, budget * total if budget < 1 else budget)
        return chosen


def _size(option: Option, measure: str) -> int:
    return int(getattr(option, measure))


def _within(measure: str, ranked: Mapping[str, list[Option]], total: int, saved: int, budget: float) -> dict[str, Option]:
    """The options that lose least within a budget; `ranked` by their size, `saved` by layers that have theirs already."""
    rungs = ladder({k: [Choice(i, _size(o, measure), o.loss) for i, o in enumerate(found)] for k, found in ranked.items()})

    def left(rung: Mapping[str, int]) -> int:
        return total - saved - sum(_size(ranked[k][-1], measure) - _size(ranked[k][index], measure) for k, index in rung.items())

    rung = within(rungs, left, budget)
    if rung is None:
        raise UsageError(
            f"low_rank cannot leave {budget:,.0f} of {total:,} {measure}",
            accepted=f"{left(rungs[0]):,} or more ({left(rungs[0]) / total:.0%})",
            next_step="a larger budget, a smaller alignment, fewer modules in keep, or prune_channels",
        )
    return {k: ranked[k][index] for k, index in rung.items()}


def _factorized(graph: Graph, layers: Sequence[fx.Node], options: Mapping[str, Option], samples: Samples | None, ridge: float) -> Graph:
    """The graph with those layers in factors, fitted one after the other where there are samples."""
    stages: dict[str, tuple[str, Stages]] = {}

    def split(node: fx.Node, wanted: Tensor, squares: Tensor | None) -> Tensor:
        option = options[node.name]
        assert option.kind is not None
        found, product = KINDS[option.kind](wanted.reshape(weight_of(node).shape), squares)(option.rank).closed(wanted, squares)
        stages[node.name] = (option.kind, found)
        return product.reshape(weight_of(node).shape)

    def fit(node: fx.Node, seen: Seen) -> Tensor:
        products, squares = moments(node, seen)
        rows = weight_of(node).flatten(1)
        target = Target.fitted(rows[None].double(), products, squares, torch.ones_like(rows, dtype=torch.bool), ridge)
        return split(node, target.weight[0], squares[0])

    chosen = [n for n in layers if n.name in options]
    if samples is None:
        for node in chosen:
            split(node, weight_of(node).flatten(1), None)
        return with_factors(graph, stages, {})
    found = reconstruct(graph, samples, {n.name: fit for n in chosen}, "fitting factors")
    return with_factors(graph, stages, found.biases)


def _summary(before: Cost, after: Cost, count: int, of: int) -> str:
    return (
        f"low rank: {count} of {of} layers in factors; MACs {before.macs:,} to {after.macs:,}, "
        f"parameters {before.parameters:,} to {after.parameters:,}"
    )
