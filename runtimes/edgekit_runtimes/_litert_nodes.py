"""The operators of a loaded LiteRT model: what they are, who runs them, and the memory planned for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

DELEGATE = "DELEGATE"


@dataclass(frozen=True)
class Node:
    """One operator of the file.

    Attributes:
        index: Its position.
        name: ``CONV_2D``.
        outputs: Names of the tensors it makes.
        shapes: Their shapes.
        dtypes: Their dtypes.
        partition: Number of the delegate's partition that runs it, or None.
    """

    index: int
    name: str
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    partition: int | None

    @property
    def delegated(self) -> bool:
        """Whether a delegate runs it."""
        return self.partition is not None

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "delegated": self.delegated}


@dataclass(frozen=True)
class Wiring:
    """A node as the interpreter lists it: tensors by index. Delegates are appended as nodes of their own."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def wiring(native: Any) -> tuple[Wiring, ...]:
    """All nodes of the main subgraph, delegates' too."""
    return tuple(
        Wiring(native.NodeName(i), tuple(map(int, native.NodeInputs(i))), tuple(map(int, native.NodeOutputs(i))))
        for i in range(native.NumNodes())
    )


def partitions(nodes: Sequence[Wiring]) -> dict[int, int]:
    """Which partition of a delegate replaced which node, by node index.

    LiteRT keeps replaced nodes in its list and appends a DELEGATE node for each partition, whose inputs and outputs are
    the partition's. Walking back from its outputs to its inputs finds the members.
    """
    maker = {tensor: i for i, node in enumerate(nodes) if node.name != DELEGATE for tensor in node.outputs}
    members: dict[int, int] = {}
    for number, delegate in enumerate(node for node in nodes if node.name == DELEGATE):
        border, left = set(delegate.inputs), list(delegate.outputs)
        while left:
            tensor = left.pop()
            index = maker.get(tensor)
            if tensor in border or index is None or index in members:
                continue
            members[index] = number
            left.extend(nodes[index].inputs)
    return members


def describe(native: Any) -> tuple[Node, ...]:
    """The file's operators."""
    nodes = wiring(native)
    delegated = partitions(nodes)
    return tuple(_node(native, i, n, delegated.get(i)) for i, n in enumerate(nodes) if n.name != DELEGATE)


def _node(native: Any, index: int, node: Wiring, partition: int | None) -> Node:
    made = [t for t in node.outputs if t >= 0]
    return Node(
        index,
        node.name,
        tuple(native.TensorName(t, 0) for t in made),
        tuple(tuple(map(int, native.TensorSize(t, 0))) for t in made),
        tuple(np.dtype(native.TensorType(t, 0)).name for t in made),
        partition,
    )


def arena_bytes(native: Any, subgraph: int) -> int | None:
    """Size of the block LiteRT planned for inputs, activations and scratch tensors, from their addresses.

    A delegate's own workspace is not in it. Constants are not either: they stay in the mapped file.
    None where tensors cannot be told apart (more than one subgraph).
    """
    if subgraph != 0 or native.NumSubgraphs() > 1:
        return None
    nodes = wiring(native)
    made = {t for n in nodes for t in n.outputs} | set(map(int, native.InputIndices()))
    constants = {t for n in nodes for t in n.inputs} - made
    spans = [span for t in range(native.NumTensors(0)) if t not in constants and (span := _span(native, t))]
    return max(stop for _, stop in spans) - min(start for start, _ in spans) if spans else None


def _span(native: Any, tensor: int) -> tuple[int, int] | None:
    try:
        native.TensorType(tensor, 0)  # asking for the address of a tensor that has no type,
        native.TensorSize(tensor, 0)  # or no shape (scratch space a kernel did not need), crashes
        view = native.tensor(native, tensor)
    except ValueError:
        return None
    start = view.__array_interface__["data"][0]
    return (start, start + view.nbytes) if view.nbytes else None


def fallbacks(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Those a delegate left behind."""
    return tuple(n for n in nodes if not n.delegated)
