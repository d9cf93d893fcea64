"""A graph whose losses can be switched on and off, layer by layer.

A recipe's last steps round values and change constants, but leave the calls of the lowered graph as they are. So one walk over the final
graph can compute either: with everything switched off what the graph before those steps gives, with everything on what the final one
gives. After a switch was thrown, only what depends on it is computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from edgekit.canonicalize.vocabulary import SHAPE_AND_INDEX
from edgekit.compress.roundings import is_rounding, unrounded
from edgekit.graph import Graph, constant_value, is_call, module_path, op_name
from edgekit.verification.layers import ACTIVATIONS

WEIGHT, RESULT, BIAS = "weight", "result", "bias"
Values = Mapping[str, Any]
"""What each node gives, by the node's name."""


@dataclass(frozen=True)
class Layer:
    """A call, and what the recipe changes about it.

    Attributes:
        node: Name of the call.
        name: Path of the user's module that made it; of an input, the user's name for it; else ``(model)``.
        module: That path, empty for the model itself and for its inputs.
        op: Base name of its operator; ``input`` for an input of the model.
        result: Name of the node that readers of its result see.
        switches: Names of the nodes that lose something: `WEIGHT` or `RESULT` by name.
        corrections: Names of its bias, where the recipe moved that: it makes up for the mean of what is lost here.
        readers: Module paths of the calls that read its result, moved or not.
    """

    node: str
    name: str
    module: str
    op: str
    result: str
    switches: Mapping[str, str]
    corrections: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()


@dataclass
class _Found:
    """What is known of a layer while the graph is walked."""

    node: fx.Node
    result: fx.Node
    switches: dict[str, str] = field(default_factory=dict)
    corrections: list[str] = field(default_factory=list)


class Board:
    """The switches of a graph.

    Attributes:
        graph: The final graph, or a copy of it for another batch.
        layers: All calls that lose something, in execution order.
        scores: Names of the nodes that stand for the outputs: of an output behind a softmax or a sigmoid, what that reads.
    """

    def __init__(self, exact: Graph, final: Graph, decided_before: Collection[str] = ()) -> None:
        self.graph = final
        self._nodes = final.nodes
        self._inputs = [spec.name for spec in final.inputs]
        self._constants: dict[str, Tensor] = {}
        self._activations = {n.name for n in self._nodes if is_rounding(n) and unrounded(n).op != "get_attr"}
        self.layers = self._layers({n.name: n for n in exact.nodes})
        self.scores = tuple(_score(n, decided_before).name for n in self._nodes[-1].all_input_nodes)

    def values(self, inputs: Sequence[Tensor], on: Collection[str]) -> Values:
        """What every node gives.

        Args:
            inputs: Of the graph, in its order.
            on: Names of the switches and corrections that are on.
        """
        values: dict[str, Any] = {}
        given = iter(inputs)
        for node in self._nodes[:-1]:
            values[node.name] = next(given) if node.op == "placeholder" else self._value(node, values, on)
        return values

    def thrown(self, values: Values, names: Iterable[str], on: Collection[str]) -> Values:
        """`values` after the switches `names` were thrown; `on` are those that are on now."""
        changed, result = set(names), dict(values)
        for node in self._nodes[:-1]:
            if node.name in changed or any(n.name in changed for n in node.all_input_nodes):
                changed.add(node.name)
                result[node.name] = self._value(node, result, on)
        return result

    def rounding(self, name: str) -> fx.Node:
        """The node of a switch."""
        return next(n for n in self._nodes if n.name == name)

    def constant(self, name: str) -> Tensor:
        """What a switch of a constant gives when it is off."""
        return self._constants[name]

    def _value(self, node: fx.Node, values: Mapping[str, Any], on: Collection[str]) -> Any:
        if node.name not in on:
            if node.name in self._constants:
                return self._constants[node.name]
            if node.name in self._activations:
                return values[node.all_input_nodes[0].name]
        if node.op == "get_attr":
            return constant_value(node)
        args, kwargs = map_arg((node.args, node.kwargs), lambda n: values[n.name])
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def _layers(self, exact: Mapping[str, fx.Node]) -> tuple[Layer, ...]:
        found: dict[fx.Node, _Found] = {}
        for node in self._nodes:
            if node.name in self._activations:
                owner = _owner(node)
                layer = found.setdefault(owner, _Found(owner, node))
                layer.switches[node.name] = RESULT
                layer.result = node if layer.result is owner else layer.result
            elif is_call(node) and not is_rounding(node) and node.name in exact:
                self._enter_constants(node, exact[node.name], found)
        order = {node: i for i, node in enumerate(self._nodes)}
        inputs = dict(zip((n for n in self._nodes if n.op == "placeholder"), self._inputs, strict=True))
        return tuple(_layer(found[n], inputs.get(n) or module_path(n) or "(model)") for n in sorted(found, key=order.__getitem__))

    def _enter_constants(self, node: fx.Node, before: fx.Node, found: dict[fx.Node, _Found]) -> None:
        """Switches for the constants of a call that are not what they were."""
        for name, operand, old in _operands(node, before):
            value, known = constant_value(unrounded(operand)), constant_value(old)
            if value is None or (known is None and old is not None):
                continue
            known = torch.zeros_like(value) if known is None else known
            if known.shape != value.shape or (not is_rounding(operand) and torch.equal(known, value)):
                continue
            layer = found.setdefault(node, _Found(node, node))
            self._constants[operand.name] = known
            if name == BIAS:
                layer.corrections.append(operand.name)
            else:
                layer.switches[operand.name] = WEIGHT


def _operands(node: fx.Node, before: fx.Node) -> list[tuple[str, fx.Node, Any]]:
    """Each operand of a call with its name, and what it was before."""
    schema = getattr(node.target, "_schema", None)
    names = [a.name for a in schema.arguments] if schema is not None else []
    pairs = [(names[i] if i < len(names) else "", now, before.args[i] if i < len(before.args) else None) for i, now in enumerate(node.args)]
    return [(name, now, old) for name, now, old in pairs if isinstance(now, fx.Node)]


def _owner(rounding: fx.Node) -> fx.Node:
    """The call that loses something: what gives the rounded value, or the layer that computes this activation along.

    A hybrid kernel rounds what it reads by itself.
    """
    node: fx.Node = unrounded(rounding)
    if op_name(rounding) == "fake_quantize_dynamic":
        return next(iter(rounding.users))
    while is_call(node) and op_name(node) in ACTIVATIONS:
        before = node.args[0]
        if not isinstance(before, fx.Node) or not is_call(before) or is_rounding(before) or len(before.users) > 1:
            break
        node = before
    return node


def _layer(found: _Found, name: str) -> Layer:
    node = found.node
    op = "input" if node.op == "placeholder" else op_name(node)
    readers = dict.fromkeys(module_path(r) for r in _readers(found.result))
    return Layer(node.name, name, module_path(node), op, found.result.name, found.switches, tuple(found.corrections), tuple(readers))


def _readers(node: fx.Node) -> list[fx.Node]:
    """The calls that read a value: directly, rounded, or behind calls that only move it, which are among them."""
    found = []
    for user in node.users:
        found += [user] if is_call(user) and not is_rounding(user) else []
        found += _readers(user) if is_rounding(user) or is_call(user, *SHAPE_AND_INDEX) else []
    return found


def _score(node: fx.Node, decided_before: Collection[str]) -> fx.Node:
    value: fx.Node = unrounded(node)
    return value.all_input_nodes[0] if is_call(value) and op_name(value) in decided_before else node
