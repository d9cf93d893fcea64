"""Which values must have the same grid: union-find over the slots of the graph.

Kernels that move or compare raw integers (concat, pooling, reshape, pad, maximum, …) read and write one grid. A grid
that a kernel fixes (softmax, sigmoid) does not spread: where such a value runs into a group of others, the edge
gets a slot of its own, which takes a requantization only if the grids come out different.
"""

from __future__ import annotations

from torch import fx

from edgekit.compress.quantize.annotate import bias_operand, float_operands, is_float, weight_operand
from edgekit.compress.quantize.plan import Group, Plan, Slot
from edgekit.compress.union_find import UnionFind
from edgekit.graph import Graph, argument, op_name
from edgekit.targets import ActivationRules, Rules


def share(graph: Graph, plan: Plan, rules: Rules) -> None:
    """Fill in the plan's operands and groups.

    Data movement between float operators is left to float, so the plan's integer nodes may shrink.
    """
    while True:
        plan.operands, plan.groups = _grouped(graph, plan, rules)
        stranded = [n for g in plan.groups for n in _stranded(g, plan, rules)]
        if not stranded:
            return
        plan.integer.difference_update(stranded)


def activation_rules(node: fx.Node, plan: Plan, rules: Rules) -> ActivationRules:
    """The rules for the width an integer node computes at."""
    bits = plan.schemes[node].activation_bits
    assert bits is not None
    return rules.activations[bits]


def shares(node: fx.Node, plan: Plan, rules: Rules) -> bool:
    """Whether an integer node's float operands and result have one grid."""
    return op_name(node) in activation_rules(node, plan, rules).shared


def rounded_operands(node: fx.Node, rules: Rules) -> list[fx.Node]:
    """Float operands that are read through a grid of activations: all but weight and bias."""
    own = () if op_name(node) == "embedding" else (weight_operand(node, rules), bias_operand(node, rules))
    return [n for n in float_operands(node) if n not in own]


def _grouped(graph: Graph, plan: Plan, rules: Rules) -> tuple[dict[fx.Node, dict[fx.Node, Slot]], list[Group]]:
    sets, symmetric = UnionFind[Slot](), set[Slot]()
    operands: dict[fx.Node, dict[fx.Node, Slot]] = {}
    for node in graph.nodes:
        if node.op in ("placeholder", "output") and not plan.float_results:
            _edge_slots(node, plan, sets)
        if node not in plan.integer:
            continue
        bits = activation_bits(node, plan)
        read = [x for x in rounded_operands(node, rules) if plan.fused.get(x) is not node]
        operands[node] = {x: _slot(x, node, bits, plan, rules) for x in read}
        for slot in operands[node].values():
            sets.find(slot)
        symmetric.update(operands[node][x] for x in _symmetric_operands(node, plan, rules) if x in operands[node])
        if node in plan.fused or not is_float(node) or plan.float_results:
            continue
        result = Slot(node, bits)
        sets.find(result)
        if shares(node, plan, rules):
            for slot in operands[node].values():
                sets.join(slot, result)
    if plan.float_results:
        _pass_through(graph, plan, rules, operands, sets)
    return operands, [_group(slots, symmetric, plan, rules) for slots in sets.sets()]


def _pass_through(graph: Graph, plan: Plan, rules: Rules, operands: dict[fx.Node, dict[fx.Node, Slot]], sets: UnionFind[Slot]) -> None:
    """Where kernels give floats: what only moves or compares elements reads a rounded value, if one is at hand, on its result's grid."""
    for node in reversed(graph.nodes):
        if node not in plan.schemes or not plan.schemes[node].static or node in plan.integer or not is_float(node):
            continue
        result = Slot(node, activation_bits(node, plan))
        if result not in sets or op_name(node) not in rules.activations[result.bits].shared:
            continue
        read = {x: Slot(x, result.bits) for x in float_operands(node) if Slot(x, result.bits) in sets}
        for slot in read.values():
            sets.join(slot, result)
        operands[node] = read


def activation_bits(node: fx.Node, plan: Plan) -> int:
    """Width an integer node computes at."""
    bits = plan.schemes[node].activation_bits
    assert bits is not None
    return bits


def _slot(value: fx.Node, reader: fx.Node, bits: int, plan: Plan, rules: Rules) -> Slot:
    apart = value.op == "get_attr" or (value in plan.integer and op_name(value) in activation_rules(value, plan, rules).fixed)
    return Slot(value, bits, reader if apart and shares(reader, plan, rules) else None)


def _edge_slots(edge: fx.Node, plan: Plan, sets: UnionFind[Slot]) -> None:
    """What operators without a kernel read from or write to the model's edge gets a grid, so that the file's edge can be integer."""
    if edge.op == "placeholder":
        readers = [r for r in edge.users if r in plan.floats] if is_float(edge) else []
        found = [(edge, r) for r in readers[:1]]
    else:
        found = [(value, value) for value in edge.all_input_nodes if value in plan.floats and is_float(value)]
    for value, owner in found:
        sets.find(Slot(value, activation_bits(owner, plan)))


def _symmetric_operands(node: fx.Node, plan: Plan, rules: Rules) -> list[fx.Node]:
    positions = activation_rules(node, plan, rules).symmetric_operands.get(op_name(node), ())
    names = [a.name for a in node.target._schema.arguments]  # type: ignore[union-attr]
    found = [argument(node, names[p]) for p in positions]
    return [n for n in found if isinstance(n, fx.Node)]


def _group(slots: list[Slot], symmetric: set[Slot], plan: Plan, rules: Rules) -> Group:
    bits = slots[0].bits
    producers = [s.value for s in slots if s.reader is None and s.value in plan.integer]
    fixed = [rules.activations[bits].fixed.get(op_name(n)) for n in producers if activation_bits(n, plan) == bits]
    return Group(slots, bits, not symmetric.isdisjoint(slots), next((g for g in fixed if g is not None), None))


def _stranded(group: Group, plan: Plan, rules: Rules) -> list[fx.Node]:
    """The group's data movement, if no integer arithmetic and no edge of the model touches the group."""
    absorbed = set(plan.fused.values())
    movement = {s.value for s in group.slots if s.value in plan.integer - absorbed and shares(s.value, plan, rules)}
    if not movement:
        return []
    for slot in group.slots:
        value = slot.value
        if value.op == "placeholder" or (value in plan.integer and value not in movement):
            return []
        readers = [slot.reader] if slot.reader is not None else list(value.users)
        if any(r.op == "output" or (r in plan.integer and r not in movement) for r in readers):
            return []
    return list(movement)
