"""The weights that can be clustered, and what a table for each costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.compress.quantize.annotate import weight_operands
from edgekit.compress.quantize.weights import channel_axis, checked_weight
from edgekit.constraints import BITS, Codebook, Mask
from edgekit.graph import Graph, imposed, module_path, op_name, reads
from edgekit.targets import Rules

HALF_BITS = 16
LARGEST_HALF = 65504.0
"""Tables hold half-precision values."""

_FEW = 2048
"""Elements that show soon that a weight has many values."""


@dataclass(frozen=True)
class Layer:
    """A weight.

    Attributes:
        node: Its ``get_attr`` node.
        reader: The call that reads it; the first of several.
        axis: Of its output channels.
        value: The weight.
        mask: What was pruned away, or None.
        shared: Whether several calls read it.
    """

    node: fx.Node
    reader: fx.Node
    axis: int
    value: Tensor
    mask: Mask | None
    shared: bool

    @property
    def name(self) -> str:
        """Target of the weight's node: its key in everything this package measures."""
        return str(self.node.target)

    @property
    def module(self) -> str:
        """Path of the user's module."""
        return module_path(self.reader)

    @property
    def kept(self) -> Tensor:
        """Which elements may differ from zero: bool, of the weight's shape."""
        return torch.ones(self.value.shape, dtype=torch.bool) if self.mask is None else self.mask.kept

    def groups(self, channels: int | None) -> int:
        """Number of tables if `channels` share one: as many as divide the axis, at most so many; 1 for None."""
        size = self.value.shape[self.axis]
        return 1 if channels is None else size // max(d for d in range(1, min(channels, size) + 1) if size % d == 0)

    def narrowest(self, bits: int) -> int:
        """The least width, 3 left out as newer than the others, whose table holds every value of the weight; at most `bits`."""
        for width in (w for w in BITS if w < bits and w != 3):
            if _distinct(self.value.flatten()[:_FEW]) <= 2**width and _distinct(self.value) <= 2**width:
                return width
        return bits

    def stored_bits(self, bits: int, channels: int | None) -> int:
        """Size of the weight as indices and tables; at 16 bits, as half-precision numbers; a mask takes a bit an element."""
        size = self.value.numel()
        kept = size * bits if self.mask is None else int(self.mask.kept.sum()) * bits + size
        return kept + (self.groups(channels) * 2**bits * HALF_BITS if bits < HALF_BITS else 0)


def _distinct(values: Tensor) -> int:
    return len(np.unique(values.numpy()))


def layers(graph: Graph, rules: Rules) -> list[Layer]:
    """The weights that the format stores in few bits and that have no table yet, in execution order.

    Raises:
        ConversionError: A weight is NaN or infinite.
    """
    found: dict[str, Layer] = {}
    weights = ((reader, node) for reader in graph.nodes for node in weight_operands(reader, rules))
    for reader, node in weights:
        if op_name(reader) not in rules.weight_only or str(node.target) in found:
            continue
        value = checked_weight(reader, node)
        if imposed(node, Codebook) is not None or float(value.abs().max()) > LARGEST_HALF:
            continue
        found[str(node.target)] = Layer(node, reader, channel_axis(reader, rules), value, imposed(node, Mask), reads(node) > 1)
    return list(found.values())
