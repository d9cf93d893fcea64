"""Which constants of a graph train: those at the places where operators take parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, fx

from edgekit.compress.overrides import matches
from edgekit.compress.roundings import unrounded
from edgekit.graph import Graph, argument, constant_value, is_call, module_path, op_name

PLACES: dict[str, tuple[str, ...]] = {
    "convolution": ("weight", "bias"),
    "linear": ("weight", "bias"),
    "embedding": ("weight",),
    "layer_norm": ("weight", "bias"),
    "group_norm": ("weight", "bias"),
    "rms_norm": ("weight",),
    "prelu": ("weight",),
    "lstm": ("params",),
    "gru": ("params",),
}
"""Operator to the arguments that are parameters. Other constants (masks, positions of a grid, normalisation of an input) stay."""

WEIGHTS = ("convolution", "linear", "embedding", "lstm", "gru")
"""Operators whose weights, of two dimensions or more, are regularised."""


@dataclass(frozen=True)
class Parameter:
    """A constant that trains.

    Attributes:
        target: Of its ``get_attr`` nodes.
        node: The first of these.
        value: As it is now.
        regularised: Whether it is a weight, no bias and no scale of a normalization.
    """

    target: str
    node: fx.Node
    value: Tensor
    regularised: bool


def parameters(graph: Graph, frozen: Sequence[str] = ()) -> list[Parameter]:
    """The constants of a graph that train, in execution order.

    Args:
        graph: Canonical or lowered, rounded or not.
        frozen: Module path globs whose parameters stay; one that a module outside reads as well stays too.
    """
    found: dict[str, Parameter] = {}
    fixed: set[str] = set()
    for node in graph.nodes:
        stays = any(matches(module_path(node), glob) for glob in frozen)
        for constant in _taken(node):
            value, target = constant_value(constant), str(constant.target)
            if stays:
                fixed.add(target)
            elif value is not None and value.is_floating_point() and target not in found:
                regularised = op_name(node) in WEIGHTS and value.dim() > 1
                found[target] = Parameter(target, constant, value, regularised)
    return [p for p in found.values() if p.target not in fixed]


def _taken(node: fx.Node) -> Iterator[fx.Node]:
    """The ``get_attr`` nodes a call takes as parameters, its roundings looked through."""
    for place in PLACES.get(op_name(node), ()) if is_call(node) else ():
        given = argument(node, place)
        for operand in given if isinstance(given, (list, tuple)) else (given,):
            constant = unrounded(operand)
            if isinstance(constant, fx.Node) and constant.op == "get_attr":
                yield constant
