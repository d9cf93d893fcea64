"""What a graph without some of its channels must answer: the graph whose weights do not read or write them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.compress.channels import Channels, Slot
from edgekit.graph import Graph, constant, constant_value


def masked(graph: Graph, channels: Channels, gone: Collection[int]) -> Graph:
    """The graph with zeros in all weights that write or read some channels.

    Args:
        graph: The graph `channels` was found on.
        channels: Its channels.
        gone: Numbers of those to mask.
    """
    result = graph.copy()
    nodes = {node.name: node for node in result.nodes}
    for slot in channels.slots:
        rows = torch.from_numpy(np.flatnonzero(np.isin(slot.labels, list(gone))))
        if slot.role in ("inputs", "outputs") and len(rows):
            for reader in (nodes[name] for name in slot.readers):
                _mask(reader, slot, rows)
    result.module.recompile()
    return result


def _mask(reader: fx.Node, slot: Slot, rows: Tensor) -> None:
    """Give one reader a constant of its own with zeros: equal vectors of several layers are one constant."""
    for operand in reader.all_input_nodes:
        if operand.op == "get_attr" and operand.meta.get("masked", operand.target) == slot.target:
            value = constant_value(operand)
            assert value is not None
            zeroed = constant(reader, value.clone().index_fill_(slot.axis, rows, 0.0), "masked")
            zeroed.meta["masked"] = slot.target
            reader.replace_input_with(operand, zeroed)


def some(channels: Channels, seed: int = 0) -> frozenset[int]:
    """Channels of all groups whose removal is exact: of each group any number, but not all."""
    random, chosen = np.random.default_rng(seed), set()
    for group in channels.removable:
        if group.exact:
            chosen |= set(random.permutation(group.channels)[: random.integers(0, len(group.channels))].tolist())
    return frozenset(chosen)
