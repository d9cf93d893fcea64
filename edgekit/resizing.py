"""The same graph for other sizes of its open dimensions.

A canonical graph with `Graph.open_sizes` says of every number among its arguments that depends on them what it is at the corners of
their ranges (``node.meta[SIZES]``, learned by `edgekit.canonicalize.opening`). `resized` writes what such a number is at any
sizes, infers every shape anew, and checks nothing else: whoever needs a proof runs both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from edgekit.errors import ConversionError
from edgekit.graph import Graph, aten, infer, is_call, module_path, op_name, shape_of
from edgekit.sizes import LARGER_STEP, ONE_BY_ONE, Sizes, between, shape_at, typical

SIZES = "sizes"
"""Key of a node's meta: the number of each integer argument (as `numbers` counts them) that depends on the open sizes, to its values
at the `edgekit.sizes.corners`."""


def resized(graph: Graph, sizes: Sizes) -> Graph:
    """The graph at other sizes; its weights are shared.

    Args:
        graph: Of any stage, with open sizes.
        sizes: One for each of them.

    Raises:
        ConversionError: An operator cannot be resized; it names the operator and the module.
    """
    if sizes == typical(graph.open_sizes):
        return graph
    result = graph.copy()
    old = {n.name: n.meta.get("val") for n in result.nodes}
    specs = iter(graph.inputs)
    for node in result.nodes:
        if node.op == "placeholder":
            spec = next(specs)
            shape = shape_at(spec.name, spec.shape, graph.open_sizes, sizes)
            node.meta["val"] = torch.empty(shape, dtype=node.meta["val"].dtype, device="meta")
        elif is_call(node):
            _resize(graph, node, sizes, old)
    result.module.recompile()
    inputs = tuple(replace(s, shape=shape_at(s.name, s.shape, graph.open_sizes, sizes)) for s in graph.inputs)
    (end,) = [n for n in result.nodes if n.op == "output"]
    outputs = tuple(replace(s, shape=shape_of(n)) for s, n in zip(graph.outputs, end.args[0], strict=True))  # type: ignore[arg-type]
    return replace(result, inputs=inputs, outputs=outputs)


def numbers(arguments: Any, change: Callable[[int, int], int]) -> Any:
    """Arguments with each integer among them (in lists too) changed, given its number and itself."""
    count = -1

    def visit(value: Any) -> Any:
        nonlocal count
        if isinstance(value, (list, tuple)):
            return type(value)(visit(v) for v in value)
        if isinstance(value, bool) or not isinstance(value, int):
            return value
        count += 1
        return change(count, value)

    return visit(arguments)


def _resize(graph: Graph, node: fx.Node, sizes: Sizes, old: dict[str, Any]) -> None:
    if SIZES in node.meta:
        node.args = numbers(tuple(node.args), lambda number, value: _number(graph, node, number, value, sizes))
    elif is_call(node, aten.reshape.default):
        source: Any = node.args[0]
        node.args = (source, _regrouped(node, old[source.name].shape))
    elif is_call(node, aten.slice.Tensor):
        parts: Any = node.args
        sliced, dim, start, end, *rest = parts
        whole = end == old[sliced.name].shape[dim]
        node.args = (sliced, dim, start, shape_of(sliced)[dim] if whole else end, *rest)
    try:
        node.meta["val"] = infer(node.target, node.args, node.kwargs)
    except (RuntimeError, IndexError, ValueError) as error:
        raise _refusal(node, f"it does not fit: {str(error).splitlines()[0]}") from None


def _number(graph: Graph, node: fx.Node, number: int, value: int, sizes: Sizes) -> int:
    """An integer argument at `sizes`; one that a pass has scaled since (fewer channels in a flattened size) scales along."""
    corners = node.meta[SIZES].get(number)
    if corners is None:
        return value
    traced, wanted = (between(corners, graph.open_sizes, s) for s in (typical(graph.open_sizes), sizes))
    if traced is None or wanted is None or (value * wanted) % max(traced, 1):
        raise _refusal(node, f"one of its numbers, {value}, does not grow evenly", LARGER_STEP)
    return wanted if value == traced else value * wanted // traced


def _regrouped(node: fx.Node, before: Sequence[int]) -> list[int]:
    """The target of a reshape that lowering wrote: each run of dimensions keeps its elements together."""
    target: Any
    source, target = node.args
    now, result = shape_of(source), list(target)  # type: ignore[arg-type]
    if tuple(now) == tuple(before):
        return result
    for given, made in _runs(before, result):
        if [now[d] for d in given] == [before[d] for d in given]:
            continue
        elements = math.prod(now[d] for d in given)
        moving = [d for d in made if result[d] != 1]
        if len(moving) != 1:
            raise _refusal(node, f"{list(before)} to {result} does not say which dimension grows")
        result[moving[0]] = elements
    return result


def _runs(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Dimensions of both shapes in the shortest runs that hold the same elements."""
    runs, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        given, made = [i] if i < len(before) else [], [j] if j < len(after) else []
        i, j = i + 1, j + 1
        while (left := math.prod(before[d] for d in given)) != (right := math.prod(after[d] for d in made)):
            if left < right and i < len(before):
                given, i = [*given, i], i + 1
            elif j < len(after):
                made, j = [*made, j], j + 1
            else:
                return [(list(range(len(before))), list(range(len(after))))]
        runs.append((given, made))
    return runs


def _refusal(node: fx.Node, why: str, next_step: str = ONE_BY_ONE) -> ConversionError:
    shapes = [shape_of(n) for n in node.all_input_nodes if isinstance(n.meta.get("val"), torch.Tensor)]
    name = f"aten.{op_name(node)}"
    return ConversionError(
        f"{name} cannot be resized: {why}", op=name, shapes=shapes, module=module_path(node) or None, next_step=next_step
    )
