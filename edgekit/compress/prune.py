"""The pruning pass: weights of little magnitude become zero and stay it.

Han, Pool, Tran and Dally 2015, "Learning both weights and connections", section 3 (magnitude); Mishra et al. 2021, "Accelerating
sparse deep neural networks", section 3 (N:M); Narang, Undersander and Diamos 2017, "Block-sparse recurrent neural networks" (blocks).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, fx

from edgekit.compress.overrides import check_modules, for_module
from edgekit.compress.quantize.annotate import weight_operand
from edgekit.compress.quantize.weights import channel_axis, checked_weight
from edgekit.constraints import Mask
from edgekit.errors import UsageError
from edgekit.graph import Graph, constraints_of, finish, module_path, op_name, revalue
from edgekit.recipe import Context
from edgekit.targets import Rules

SCOPES: dict[str, str] = {
    "layer": "each weight loses the same share",
    "global": "the model's smallest weights go, wherever they are",
}
UNSTRUCTURED = "unstructured"
_N_OF_M = re.compile(r"([1-9]\d?):([1-9]\d?)")
_BLOCK = re.compile(r"([1-9]\d?)x([1-9]\d?)")


@dataclass(frozen=True)
class Prune:
    """Sets weights of small magnitude to zero, with a `Mask` that later passes and fine-tuning keep.

    Given: a graph with float weights, clustered or pruned before or not.
    Result: the same with zeros; what was pruned before stays so, and clustered weights must have been clustered after a pruning.

    Attributes:
        sparsity: Share of the weights that become zero, 0 to 1; with a pattern of N:M, that pattern alone decides and this stays unset.
        scope: A key of `SCOPES`.
        pattern: ``unstructured``; ``N:M``: of M neighbouring input channels N are kept, the largest (``2:4`` is what sparse tensor cores
            compute); ``RxC``: whole blocks of R output channels by C input channels, by their mean square. Weights whose channels are not
            multiples of M, R or C are left alone, and noted.
        overrides: Module path glob to the sparsity of those modules, 0 to leave them alone; the last match wins. They take no part in a
            global ranking.
    """

    name: ClassVar[str] = "prune"

    sparsity: float | None = None
    scope: str = "layer"
    pattern: str = UNSTRUCTURED
    overrides: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse shares that are none and patterns that do not exist.

        Raises:
            UsageError: Naming the option, what it got and what it takes.
        """
        if self.scope not in SCOPES:
            raise UsageError(f"scope is {self.scope!r}", accepted=list(SCOPES))
        fixed = _N_OF_M.fullmatch(self.pattern)
        if not (self.pattern == UNSTRUCTURED or fixed or _BLOCK.fullmatch(self.pattern)):
            raise UsageError(f"pattern is {self.pattern!r}", accepted=[UNSTRUCTURED, "N:M such as 2:4", "RxC such as 4x1"])
        if fixed and int(fixed[1]) >= int(fixed[2]):
            raise UsageError(f"pattern {self.pattern!r} keeps everything", accepted="N:M with N less than M")
        for share in (*([] if self.sparsity is None else [self.sparsity]), *self.overrides.values()):
            if not 0 <= share < 1:
                raise UsageError(f"sparsity is {share:g}", accepted="0 up to, not including, 1 (a share of the weights)")
        if fixed and (self.sparsity is not None or any(self.overrides.values())):
            raise UsageError(f"pattern {self.pattern!r} decides how many weights go", accepted="no sparsity beside it; overrides of 0")
        if not fixed and self.sparsity is None:
            raise UsageError("no sparsity is given", accepted="0 up to, not including, 1 (a share of the weights)")

    def __call__(self, graph: Graph, context: Context) -> Graph:
        """The pruned graph.

        Raises:
            UsageError: An override names a module that the graph has not.
            ConversionError: A weight is NaN or infinite, or has a table that does not hold zero.
        """
        check_modules(graph, self.overrides, "overrides of prune")
        result, notes = graph.copy(), []
        found: list[_Weight] = []
        for weight in self._weights(result, context.rules):
            if self._divides(weight):
                found.append(weight)
            else:
                notes.append(f"pruned: not {weight.module!r}, whose {list(weight.value.shape)} weights do not divide by {self.pattern}")
        masks = self._masks(found)
        for weight, kept in zip(found, masks, strict=True):
            revalue(weight.node, weight.value.where(kept, 0.0), Mask(str(weight.node.target), kept))
        finish(result.module)
        zeros, total = sum(int((~kept).sum()) for kept in masks), sum(weight.value.numel() for weight in found)
        return result.noting(f"pruned: {zeros / max(total, 1):.1%} of {total:,} weights are zero", *notes)

    def _weights(self, graph: Graph, rules: Rules) -> list[_Weight]:
        """The weights that are not left alone."""
        found: dict[str, _Weight] = {}
        for reader in graph.nodes:
            node = weight_operand(reader, rules)
            if node is None or op_name(reader) not in rules.weight_only or str(node.target) in found:
                continue
            share = for_module(module_path(reader), None, self.overrides)
            if share != 0:
                mask = next((c for c in constraints_of(node) if isinstance(c, Mask)), None)
                value, axis = checked_weight(reader, node), channel_axis(reader, rules)
                found[str(node.target)] = _Weight(node, module_path(reader), value, axis, None if mask is None else mask.kept, share)
        return list(found.values())

    def _divides(self, weight: _Weight) -> bool:
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

    def _masks(self, found: Sequence[_Weight]) -> list[Tensor]:
        """What each weight keeps."""
        if match := _N_OF_M.fullmatch(self.pattern):
            return [_n_of_m(weight, int(match[1]), int(match[2])) for weight in found]
        scores = [weight.block_scores(*self._unit) for weight in found]
        ranked = [i for i, weight in enumerate(found) if weight.share is None and self.scope == "global"]
        kept: dict[int, Tensor] = {}
        if ranked:
            flat = _largest(torch.cat([scores[i].flatten() for i in ranked]), self.sparsity or 0.0)
            parts = torch.split(flat, [scores[i].numel() for i in ranked])
            kept = {i: part.reshape(scores[i].shape) for i, part in zip(ranked, parts, strict=True)}
        for i, weight in enumerate(found):
            share = (self.sparsity or 0.0) if weight.share is None else weight.share
            blocks = kept[i] if i in kept else _largest(scores[i].flatten(), share).reshape(scores[i].shape)
            kept[i] = weight.from_blocks(blocks, *self._unit)
        return [kept[i] for i in range(len(found))]


@dataclass(frozen=True)
class _Weight:
    """A weight to prune.

    Attributes:
        node: Its ``get_attr`` node.
        module: Path of the user's module.
        value: The weight.
        axis: Of its output channels; the input channels are on the other one of its first two.
        kept: What an earlier pruning kept, or None.
        share: Its own sparsity, or None.
    """

    node: fx.Node
    module: str
    value: Tensor
    axis: int
    kept: Tensor | None
    share: float | None

    def matrix(self, tensor: Tensor) -> Tensor:
        """As (output channels, input channels, everything else)."""
        return tensor.movedim(self.axis, 0).flatten(2) if tensor.dim() > 2 else tensor.movedim(self.axis, 0)[..., None]

    def back(self, matrix: Tensor) -> Tensor:
        """Inverse of `matrix`."""
        sizes = list(self.value.movedim(self.axis, 0).shape)
        return matrix.reshape(sizes).movedim(0, self.axis)

    def magnitudes(self) -> Tensor:
        """Magnitude of each element, as a matrix; what was pruned before ranks below everything."""
        size = self.value.abs()
        return self.matrix(size if self.kept is None else size.where(self.kept, -1.0))

    def block_scores(self, rows: int, columns: int) -> Tensor:
        """Mean square of each block of channels, shape (rows of blocks, columns of blocks, everything else); below 0 where pruned."""
        size = self.magnitudes()
        blocks = size.reshape(size.shape[0] // rows, rows, size.shape[1] // columns, columns, -1)
        return (blocks * blocks.abs()).mean((1, 3))

    def from_blocks(self, blocks: Tensor, rows: int, columns: int) -> Tensor:
        """One boolean a block, spread over its elements, less what an earlier pruning took."""
        kept = self.back(blocks.repeat_interleave(rows, 0).repeat_interleave(columns, 1))
        return kept if self.kept is None else kept & self.kept


def _largest(scores: Tensor, sparsity: float) -> Tensor:
    """Which scores stay when that share of the smallest goes; of equal ones, the later."""
    kept = torch.ones_like(scores, dtype=torch.bool)
    kept[scores.argsort(stable=True)[: round(sparsity * len(scores))]] = False
    return kept


def _n_of_m(weight: _Weight, n: int, m: int) -> Tensor:
    """The N largest of M neighbouring input channels, of each output channel and position."""
    size = weight.magnitudes()
    blocks = size.reshape(size.shape[0], -1, m, size.shape[2])
    kept = torch.zeros_like(blocks, dtype=torch.bool).scatter_(2, blocks.topk(n, 2).indices, value=True)
    result = weight.back(kept.reshape(size.shape))
    return result if weight.kept is None else result & weight.kept
