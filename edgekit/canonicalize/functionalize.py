"""Replace in-place calls by their functional twins, where nobody can see the difference.

Given: ``b = relu_(a)``; later calls read ``a`` or ``b``.
Result: ``b = relu(a)``; later calls read ``b``.

Exact unless another view of the same storage is read after the write, or the storage belongs to an input or
a weight. Such a call is left as it is and counted: the caller then lets PyTorch functionalize the whole
program (`functional_program`), which is exact but ten times slower.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from edgekit.canonicalize.rewriting import rename
from edgekit.errors import LoadError
from edgekit.graph import aten


def functionalize(graph: fx.Graph) -> list[fx.Node]:
    """Replace in-place calls; return those that are not safe to replace."""
    writers = [n for n in graph.nodes if _writes(n)]
    if not writers:
        return []
    order = {n: i for i, n in enumerate(graph.nodes)}
    storage, aliases = _storages(graph)
    unsafe = []
    for node in writers:
        base = node.args[0]
        twin = _twin(node)
        if twin is None or not isinstance(base, fx.Node) or _seen(node, base, order, storage, aliases):
            unsafe.append(node)
            continue
        rename(node, twin, *node.args, **node.kwargs)
        base.replace_all_uses_with(node, delete_user_cb=lambda user, node=node: order[user] > order[node])  # type: ignore[misc]
    return unsafe


def functional_program(program: ExportedProgram) -> ExportedProgram:
    """The program with every write made functional by PyTorch itself.

    Raises:
        LoadError: The model writes to its own inputs or buffers, so that one call changes the next.
    """
    result: ExportedProgram = program.run_decompositions({})
    kinds = {OutputKind.BUFFER_MUTATION: "buffer", OutputKind.USER_INPUT_MUTATION: "input"}
    for spec in result.graph_signature.output_specs:
        if spec.kind in kinds:
            raise LoadError(
                f"the model's forward writes to its own {kinds[spec.kind]} {spec.target!r}, so one call would change the next",
                accepted="a forward that leaves inputs and buffers as they are",
                next_step="call model.eval(), or pass the state as an input and return it as an output",
            )
    return result


def _writes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _twin(node: fx.Node) -> Any:
    """``aten.relu.default`` of ``aten.relu_.default``."""
    assert isinstance(node.target, torch._ops.OpOverload)
    name = node.target._schema.name.split("::")[1]
    packet = getattr(aten, name[:-1], None) if name.endswith("_") else None
    which = node.target._overloadname
    return getattr(packet, which) if packet is not None and which in packet.overloads() else None


def _storages(graph: fx.Graph) -> tuple[dict[fx.Node, fx.Node], dict[fx.Node, list[fx.Node]]]:
    """For each node the node that owns its storage, as far as the schemas tell, and the reverse."""
    storage: dict[fx.Node, fx.Node] = {}
    aliases: dict[fx.Node, list[fx.Node]] = defaultdict(list)
    for node in graph.nodes:
        source = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        storage[node] = storage[source] if source is not None and _may_alias(node) else node
        aliases[storage[node]].append(node)
    return storage, aliases


def _may_alias(node: fx.Node) -> bool:
    if node.target is operator.getitem:
        return True
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    schema = node.target._schema
    functional = schema.name in _FRESH
    return not functional and (any(a.alias_info is not None for a in schema.arguments) or _is_composite(node.target))


_FRESH = {"aten::clone", "aten::_to_copy", "aten::lift_fresh_copy"}


def _is_composite(target: torch._ops.OpOverload) -> bool:
    """Calls such as ``reshape``, ``to`` or ``contiguous`` return their input or a copy, and the schema may not say which."""
    return target._schema.name.split("::")[1] in _MAYBE_VIEWS


_MAYBE_VIEWS = frozenset(
    [
        "reshape",
        "reshape_as",
        "flatten",
        "unflatten",
        "to",
        "type_as",
        "contiguous",
        "dropout",
        "alpha_dropout",
        "feature_dropout",
        "ravel",
        "squeeze",
        "unsqueeze",
        "chunk",
        "split",
        "tensor_split",
        "narrow",
        "swapaxes",
        "swapdims",
        "movedim",
        "moveaxis",
        "expand_as",
        "view_as",
        "broadcast_to",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "adjoint",
        "numpy_T",
        "mT",
        "mH",
        "resolve_conj",
        "resolve_neg",
        "positive",
        "pad",
        "unsafe_chunk",
        "rrelu",
        "meshgrid",
        "broadcast_tensors",
    ]
)


def _seen(
    node: fx.Node,
    base: fx.Node,
    order: dict[fx.Node, int],
    storage: dict[fx.Node, fx.Node],
    aliases: dict[fx.Node, list[fx.Node]],
) -> bool:
    """Whether someone else reads the written storage later, or owns it."""
    if storage[base].op != "call_function":
        return True
    now = order[node]
    others = (m for m in aliases[storage[node]] if m is not node and m is not base and order[m] < now)
    return any(order[user] > now for m in others for user in m.users)
