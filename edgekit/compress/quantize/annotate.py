"""Which operators an integer kernel computes, and which activations those kernels absorb."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx

from edgekit.compress.overrides import for_module, matches
from edgekit.compress.quantize.plan import Plan
from edgekit.graph import Graph, argument, aten, constant_value, is_call, module_path, op_name
from edgekit.schemes import Scheme
from edgekit.targets import Rules

EXACT_CLAMPS = ((0.0, None), (0.0, 6.0), (-1.0, 1.0), (0.0, 1.0))
"""Bounds that formats have a fused activation for; any others must be what the grid saturates at."""

LAYOUT = (aten.reshape.default, aten.permute.default)
"""Calls that give the values they read in another order or shape."""

RECURRENT = (aten.lstm.input, aten.gru.input)
"""Calls that have several weights."""


def annotate(graph: Graph, rules: Rules, default: Scheme, overrides: Mapping[str, Scheme]) -> Plan:
    """Find the operators with an integer kernel under their scheme.

    Args:
        graph: Lowered.
        rules: The target's.
        default: Scheme of every module that no override names.
        overrides: Module path glob to scheme; the last match wins.
    """
    calls = [n for n in graph.nodes if is_call(n)]
    schemes = _schemes(calls, rules, default, overrides)
    integer, floats = set(), {}
    for node in calls:
        if not schemes[node].static or not _computes_floats(node):
            continue
        reason = _without_kernel(node, rules, schemes[node])
        if reason is None:
            integer.add(node)
        elif not rules.float_results or any(op_name(node) in width.kernels for width in rules.activations.values()):
            floats[node] = reason
    plan = Plan(schemes, integer, {}, floats=floats, float_results=rules.float_results)
    plan.fused.update(_fused_sums(calls, plan, rules) if plan.float_results else _fused(calls, plan, rules))
    return plan


def _schemes(calls: list[fx.Node], rules: Rules, default: Scheme, overrides: Mapping[str, Scheme]) -> dict[fx.Node, Scheme]:
    """Schemes by module path.

    An activation that a kernel applies has that kernel's, and what only lays out a result anew has that result's, unless an override
    names its own module.
    """
    schemes = {n: for_module(module_path(n), default, overrides) for n in calls}
    for node in calls:
        reader = next(iter(node.users)) if len(node.users) == 1 else None
        applied = reader is not None and op_name(reader) in rules.fuse.get(op_name(node), ()) and len(float_operands(reader)) == 1
        for follower in (n for n in node.users if is_call(n, *LAYOUT) or (applied and n is reader)):
            if not any(matches(module_path(follower), glob) for glob in overrides):
                schemes[follower] = schemes[node]
    return schemes


def float_operands(node: fx.Node) -> list[fx.Node]:
    """The distinct float tensors a call reads, in order."""
    return [n for n in node.all_input_nodes if is_float(n)]


def is_float(node: fx.Node) -> bool:
    """Whether a node's result is one float tensor."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def weight_operand(node: fx.Node, rules: Rules) -> fx.Node | None:
    """The constant a kernel reads as its weight (by output channel), else None."""
    if not is_call(node) or op_name(node) not in rules.weighted:
        return None
    weight = argument(node, "weight")
    return weight if constant_value(weight) is not None else None


def weight_operands(node: fx.Node, rules: Rules) -> list[fx.Node]:
    """The constants that hold a call's weights: the matrices of a recurrent layer; else `weight_operand`, if there is one."""
    if is_call(node, *RECURRENT):
        constants = [(p, constant_value(p)) for p in argument(node, "params")]
        return list(dict.fromkeys(p for p, value in constants if value is not None and value.dim() == 2))
    weight = weight_operand(node, rules)
    return [] if weight is None else [weight]


def bias_operand(node: fx.Node, rules: Rules) -> fx.Node | None:
    """The bias of a weighted operator, else None."""
    if weight_operand(node, rules) is None or op_name(node) == "embedding":
        return None
    bias = argument(node, "bias")
    return bias if isinstance(bias, fx.Node) else None


def clamp_bounds(node: fx.Node) -> tuple[float | None, float | None]:
    """Lower and upper bound of a relu or clamp."""
    if op_name(node) == "relu":
        return 0.0, None
    low, high = argument(node, "min"), argument(node, "max")
    return (None if low is None else float(low)), (None if high is None else float(high))


def _computes_floats(node: fx.Node) -> bool:
    return bool(float_operands(node)) and (is_float(node) or op_name(node) == "argmax" or is_call(node, *RECURRENT))


def _without_kernel(node: fx.Node, rules: Rules, scheme: Scheme) -> str | None:
    """Why no integer kernel computes the node, or None if one does."""
    bits = scheme.activation_bits
    assert bits is not None
    if bits not in rules.activations:
        return f"{rules.name} has no int{bits} kernels"
    if op_name(node) not in rules.activations[bits].kernels:
        return f"no int{bits} kernel"
    if op_name(node) == "convolution" and weight_operand(node, rules) is None:
        return "the kernel wants a constant weight"
    if op_name(node) == "convolution" and len(node.meta["val"].shape) > 4:
        return f"no int{bits} kernel in three dimensions"
    if op_name(node) in ("convolution", "linear"):
        bias = argument(node, "bias")
        if bias is not None and constant_value(bias) is None:
            return "the kernel wants a constant bias"
    return None


def _fused(calls: list[fx.Node], plan: Plan, rules: Rules) -> dict[fx.Node, fx.Node]:
    """Producers whose only reader is an activation that their kernel applies."""
    fused: dict[fx.Node, fx.Node] = {}
    for node in calls:
        reader = next(iter(node.users)) if len(node.users) == 1 else None
        if reader is None or not {node, reader} <= plan.integer or node in fused.values():
            continue
        if plan.schemes[node].activation_bits != plan.schemes[reader].activation_bits:
            continue
        if op_name(reader) in rules.fuse.get(op_name(node), ()) and _brackets_zero(reader):
            fused[node] = reader
    return fused


def _fused_sums(calls: list[fx.Node], plan: Plan, rules: Rules) -> dict[fx.Node, fx.Node]:
    """Kernels whose only reader adds another value to their result; the sums become integer kernels that read that value."""
    fused: dict[fx.Node, fx.Node] = {}
    for node in calls:
        terms = float_operands(node)
        alike = len(terms) == 2 and all(t.op != "get_attr" and t.meta["val"].shape == node.meta["val"].shape for t in terms)
        if not alike or not plan.schemes[node].static or not _rounded_behind(node, plan, rules):
            continue
        kernels = [
            t
            for t in terms
            if t in plan.integer
            and list(t.users) == [node]
            and op_name(node) in rules.fuse.get(op_name(t), ())
            and plan.schemes[t].activation_bits == plan.schemes[node].activation_bits
        ]
        if kernels:  # of two (a projected shortcut), the smaller one's result is the rounded term
            fused[max(kernels, key=lambda t: _weight_size(t, rules))] = node
            plan.integer.add(node)
    return fused


def _rounded_behind(node: fx.Node, plan: Plan, rules: Rules) -> bool:
    """Whether an integer kernel reads a node's result, directly or behind operators that a Q moves or is fused across."""
    through = frozenset().union(*rules.fuse.values(), *(width.shared for width in rules.activations.values()))
    return any(
        reader in plan.integer or (is_call(reader) and op_name(reader) in through and _rounded_behind(reader, plan, rules))
        for reader in node.users
    )


def _weight_size(node: fx.Node, rules: Rules) -> int:
    weight = constant_value(weight_operand(node, rules))
    return 0 if weight is None else weight.numel()


def _brackets_zero(activation: fx.Node) -> bool:
    low, high = clamp_bounds(activation)
    return (low is None or low <= 0) and (high is None or high >= 0)
