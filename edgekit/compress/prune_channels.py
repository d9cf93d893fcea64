"""The structured pruning pass: channels, attention heads and layer widths are removed, so that what is left is a smaller dense model.

Fang et al. 2023, "DepGraph: towards any structural pruning", sections 3.2 (dependency groups) and 3.3 (their importance); the measures of
importance name their own sources (`edgekit.compress.channels.importance.IMPORTANCES`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from edgekit.compress.channels.branches import branches
from edgekit.compress.channels.groups import Channels, Group, find_channels
from edgekit.compress.channels.importance import COMPARABLE, IMPORTANCES, Scores, branch_losses, normalized, scores
from edgekit.compress.channels.refit import refitted
from edgekit.compress.channels.removal import removed
from edgekit.compress.channels.savings import Savings
from edgekit.compress.channels.selection import SCOPES, Step, steps, taken, up_to, weighed, within
from edgekit.compress.costs import MEASURES, Cost, check_budget, cost_of
from edgekit.compress.options import require_one_budget, require_one_of, require_within
from edgekit.compress.overrides import check_modules, for_module, matches
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph
from edgekit.recipe import Context
from edgekit.wording import plural

MOST = 0.9
"""Share of a group that a budget may take, at most: a layer that is all but gone lets nothing through."""


@dataclass(frozen=True)
class PruneChannels:
    """Removes channels until a budget is met: convolutions, linear layers, attention heads, with all that depends on them.

    Given: a canonical graph, before lowering and quantization, pruned, trained or equalized before or not.
    Result: a graph of fewer channels, with the same inputs and outputs; masks are carried over. What must stay, stays: outputs, hidden
    sizes of recurrent layers, what a softmax runs over (`edgekit.compress.channels.find_channels` names each reason).
    Results change, and training brings accuracy back (`fine_tune`); with several rounds of both, more of it (`gradually`).
    Source: Fang et al. 2023, "DepGraph: towards any structural pruning", sections 3.2 (groups) and 3.3 (their importance).

    Exactly one of `ratio`, `macs`, `parameters` and `bytes` is given.

    Attributes:
        ratio: Share of the channels that go, between 0 and 1.
        macs: Multiply-accumulates that may be left: a share between 0 and 1, or a number.
        parameters: Parameters that may be left, likewise.
        bytes: Bytes of constants that may be left, likewise; of this graph, which is float: a model that is quantized afterwards has a
            quarter of them.
        importance: A key of `edgekit.compress.channels.importance.IMPORTANCES`; None for ``taylor`` where there are calibration or training
            data, else ``l2``. A note says which.
        scope: A key of `edgekit.compress.channels.selection.SCOPES`; None for ``global`` with ``taylor``, else ``group``.
        overrides: Module path glob to the ratio of what those modules write; the last match wins. They take no part in a ranking.
        keep: Module path globs whose outputs keep all their channels.
        alignment: Channel counts become multiples of this; None for what the target's device wants.
        normalized: Whether channels that a layer norm or group norm averages over may go, too: those that stay are then normalized with
            other statistics.
        most: Share of a group's channels that goes, at most.
        branches: Whether residual branches may go as a whole, all that is in them, and leave the bias of their last layer. Only where
            ``macs`` is given, by ``taylor`` in ``global`` scope.
        refit: Whether layers that are left are fitted to give what they gave before, layer by layer on the samples: most of the accuracy
            comes back without training (`edgekit.compress.channels.refit`). None for where there are calibration or training data.
        refit_samples: Samples to fit on, at most.
        batch_size: Samples run at once, for importances of data.
        seed: Of the importance ``random``.
    """

    name: ClassVar[str] = "prune_channels"

    ratio: float | None = None
    macs: float | None = None
    parameters: float | None = None
    bytes: float | None = None
    importance: str | None = None
    scope: str | None = None
    overrides: Mapping[str, float] = field(default_factory=dict, hash=False)
    keep: tuple[str, ...] = ()
    alignment: int | None = None
    normalized: bool = False
    most: float = MOST
    branches: bool = True
    refit: bool | None = None
    refit_samples: int = 200
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse options that do not exist, and numbers out of range.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        amounts = ("ratio", *MEASURES)
        require_one_budget(self.name, [name for name in amounts if getattr(self, name) is not None], amounts)
        for name, choices in (("importance", IMPORTANCES), ("scope", SCOPES)):
            if getattr(self, name) is not None:
                require_one_of(name, getattr(self, name), choices)
        require_within("ratio", self.ratio, self.ratio is None or 0 < self.ratio < 1, "between 0 and 1 (a share of the channels)")
        for name in MEASURES:
            check_budget(name, getattr(self, name))
        for share in self.overrides.values():
            require_within("the ratio of an override", share, 0 <= share < 1, "0 up to, not including, 1")
        require_within("most", self.most, 0 < self.most < 1, "between 0 and 1 (a share of a group's channels)")
        for name, unit in (("alignment", "channels"), ("batch_size", "samples"), ("refit_samples", "samples")):
            value = getattr(self, name)
            require_within(name, value, value is None or value >= 1, f"1 or more {unit}")

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The pruned graph.

        Raises:
            UsageError: The budget cannot be met, or a module path does not exist.
            DataError: An importance of data has none, or they do not fit the model.
        """
        check_modules(graph, (*self.overrides, *self.keep), "overrides and keep of prune_channels")
        channels, settled = find_channels(graph), self._resolved(context)
        free = [group for group in channels.removable if self._may_go(group)]
        gone = settled._chosen(graph, channels, free, context)
        result = settled._without(graph, channels, gone, context) if gone else graph
        there = sum(len(group.channels) for group in free)
        by = ", ".join([str(settled.importance), str(settled.scope), *(["refitted"] if settled.refit and gone else [])])
        whole = sum(gone.issuperset(group.channels) for group in free)
        branch = f", {plural(whole, 'branch', 'branches')} as a whole" if whole else ""
        how = f"{len(gone):,} of {there:,} channels removed{branch} ({by})"
        return result.noting(f"{self.name}: {how}; {_changes(cost_of(graph), cost_of(result))}")

    def _resolved(self, context: Context) -> PruneChannels:
        """With nothing left open."""
        importance = self.importance or ("l2" if _samples(context) is None else "taylor")
        scope = self.scope or ("global" if importance == "taylor" else "group")
        refit = _samples(context) is not None if self.refit is None else self.refit
        return replace(self, importance=importance, scope=scope, alignment=self.alignment or context.alignment, refit=refit)

    def _without(self, graph: Graph, channels: Channels, gone: frozenset[int], context: Context) -> Graph:
        if not self.refit:
            return removed(graph, channels, gone)
        samples = _samples(context)
        if samples is None:
            raise DataError("refit measures layers on data", accepted="calibration samples, or none and refit = false")
        return refitted(graph, channels, gone, samples.first(self.refit_samples))

    def _measured(self, graph: Graph, channels: Channels, free: Sequence[Group], context: Context) -> Scores:
        """Importance of each channel, comparable between groups."""
        assert self.importance is not None
        found = scores(graph, channels, self.importance, _samples(context), batch_size=self.batch_size, seed=self.seed)
        return found if self.importance in COMPARABLE else normalized(found, free)

    def _may_go(self, group: Group) -> bool:
        return (group.exact or self.normalized) and not any(matches(path, glob) for path in group.writers for glob in self.keep)

    def _own_ratio(self, group: Group) -> float | None:
        """What an override says of a group: the ratio of the last of its writers that one is about."""
        found = [share for path in group.writers if (share := for_module(path, None, self.overrides)) is not None]
        return min(found, default=None)

    def _chosen(self, graph: Graph, channels: Channels, free: Sequence[Group], context: Context) -> frozenset[int]:
        """Numbers of the channels to remove."""
        assert self.scope is not None and self.alignment is not None
        measured = self._measured(graph, channels, free, context)
        own = {index: share for index, group in enumerate(free) if (share := self._own_ratio(group)) is not None}
        fixed: frozenset[int] = frozenset()
        for index, share in own.items():
            ordered = steps([free[index]], measured, "group", self.alignment, max(share, self.most))
            fixed |= taken(ordered[: up_to(ordered, share, "group", len(free[index].channels))])
        ranked = [group for index, group in enumerate(free) if index not in own]
        ordered = self._ordered(graph, channels, ranked, measured, context)
        if self.ratio is not None:
            total = sum(len(group.channels) for group in ranked)
            return fixed | taken(ordered[: up_to(ordered, self.ratio, self.scope, total)])
        return fixed | taken(self._within_budget(graph, channels, fixed, ordered))

    def _ordered(self, graph: Graph, channels: Channels, ranked: Sequence[Group], measured: Scores, context: Context) -> list[Step]:
        """What may go, step by step."""
        assert self.scope is not None and self.alignment is not None
        samples = _samples(context)
        if self.macs is None or self.scope != "global" or self.importance != "taylor" or samples is None:
            return steps(ranked, measured, self.scope, self.alignment, self.most)
        ends = branches(graph, channels, ranked) if self.branches else {}
        losses = branch_losses(graph, ends, samples, batch_size=self.batch_size)
        saved = Savings(graph, channels, context.kernels)
        return weighed(ranked, measured, self.alignment, self.most, saved=saved, branches=losses)

    def _reliefs(self, channels: Channels) -> list[str]:
        """What a user could change to get further down."""
        return [
            "a larger most",
            "alignment = 1",
            *(["less in keep"] if self.keep else []),
            *(["fewer overrides"] if self.overrides else []),
            *(["normalized = true"] if not self.normalized and any(not group.exact for group in channels.removable) else []),
        ]

    def _within_budget(self, graph: Graph, channels: Channels, fixed: frozenset[int], ordered: Sequence[Step]) -> Sequence[Step]:
        measure = next(name for name in MEASURES if getattr(self, name) is not None)
        asked, before = float(getattr(self, measure)), getattr(cost_of(graph), measure)
        budget = asked * before if asked < 1 else asked
        outline = _outline(graph)

        def cost(gone: frozenset[int]) -> float:
            return float(getattr(cost_of(removed(outline, channels, fixed | gone)), measure))

        if not ordered and not fixed and before > budget:
            raise UsageError(f"{measure} cannot be cut: no channels can be removed; {_why(channels)}")
        gone = within(ordered, cost, budget)
        if gone is None:
            least = cost(taken(ordered))
            raise UsageError(
                f"{measure} cannot be brought from {before:,} to {budget:,.0f}: {least:,.0f} are left when all that may go is gone",
                accepted=f"{least / before:.3f} of them, or more",
                next_step="allow more: " + ", ".join(self._reliefs(channels)),
            )
        return gone


def _outline(graph: Graph) -> Graph:
    """The graph with weights that have a size and no values: its costs are soon counted."""
    if graph.constraints:
        return graph  # tables change what a weight costs, and need its values
    outline = graph.copy()
    for name, value in list(outline.module.named_buffers()):
        outline.module.register_buffer(name, value.to("meta"))
    return replace(outline, notes=())


def _why(channels: Channels) -> str:
    """The modules whose channels must stay, each with the reason."""
    return "; ".join(dict.fromkeys(f"{group.modules[0]}: {group.frozen}" for group in channels.groups if group.frozen))


def _samples(context: Context) -> Samples | None:
    """What importance is measured on."""
    return context.training if context.calibration is None else context.calibration


def _changes(before: Cost, after: Cost) -> str:
    return ", ".join(f"{name} {getattr(before, name):,} to {getattr(after, name):,}" for name in MEASURES)
