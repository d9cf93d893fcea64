"""What every rewrite is made of: find calls, replace a call, sweep what died.

A rewrite is a function ``rewrite(graph: fx.Graph) -> None`` that edits the graph in place. It sees functional
ATen calls with true meta values and leaves the same. Nothing is recompiled in between; that happens once, at
the end of `edgekit.canonicalize.canonicalize`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import fx

from edgekit.graph import argument, aten, call, module_path, substitute

Rewrite = Callable[[fx.Graph], None]
"""Edits a graph in place."""

Rule = Callable[[fx.Node], "fx.Node | None"]
"""Given a call, the node that takes its place (built before it), or None to leave it."""


def overloads(names: str) -> frozenset[Any]:
    """The ATen overloads of blank-separated names such as ``relu.default``; a bare name means ``.default``."""
    return frozenset(overload(name) for name in names.split())


def overload(name: str) -> Any:
    """One ATen overload by name."""
    packet, _, which = name.partition(".")
    return getattr(getattr(aten, packet), which or "default")


def calls(graph: fx.Graph, targets: Iterable[Any]) -> list[fx.Node]:
    """The calls of any of `targets`, in execution order; a snapshot that survives edits."""
    wanted = set(targets)
    return [n for n in graph.nodes if n.op == "call_function" and n.target in wanted]


def apply_rules(graph: fx.Graph, rules: Mapping[Any, Rule]) -> None:
    """Offer each call to the rule of its target, once, in execution order."""
    for node in calls(graph, rules):
        new = rules[node.target](node)
        if new is not None and new is not node:
            substitute(node, new)


def sweep(graph: fx.Graph) -> None:
    """Erase calls and constants that nobody uses. Right only in a functional graph."""
    for node in reversed(graph.nodes):
        if not node.users and node.op in ("call_function", "get_attr"):
            graph.erase_node(node)


def only_user(node: fx.Node) -> fx.Node | None:
    """The single user of a node, else None."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def arguments(node: fx.Node) -> tuple[Any, ...]:
    """All arguments of an ATen call in schema order, defaults filled in."""
    return tuple(argument(node, a.name) for a in node.target._schema.arguments)  # type: ignore[union-attr]


def optional(node: fx.Node, name: str, default: Any) -> Any:
    """An argument that not every overload of a call has."""
    try:
        return argument(node, name)
    except KeyError:
        return default


def source(node: fx.Node) -> fx.Node:
    """The first operand of a call: what most calls compute from."""
    x = node.args[0]
    assert isinstance(x, fx.Node)
    return x


def rename(node: fx.Node, target: Any, *args: Any, **kwargs: Any) -> None:
    """Turn a call into another one whose result has the same shape and dtype."""
    node.target = target
    node.args = args
    node.kwargs = kwargs


def reshaped(before: fx.Node, x: fx.Node, shape: Iterable[int]) -> fx.Node:
    """`x` in another shape; `x` itself where it has that shape already."""
    sizes = [int(s) for s in shape]
    if list(x.meta["val"].shape) == sizes:
        return x
    return call(before, aten.reshape.default, x, sizes, like=before)


def permuted(before: fx.Node, x: fx.Node, dims: Iterable[int]) -> fx.Node:
    """`x` with its dimensions in another order; `x` itself for the identity."""
    order = [int(d) for d in dims]
    return x if order == sorted(order) else call(before, aten.permute.default, x, order, like=before)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that operands of these shapes broadcast to."""
    return tuple(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]


def non_negative(dim: int, rank: int) -> int:
    """A dimension counted from the front."""
    return dim + max(rank, 1) if dim < 0 else dim


def place(node: fx.Node) -> str:
    """A node as errors name it: the user's module, else the node's own name."""
    return module_path(node) or node.name
