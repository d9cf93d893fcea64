"""Read a model whose sizes stay open: trace it at several, and learn from the differences.

Given: traces of one model at 16 and at 128 frames, whose reshapes say ``[1, 2048]`` and ``[1, 16384]``.
Result: the trace at the typical size, whose reshape has in its meta what it says at both ends (`edgekit.resizing`).

What cannot be resized so is an error that names it: a graph of other operators at another size, a constant that grows, a number
that is no multilinear function of the sizes. At sizes between and at 1 the resized graph is run beside a trace made there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from edgekit.canonicalize import canonicalize
from edgekit.canonicalize.batched import TOLERANCE, random_inputs
from edgekit.errors import LoadError
from edgekit.graph import Graph, aten, call, constant, constant_value, finish, is_call, module_path, op_name
from edgekit.loading import export, once
from edgekit.loading.dims import Dims, open_sizes
from edgekit.resizing import SIZES, numbers, resized
from edgekit.sizes import LARGER_STEP, ONE_BY_ONE, OpenSize, Sizes, between, corners, tried, typical

Trace = Callable[[Sizes], Graph]


def read(model: Any, example_inputs: Any = None, *, dims: Dims | None = None, **options: Any) -> Graph:
    """Trace a model into canonical form; arguments as of `edgekit.loading.export`.

    Raises:
        LoadError: It cannot be read or traced as given, or not at every size of a range.
    """
    model = once(model)
    exported = export(model, example_inputs, dims=dims, **options)
    graph, found = canonicalize(exported), open_sizes(exported.inputs, dims)
    if not found:
        return graph

    def traced(sizes: Sizes) -> Graph:
        try:
            return canonicalize(export(model, example_inputs, dims=_at(dims or {}, exported.inputs, found, sizes), **options))
        except LoadError as error:
            told = f"with {_told(found, sizes)}: {error.message}"
            raise LoadError(told, accepted=error.accepted, module=error.module, next_step=LARGER_STEP) from error

    return opened(_noted(graph, found), found, traced)


def opened(graph: Graph, found: tuple[OpenSize, ...], traced: Trace) -> Graph:
    """The graph, knowing how to be resized.

    Args:
        graph: Traced at the typical sizes.
        found: What stays open.
        traced: Traces the same model at other sizes.

    Raises:
        LoadError: The model cannot be resized; it names the operator and the module.
    """
    seen = {typical(found): graph}
    for sizes in [*corners(found), *tried(found)]:
        if sizes not in seen:
            seen[sizes] = traced(sizes)
    graph = replace(graph.copy(), open_sizes=found)
    _learn(graph, [seen[sizes] for sizes in corners(found)])
    finish(graph.module)
    for sizes in tried(found):
        prove(resized(graph, sizes), seen[sizes], found, sizes)
    return graph


def prove(graph: Graph, reference: Graph, found: Sequence[OpenSize], sizes: Sizes) -> None:
    """Run a resized graph beside another that is known to be right.

    Raises:
        LoadError: They answer differently.
    """
    inputs = random_inputs(reference, torch.Generator().manual_seed(0))
    got, wanted = graph(*inputs), reference(*inputs)
    for spec, a, b in zip(graph.outputs, got, wanted, strict=True):
        a, b = a.double(), b.double()  # noqa: PLW2901
        if a.shape != b.shape or not float((a - b).square().mean()) <= TOLERANCE**2 * max(float(b.square().mean()), 1e-12):
            differs = f"has shape {list(a.shape)} instead of {list(b.shape)}" if a.shape != b.shape else "has other values"
            raise LoadError(
                f"resized to {_told(found, sizes)}, output {spec.name!r} {differs} than the model has there",
                accepted="models that compute alike at every size of the range",
                next_step=LARGER_STEP,
            )


def _learn(graph: Graph, at_corners: Sequence[Graph]) -> None:
    """Write into the graph's nodes what depends on the sizes."""
    columns = [other.nodes for other in at_corners]
    nodes = graph.nodes
    partners: dict[fx.Node, int] = {n: i for column in (nodes, *columns) for i, n in enumerate(column)}
    for index, node in enumerate(nodes):
        others = [column[index] if index < len(column) else None for column in columns]
        for other in others:
            if other is None or (node.op, _named(node)) != (other.op, _named(other)) or _wiring(node, partners) != _wiring(other, partners):
                raise _refusal(node, f"the model has {_named(other) if other is not None else 'nothing'} in its place at another size")
        if is_call(node) and (found := _differing(graph, node, others)):
            node.meta[SIZES] = found
    for index, node in enumerate(nodes):
        if node.op == "get_attr":
            _learn_constant(node, [column[index] for column in columns])


def _differing(graph: Graph, node: fx.Node, others: Sequence[Any]) -> dict[int, tuple[int, ...]]:
    """The integer arguments that depend on the sizes, at the corners."""
    rows = [_integers(n) for n in (node, *others)]
    if len({len(row) for row in rows}) > 1:
        raise _refusal(node, "it has other arguments at another size")
    found = {number: values[1:] for number, values in enumerate(zip(*rows, strict=True)) if len(set(values)) > 1}
    for number, values in found.items():
        if between(values, graph.open_sizes, typical(graph.open_sizes)) != rows[0][number]:
            told = f"one of its numbers is {rows[0][number]} at the typical size and {', '.join(map(str, values))} at the ends"
            raise _refusal(node, f"{told}, which does not grow evenly", LARGER_STEP)
    return found


def _integers(node: fx.Node) -> list[int]:
    found: list[int] = []
    numbers(tuple(node.args), lambda number, value: found.append(value) or value)  # type: ignore[func-returns-value]
    return found


def _wiring(node: fx.Node, partners: Mapping[fx.Node, int]) -> Any:
    """Arguments with every node as its place and every integer left out."""
    return fx.node.map_aggregate(
        (node.args, node.kwargs), lambda a: partners[a] if isinstance(a, fx.Node) else None if type(a) is int else str(a)
    )


def _learn_constant(node: fx.Node, others: Sequence[Any]) -> None:
    """A constant that is the same at all sizes stays; one that is the head of a longer one (positions, masks) is cut from the longest."""
    values = [v for v in map(constant_value, (node, *others)) if v is not None]
    longest = values[-1]
    if all(v.shape == longest.shape and torch.equal(v, longest) for v in values):
        return
    heads = (v.dim() == longest.dim() and torch.equal(v, longest[tuple(map(slice, v.shape))]) for v in values)
    if len(values) <= len(others) or not all(heads):
        raise _refusal(next(iter(node.users), node), f"the constant {node.target!r} it reads depends on the size")
    reader = next(n for n in node.graph.nodes if node in n.all_input_nodes)
    cut = constant(reader, longest, f"{node.target}_longest", module_path(node))
    for dim, sizes in enumerate(zip(*(v.shape for v in values), strict=True)):
        if len(set(sizes)) > 1:
            cut = call(reader, aten.slice.Tensor, cut, dim, 0, sizes[0], 1)
            cut.meta[SIZES] = {2: sizes[1:]}
    node.replace_all_uses_with(cut)


def _named(node: fx.Node | None) -> str:
    return "nothing" if node is None else f"aten.{op_name(node)}" if is_call(node) else node.op


def _refusal(node: fx.Node, why: str, next_step: str = ONE_BY_ONE) -> LoadError:
    name = f"{_named(node)} " if is_call(node) else ""
    return LoadError(f"{name}cannot be resized: {why}", module=module_path(node) or None, next_step=next_step)


def _at(dims: Dims, inputs: Sequence[Any], found: Sequence[OpenSize], sizes: Sizes) -> dict[str, dict[int, Any]]:
    """What the user gave, with every open dimension traced at one size."""
    given: dict[str, dict[int, Any]] = {}
    for position, spec in enumerate(inputs):
        for key in (spec.name, position, str(position)):
            if key in dims:
                given[spec.name] = {int(axis) % len(spec.shape): size for axis, size in dims[key].items()}
                break
    for open_size, size in zip(found, sizes, strict=True):
        for name, axis in open_size.places:
            given[name][axis] = open_size.range.at(size)
    return given


def _noted(graph: Graph, found: Sequence[OpenSize]) -> Graph:
    """The graph with a note for each open size; the batch is not fixed where it is one of them."""
    batch = any(axis == 0 for o in found for _, axis in o.places)
    kept = tuple(n for n in graph.notes if not (batch and n.startswith("batch dimension fixed")))
    return replace(graph, notes=(*kept, *(f"{o} open: {o.range}, written at {o.range.typical}" for o in found)))


def _told(found: Sequence[OpenSize], sizes: Sizes) -> str:
    return ", ".join(f"{o} = {size}" for o, size in zip(found, sizes, strict=True))
