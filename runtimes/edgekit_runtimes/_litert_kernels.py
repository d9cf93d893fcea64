"""Which operator of a LiteRT model a delegate's kernels belong to.

A delegate reports kernels, not the file's operators: one operator may take several (an activation becomes a Clamp), several
may share one, and data movement may need none. Kernels and operators of a partition come in the same order, so they are
aligned like two sequences: as many kernels as possible go to operators of their own kind, the rest to the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.timing import OpTime
from edgekit_runtimes._litert_capi import Event, ProfilerMissing
from edgekit_runtimes._litert_nodes import Node

KINDS = {
    "CONV_2D": ("Convolution", "Fully Connected"),
    "DEPTHWISE_CONV_2D": ("Convolution",),
    "TRANSPOSE_CONV": ("Deconvolution",),
    "FULLY_CONNECTED": ("Fully Connected", "Dynamic Fully Connected"),
    "BATCH_MATMUL": ("Batch Matrix Multiply", "Fully Connected"),
    "AVERAGE_POOL_2D": ("Average Pooling", "Mean"),
    "MAX_POOL_2D": ("Max Pooling",),
    "MEAN": ("Mean", "Reduce"),
    "SUM": ("Sum", "Reduce"),
    "ADD": ("Add",),
    "SUB": ("Subtract",),
    "MUL": ("Multiply",),
    "DIV": ("Divide",),
    "MAXIMUM": ("Maximum",),
    "MINIMUM": ("Minimum",),
    "CONCATENATION": ("Concatenate", "Copy"),
    "PAD": ("Constant Pad",),
    "PADV2": ("Constant Pad",),
    "RESHAPE": ("Static Reshape", "Copy"),
    "SLICE": ("Static Slice",),
    "STRIDED_SLICE": ("Static Slice",),
    "SPLIT": ("Split", "Even Split"),
    "TRANSPOSE": ("Transpose", "Static Transpose"),
    "RESIZE_BILINEAR": ("Resize Bilinear",),
    "SOFTMAX": ("Softmax",),
    "LOGISTIC": ("Sigmoid",),
    "TANH": ("Tanh",),
    "HARD_SWISH": ("HardSwish",),
    "LEAKY_RELU": ("Leaky ReLU",),
    "PRELU": ("PReLU",),
    "RELU": ("Clamp",),
    "RELU6": ("Clamp",),
    "GELU": ("GELU",),
    "ELU": ("ELU",),
    "QUANTIZE": ("Convert",),
    "DEQUANTIZE": ("Convert",),
    "RSQRT": ("Reciprocal Square Root",),
    "SQUARED_DIFFERENCE": ("Squared Difference",),
}
"""What XNNPACK calls the kernels of an operator; otherwise its name in words."""


@dataclass(frozen=True)
class Kernel:
    """A kernel of a delegate's partition and its mean microseconds a run."""

    name: str
    mean_us: float


def op_times(nodes: Sequence[Node], events: Sequence[Event], runs: int) -> tuple[OpTime, ...]:
    """Mean times of the nodes, in order.

    Raises:
        ProfilerMissing: The runs are not alike, or not of these nodes.
    """
    table = _mean_of_runs(events, runs)
    own = {e.index: us for e, us in table if not e.delegated}
    names = {n.index: n.name for n in nodes}
    if any(names.get(e.index) != e.name for e, _ in table if not e.delegated):
        raise ProfilerMissing("LiteRT's profile names operators that are not the file's")
    times = {n.index: OpTime(n.index, n.name, "", n.delegated, own.get(n.index)) for n in nodes}
    groups = _partition_kernels(table)
    for number, members in enumerate(_partitions(nodes)):
        for index, kernels in align(members, groups[number] if number < len(groups) else []).items():
            text, total = " + ".join(k.name for k in kernels), sum(k.mean_us for k in kernels)
            times[index] = OpTime(index, names[index], text, True, total if kernels else None)
    return tuple(times[n.index] for n in nodes)


def _mean_of_runs(events: Sequence[Event], runs: int) -> list[tuple[Event, float]]:
    """One run's events with the mean over the calmest three quarters of runs: in the others something else ran too."""
    per_run, rest = divmod(len(events), runs)
    if rest or not per_run:
        raise ProfilerMissing(f"LiteRT's profile of {runs} runs holds {len(events)} operator events, not a multiple")
    grid = np.array([e.microseconds for e in events], float).reshape(runs, per_run)
    calm = grid[np.argsort(grid.sum(axis=1), kind="stable")[: -(-3 * runs // 4)]]
    return list(zip(events[:per_run], calm.mean(axis=0).tolist(), strict=True))


def _partition_kernels(table: Sequence[tuple[Event, float]]) -> list[list[Kernel]]:
    """A delegate's kernels, a list a partition: numbers start again at 0 in each."""
    groups: list[list[Kernel]] = []
    for event, mean in table:
        if event.delegated:
            if event.index == 0:
                groups.append([])
            groups[-1].append(Kernel(event.name, mean))
    return groups


def _partitions(nodes: Sequence[Node]) -> list[list[Node]]:
    """Delegated nodes by partition, in the order in which partitions run."""
    order: dict[int, list[Node]] = {}
    for node in nodes:
        if node.partition is not None:
            order.setdefault(node.partition, []).append(node)
    return list(order.values())


def align(nodes: Sequence[Node], kernels: Sequence[Kernel]) -> dict[int, list[Kernel]]:
    """Which kernels belong to which node, by the longest common subsequence of kinds."""
    n, k = len(nodes), len(kernels)
    best = np.zeros((n + 1, k + 1), int)
    for i in range(n - 1, -1, -1):
        for j in range(k - 1, -1, -1):
            match = best[i + 1, j + 1] + 1 if _kin(nodes[i], kernels[j]) else 0
            best[i, j] = max(match, best[i + 1, j], best[i, j + 1])
    taken: dict[int, list[Kernel]] = {node.index: [] for node in nodes}
    i, owner = 0, 0
    for j, kernel in enumerate(kernels):
        while i < n and best[i, j] == best[i + 1, j]:
            i += 1
        if i < n and _kin(nodes[i], kernel) and best[i, j] == best[i + 1, j + 1] + 1:
            owner, i = i, i + 1
        if nodes:
            taken[nodes[owner].index].append(kernel)
    return taken


def _kin(node: Node, kernel: Kernel) -> bool:
    kinds = KINDS.get(node.name, (node.name.replace("_", " ").title(),))
    head = kernel.name.partition(" (")[0]
    return head in kinds
