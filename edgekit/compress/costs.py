"""What a graph costs: multiply-accumulates, parameters and bytes; in all, by layer.

The one place that counts them. They are properties of the graph, exact and the same on every machine; how long a device takes for them
is a measurement (`edgekit.profiling`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.constraints import Codebook, Mask
from edgekit.errors import UsageError
from edgekit.graph import Graph, argument, constant_value, constraints_of, grid_of, is_call, module_path, op_name, shape_of
from edgekit.targets.kernels import Kernels

MEASURES = ("macs", "parameters", "bytes")
"""Names of what can be counted: the fields of `Cost` that a budget may bound."""

_HALF_BITS = 16
_BITS = {"int4": 4, "int8": 8, "uint8": 8, "int16": 16, "int32": 32}


def check_budget(name: str, budget: float | None) -> None:
    """Refuse a budget that bounds nothing.

    Args:
        name: Of `MEASURES`.
        budget: The share that may be left, below 1, or a number above; None for no budget.

    Raises:
        UsageError: It is 1, or not over 0.
    """
    if budget is not None and (budget <= 0 or budget == 1):
        raise UsageError(f"{name} is {budget:g}", accepted=f"between 0 and 1 (the share of {name} that is left), or a number over 1")


@dataclass(frozen=True)
class Cost:
    """What a graph, or one layer of it, costs.

    Attributes:
        macs: Multiply-accumulates of one run at the graph's own batch: of convolutions, linear layers, matrix products, attention and
            recurrent layers; elementwise operators, pooling and normalization count none.
        parameters: Elements of the weights, biases and other floating constants; a shared one counts once, zeros count.
        bytes: What all constants take, as their grids, tables (2 bytes an entry) or half precision store them; scales included.
            Zeros are stored like any number. A file also holds its own structure, and not every format stores tables.
        zeros: Of the parameters, how many a `Mask` holds at zero. They make a download smaller, and nothing else.
    """

    macs: int = 0
    parameters: int = 0
    bytes: int = 0
    zeros: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.macs + other.macs, self.parameters + other.parameters, self.bytes + other.bytes, self.zeros + other.zeros)


@dataclass(frozen=True)
class LayerCost:
    """What one call costs.

    Attributes:
        node: The call's name in the graph.
        op: Base name of its operator.
        module: Path of the user's module.
        cost: Its own multiply-accumulates, and the constants that it reads first.
    """

    node: str
    op: str
    module: str
    cost: Cost


def cost_of(graph: Graph) -> Cost:
    """What a graph costs in all."""
    return sum((layer.cost for layer in layer_costs(graph)), start=Cost())


def layer_costs(graph: Graph) -> tuple[LayerCost, ...]:
    """What each call costs that multiplies or reads constants, in execution order."""
    fixed: set[fx.Node] = set()
    counted: set[str] = set()
    found = []
    for node in graph.nodes:
        if _is_fixed(node, fixed):
            fixed.add(node)
            continue
        cost = sum((_stored(c) for c in _constants(node, fixed, counted)), start=Cost(macs_of(node)))
        if cost != Cost():
            found.append(LayerCost(node.name, op_name(node), module_path(node), cost))
    return tuple(found)


Shape = Callable[[fx.Node], Sequence[int]]
"""Gives the shape of a value: `edgekit.graph.shape_of`, or what it would be in another graph."""


def macs_of(node: fx.Node, shape: Shape = shape_of) -> int:
    """Multiply-accumulates of one call; 0 for what is no product of matrices."""
    count = _MACS.get(op_name(node)) if is_call(node) else None
    return 0 if count is None else count(node, shape)


def work_of(node: fx.Node, kernels: Kernels, shape: Shape = shape_of) -> float:
    """What the kernels of a device take for one call, in multiply-accumulates."""
    macs, op = macs_of(node, shape), op_name(node)
    if op in ("convolution", "linear"):
        outputs = list(shape(node))
        axis = 1 if op == "convolution" else -1
        depthwise = op == "convolution" and 1 < argument(node, "groups") == shape_of(argument(node, "input"))[1]
        filled = math.ceil(outputs[axis] / kernels.tile) * kernels.tile / max(outputs[axis], 1)
        return filled * (macs * (kernels.depthwise if depthwise else 1) + math.prod(outputs) * kernels.output)
    if op in _OF_TWO and len(node.all_input_nodes) > 1:
        return macs + math.prod(shape(node)) * kernels.element
    return macs


_OF_TWO = frozenset({"add", "sub", "mul", "div"})


def _convolution(node: fx.Node, shape: Shape) -> int:
    weight = shape(argument(node, "weight"))
    # A weight is (out, in / groups, kernel), transposed (in, out / groups, kernel): each element of the one side meets the rest of it.
    side = argument(node, "input") if argument(node, "transposed") else node
    return math.prod(shape(side)) * math.prod(weight[1:])


def _linear(node: fx.Node, shape: Shape) -> int:
    return math.prod(shape(node)) * shape(argument(node, "weight"))[-1]


def _matmul(node: fx.Node, shape: Shape) -> int:
    return math.prod(shape(node)) * shape(argument(node, "self"))[-1]


def _attention(node: fx.Node, shape: Shape) -> int:
    query, key = shape(argument(node, "query")), shape(argument(node, "key"))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + shape(argument(node, "value"))[-1])


def _recurrent(node: fx.Node, shape: Shape) -> int:
    """Each matrix multiplies one vector a step and sample."""
    data = shape(argument(node, "input"))
    matrices = [shape(p) for p in argument(node, "params") if len(shape(p)) == 2]
    return math.prod(data[:-1]) * sum(math.prod(matrix) for matrix in matrices)


_MACS: Mapping[str, Callable[[fx.Node, Shape], int]] = {
    "convolution": _convolution,
    "linear": _linear,
    "matmul": _matmul,
    "scaled_dot_product_attention": _attention,
    "lstm": _recurrent,
    "gru": _recurrent,
}


def _is_fixed(node: fx.Node, fixed: set[fx.Node]) -> bool:
    """Whether a node has the same value in every run: a constant, or a call that rounds or moves one."""
    return node.op == "get_attr" or (is_call(node) and bool(node.all_input_nodes) and fixed.issuperset(node.all_input_nodes))


def _constants(reader: fx.Node, fixed: set[fx.Node], counted: set[str]) -> list[fx.Node]:
    """The constants that reach a reader, by fixed calls only, and that no other reader before it had."""
    found, open_nodes = [], [x for x in reader.all_input_nodes if x in fixed]
    while open_nodes:
        node = open_nodes.pop()
        open_nodes += node.all_input_nodes
        if node.op == "get_attr" and str(node.target) not in counted:
            counted.add(str(node.target))
            found.append(node)
    return found


def _stored(node: fx.Node) -> Cost:
    value = constant_value(node)
    assert value is not None
    if all(_is_scale(node, user) for user in node.users):
        return Cost(bytes=value.numel() * value.element_size())
    mask = next((c for c in constraints_of(node) if isinstance(c, Mask)), None)
    zeros = 0 if mask is None else int((~mask.kept).sum())
    parameters = value.numel() if value.is_floating_point() else 0
    return Cost(parameters=parameters, bytes=_bytes(node, value), zeros=zeros)


def _is_scale(node: fx.Node, reader: fx.Node) -> bool:
    """Whether a reader rounds something else with this constant: it is a scale or a zero point."""
    return "fake_quantize" in str(reader.target) and reader.args[0] is not node


def _bytes(node: fx.Node, value: Tensor) -> int:
    tables = sum(c.tables.numel() * _HALF_BITS for c in constraints_of(node) if isinstance(c, Codebook))
    return math.ceil((value.numel() * _bits(node, value) + tables) / 8)


def _bits(node: fx.Node, value: Tensor) -> int:
    """Stored bits of each element."""
    widths = [c.bits for c in constraints_of(node) if isinstance(c, Codebook)]
    for user in node.users:
        grid: Any = grid_of(user)
        if grid is not None:
            widths.append(_BITS[grid.dtype])
        elif is_call(user) and op_name(user) == "fake_half":
            widths.append(_HALF_BITS)
    return min(widths, default=torch.finfo(value.dtype).bits if value.is_floating_point() else 8 * value.element_size())
