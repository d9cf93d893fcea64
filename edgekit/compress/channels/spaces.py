"""Channel spaces: which values of a graph have channels that can only be scaled together."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, fx

from edgekit.canonicalize.vocabulary import LAYERS
from edgekit.compress.union_find import UnionFind
from edgekit.graph import Graph, argument, constant_value, is_call, is_scalable, op_name, shape_of

COMMUTING = (
    "relu", "leaky_relu", "max_pool2d", "avg_pool2d", "upsample_nearest2d", "upsample_bilinear2d",
    "add", "sub", "mean", "reshape", "pad", "slice",
)  # fmt: skip
"""Operators that, given the right arguments, give out scaled channels where they are given scaled channels."""


@dataclass
class Space:
    """Values whose channels (axis 1) must be scaled alike: a residual stream, or what lies between two layers.

    Attributes:
        writers: Layers whose output channels they are.
        readers: Layers whose input channels they are.
        values: The nodes.
        frozen: Whether something writes or reads them whose result a scaling would change.
    """

    writers: list[fx.Node] = field(default_factory=list)
    readers: list[fx.Node] = field(default_factory=list)
    values: list[fx.Node] = field(default_factory=list)
    frozen: bool = False


def free_spaces(graph: Graph) -> list[Space]:
    """The spaces of a graph that can be scaled, in execution order."""
    sets = UnionFind[fx.Node]()
    for node in graph.nodes:
        for operand in node.all_input_nodes if commutes(node) else ():
            sets.join(node, operand)
    found: dict[fx.Node, Space] = {}
    for node in graph.nodes:
        if node.op in ("placeholder", "call_function"):
            _enter(node, found.setdefault(sets.find(node), Space()))
    return [s for s in found.values() if s.writers and s.readers and not s.frozen]


def layer_weight(node: fx.Node) -> Tensor | None:
    """The weight of a layer whose channels can be scaled, else None: constant, its own, channels on axis 1, no codebook."""
    if not is_call(node, *LAYERS):
        return None
    weight, bias = argument(node, "weight"), argument(node, "bias")
    if constant_value(weight) is None or len(weight.users) > 1 or not is_scalable(weight):
        return None
    if bias is not None and constant_value(bias) is None:
        return None
    fits = len(shape_of(node)) == 2 if op_name(node) == "linear" else not argument(node, "transposed")
    return constant_value(weight) if fits else None


def groups_of(node: fx.Node) -> int:
    """Channel groups of a layer."""
    return int(argument(node, "groups")) if op_name(node) == "convolution" else 1


def commutes(node: fx.Node) -> bool:
    """Whether scaling the channels of all its operands scales those of the result alike, and nothing else."""
    if not is_call(node) or op_name(node) not in COMMUTING or not isinstance(node.meta.get("val"), Tensor):
        return False
    shape, operands = shape_of(node), node.all_input_nodes
    shapes = [shape_of(x) for x in operands if x.op != "get_attr"]
    if len(shapes) < len(operands) or any(min(len(s), len(shape)) < 2 or s[1] != shape[1] for s in shapes):
        return False
    return _spares_channels(node, shape, shapes)


def _spares_channels(node: fx.Node, shape: tuple[int, ...], operands: list[tuple[int, ...]]) -> bool:
    match op_name(node):
        case "add" | "sub":
            return all(s == shape for s in operands)
        case "mean":
            return bool(argument(node, "dim")) and all(d > 1 for d in argument(node, "dim"))
        case "reshape":
            return all(size == 1 for size in (*shape[2:], *operands[0][2:]))
        case "pad":
            spared = not any(argument(node, "pad")[2 * (len(shape) - 2) :])
            return spared and (argument(node, "mode") != "constant" or not argument(node, "value"))
        case "slice":
            return int(argument(node, "dim")) > 1
    return True


def _enter(node: fx.Node, space: Space) -> None:
    space.values.append(node)
    if layer_weight(node) is not None:
        space.writers.append(node)
    elif not commutes(node):
        space.frozen = True
    for reader in node.users:
        if layer_weight(reader) is not None:
            space.readers.append(reader)
        elif not commutes(reader):
            space.frozen = True
