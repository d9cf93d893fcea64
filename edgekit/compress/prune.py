"""The pruning pass: weights that matter little become zero and stay it.

Han, Pool, Tran and Dally 2015, "Learning both weights and connections", section 3 (magnitude); LeCun, Denker and Solla 1990, "Optimal brain
damage" (squared weight times curvature); Mishra et al. 2021, "Accelerating sparse deep neural networks", section 3 (N:M); Narang,
Undersander and Diamos 2017, "Block-sparse recurrent neural networks" (blocks). The sources of the rules are in `edgekit.compress.prunable`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from edgekit.compress.cluster.sensitivity import weight_costs
from edgekit.compress.options import require_one_of, require_within
from edgekit.compress.overrides import check_modules, for_module
from edgekit.compress.prunable import Prunable, below, beyond_effective, largest, n_of_m
from edgekit.compress.quantize.annotate import weight_operand
from edgekit.compress.quantize.weights import channel_axis, checked_weight
from edgekit.compress.refit_masked import refitted
from edgekit.constraints import Mask
from edgekit.errors import UsageError
from edgekit.graph import Graph, finish, imposed, module_path, op_name, revalue
from edgekit.recipe import Context
from edgekit.targets import Rules

SCOPES: dict[str, str] = {
    "layer": "each weight loses the same share",
    "global": "the model's smallest weights go, wherever they are",
}
UNSTRUCTURED = "unstructured"
_N_OF_M = re.compile(r"([1-9]\d?):([1-9]\d?)")
_BLOCK = re.compile(r"([1-9]\d?)x([1-9]\d?)")


IMPORTANCES: dict[str, str] = {
    "magnitude": "the smallest weights go",
    "gradient": "weights whose loss changes the outputs least go: by squared weight times squared gradients on calibration data",
}


@dataclass(frozen=True)
class Prune:
    """Sets weights of little importance to zero, with a `Mask` that later passes and fine-tuning keep.

    Given: a graph with float weights, clustered or pruned before or not.
    Result: the same with zeros; what was pruned before stays so, and clustered weights must have been clustered after a pruning.
    Source: Han, Pool, Tran and Dally 2015, "Learning both weights and connections", section 3 (magnitude); LeCun, Denker and Solla 1990,
    "Optimal brain damage" (gradients); Mishra et al. 2021, "Accelerating sparse deep neural networks", section 3 (N:M); Narang,
    Undersander and Diamos 2017, "Block-sparse recurrent neural networks" (blocks).

    How many go is told by one of `sparsity`, `threshold`, `effective`, or a pattern of N:M.

    Attributes:
        sparsity: Share of the weights that become zero, 0 to 1.
        scope: A key of `SCOPES`.
        pattern: ``unstructured``; ``N:M``: of M neighbouring input channels N are kept, the most important (``2:4`` is what sparse tensor
            cores compute); ``RxC``: whole blocks of R output channels by C input channels, by their mean square. Weights whose channels
            are not multiples of M, R or C are left alone, and noted.
        overrides: Module path glob to the sparsity of those modules, 0 to leave them alone; the last match wins. They take no part in a
            global ranking.
        importance: A key of `IMPORTANCES`.
        threshold: Weights smaller than this many standard deviations go (the root mean square, of each weight or, with scope
            ``global``, of all), over 0.
        effective: So many of the weights stay, as a factor of (L1 / L2)², the number of equal weights that would have the same norms:
            over 0; 1 leaves 64 % of normally distributed weights, and less of a layer that has few large ones.
        refit: Whether the weights that are left are fitted to give what their layers gave before, layer by layer on the samples: most of
            the accuracy comes back without training (`edgekit.compress.refit_masked`). None for where there are calibration data.
        refit_samples: Samples to fit on, at most.
    """

    name: ClassVar[str] = "prune"

    sparsity: float | None = None
    scope: str = "layer"
    pattern: str = UNSTRUCTURED
    overrides: Mapping[str, float] = field(default_factory=dict, hash=False)
    importance: str = "magnitude"
    threshold: float | None = None
    effective: float | None = None
    refit: bool | None = None
    refit_samples: int = 200

    def __post_init__(self) -> None:
        """Refuse shares that are none and patterns that do not exist.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        require_one_of("scope", self.scope, SCOPES)
        require_one_of("importance", self.importance, IMPORTANCES)
        fixed = _N_OF_M.fullmatch(self.pattern)
        if not (self.pattern == UNSTRUCTURED or fixed or _BLOCK.fullmatch(self.pattern)):
            raise UsageError(f"pattern is {self.pattern!r}", accepted=[UNSTRUCTURED, "N:M such as 2:4", "RxC such as 4x1"])
        if fixed and int(fixed[1]) >= int(fixed[2]):
            raise UsageError(f"pattern {self.pattern!r} keeps everything", accepted="N:M with N less than M")
        for share in (self.sparsity, *self.overrides.values()):
            require_within("sparsity", share, share is None or 0 <= share < 1, "0 up to, not including, 1 (a share of the weights)")
        require_within("refit_samples", self.refit_samples, self.refit_samples >= 1, "1 or more samples")
        self._check_amount(fixed is not None)

    def _check_amount(self, fixed: bool) -> None:
        """Refuse no answer, and several, to how many weights go."""
        amounts = {"sparsity": self.sparsity, "threshold": self.threshold, "effective": self.effective}
        given = [name for name, amount in amounts.items() if amount is not None]
        if fixed and (given or any(self.overrides.values())):
            raise UsageError(f"pattern {self.pattern!r} decides how many weights go", accepted="no sparsity beside it; overrides of 0")
        if not fixed and not given:
            raise UsageError(
                "no sparsity is given", accepted="0 up to, not including, 1 (a share of the weights), or a threshold, or effective"
            )
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} both decide how many weights go", accepted="one of them")
        for name in ("threshold", "effective"):
            amount = amounts[name]
            require_within(name, amount, amount is None or amount > 0, "over 0")
        if self.threshold is not None and self.importance != "magnitude":
            raise UsageError(f"a threshold is of magnitudes, and importance is {self.importance!r}", accepted="sparsity, or effective")

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The pruned graph.

        Raises:
            UsageError: An override names a module that the graph has not.
            ConversionError: A weight is NaN or infinite, or has a table that does not hold zero.
        """
        check_modules(graph, self.overrides, "overrides of prune")
        result, notes = graph.copy(), []
        found: list[Prunable] = []
        for weight in self._weights(result, context.rules):
            if self._divides(weight):
                found.append(weight)
            else:
                notes.append(f"pruned: not {weight.module!r}, whose {list(weight.value.shape)} weights do not divide by {self.pattern}")
        masks = self._masks(self._weighed(graph, found, context))
        for weight, kept in zip(found, masks, strict=True):
            revalue(weight.node, weight.value.where(kept, 0.0), Mask(str(weight.node.target), kept))
        finish(result.module)
        zeros, total = sum(int((~kept).sum()) for kept in masks), sum(weight.value.numel() for weight in found)
        told = f"pruned: {zeros / max(total, 1):.1%} of {total:,} weights are zero"
        return self._refitted(graph, result, context).noting(told, *notes)

    def _refitted(self, graph: Graph, pruned: Graph, context: Context) -> Graph:
        """The pruned graph, fitted if that is asked for and there are data."""
        if self.refit is False or (self.refit is None and context.calibration is None):
            return pruned
        samples = context.calibration_for("refit measures layers on data", "or refit = false")
        return refitted(graph, pruned, samples.first(self.refit_samples))

    def _weights(self, graph: Graph, rules: Rules) -> list[Prunable]:
        """The weights that are not left alone."""
        found: dict[str, Prunable] = {}
        for reader in graph.nodes:
            node = weight_operand(reader, rules)
            if node is None or op_name(reader) not in rules.weight_only or str(node.target) in found:
                continue
            share = for_module(module_path(reader), None, self.overrides)
            if share != 0:
                mask = imposed(node, Mask)
                value, axis = checked_weight(reader, node), channel_axis(reader, rules)
                found[str(node.target)] = Prunable(node, module_path(reader), value, axis, None if mask is None else mask.kept, share)
        return list(found.values())

    def _divides(self, weight: Prunable) -> bool:
        matrix = weight.matrix(weight.value)
        rows, columns = self._unit
        return matrix.shape[0] % rows == 0 and matrix.shape[1] % columns == 0

    @property
    def _unit(self) -> tuple[int, int]:
        """Output by input channels that are judged together."""
        if match := _N_OF_M.fullmatch(self.pattern):
            return 1, int(match[2])
        match = _BLOCK.fullmatch(self.pattern)
        return (int(match[1]), int(match[2])) if match else (1, 1)

    def _masks(self, found: Sequence[Prunable]) -> list[Tensor]:
        """What each weight keeps."""
        if match := _N_OF_M.fullmatch(self.pattern):
            return [n_of_m(weight, int(match[1]), int(match[2])) for weight in found]
        scores = [weight.block_scores(*self._unit) for weight in found]
        ranked = [i for i, weight in enumerate(found) if weight.share is None and self.scope == "global"]
        kept: dict[int, Tensor] = {}
        if ranked:
            everything = torch.cat([scores[i].flatten() for i in ranked])
            parts = torch.split(largest(everything, self._share(everything)), [scores[i].numel() for i in ranked])
            kept = {i: part.reshape(scores[i].shape) for i, part in zip(ranked, parts, strict=True)}
        for i, weight in enumerate(found):
            flat = scores[i].flatten()
            blocks = kept[i] if i in kept else largest(flat, self._share(flat) if weight.share is None else weight.share)
            kept[i] = weight.from_blocks(blocks.reshape(scores[i].shape), *self._unit)
        return [kept[i] for i in range(len(found))]

    def _share(self, scores: Tensor) -> float:
        """Share of the scores that goes."""
        if self.threshold is not None:
            return below(scores, self.threshold)
        return beyond_effective(scores, self.effective) if self.effective is not None else self.sparsity or 0.0

    def _weighed(self, graph: Graph, found: Sequence[Prunable], context: Context) -> list[Prunable]:
        """The weights with what an error of each element costs, where that is what importance means."""
        if self.importance == "magnitude":
            return list(found)
        samples = context.calibration_for("importance 'gradient' is measured on data", "or importance = magnitude")
        costs = weight_costs(graph, found, samples)
        return [replace(weight, sensitivity=costs[weight.name]) for weight in found]
