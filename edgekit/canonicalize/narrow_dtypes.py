"""Compute in float32 and int32.

Given: ids, positions and masks in int64, constants in float64, weights in half precision.
Result: inputs, constants and casts in int32 and float32. Positions that ``argmax`` and ``topk`` give, and sums of
    integers, are cast to int32 right away; ``gather`` alone reads int64 (PyTorch demands it), through a cast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_map

from edgekit.canonicalize.rewriting import calls
from edgekit.graph import aten, call, constant, constant_value, infer

NARROW = {torch.int64: torch.int32, torch.int16: torch.int32, torch.float64: torch.float32,
          torch.float16: torch.float32, torch.bfloat16: torch.float32}  # fmt: skip
"""Dtypes that are replaced, and by what."""


def narrow_dtypes(graph: fx.Graph) -> None:
    """Replace wide and half-wide dtypes everywhere."""
    if not any(_is_wide(n.meta.get("val")) for n in graph.nodes):
        return
    for node in list(graph.nodes):
        if node.op == "placeholder":
            node.meta["val"] = tree_map(_narrowed, node.meta["val"])
        elif (value := constant_value(node)) is not None and value.dtype in NARROW:
            _narrow_constant(node, value)
    _reinfer(graph)


def _is_wide(value: Any) -> bool:
    values = value if isinstance(value, tuple | list) else (value,)
    return any(isinstance(v, Tensor) and v.dtype in NARROW for v in values)


def _narrowed(value: Any) -> Any:
    return value.to(NARROW[value.dtype]) if isinstance(value, Tensor) and value.dtype in NARROW else value


def _narrow_constant(node: fx.Node, value: Tensor) -> None:
    target = NARROW[value.dtype]
    if not target.is_floating_point:
        limits = torch.iinfo(target)
        value = value.clamp(limits.min, limits.max)
    elif value.dtype is torch.float64:
        value = value.clamp(torch.finfo(target).min, torch.finfo(target).max).where(value.isfinite(), value)
    node.replace_all_uses_with(constant(node, value.to(target), str(node.target)))
    node.graph.erase_node(node)


def _reinfer(graph: fx.Graph) -> None:
    for node in calls(graph, {n.target for n in graph.nodes if n.op == "call_function"}):
        if node.target is aten._to_copy.default:
            wanted = node.kwargs["dtype"]
            node.kwargs = {"dtype": NARROW.get(wanted, wanted)}  # type: ignore[arg-type]
        if node.target is aten.gather.default:
            node.args = (*node.args[:2], call(node, aten._to_copy.default, node.args[2], dtype=torch.int64))
        node.meta["val"] = infer(node.target, node.args, node.kwargs)
        if node.target is aten._to_copy.default and node.meta["val"].dtype == node.args[0].meta["val"].dtype:  # type: ignore[union-attr]
            node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
            graph.erase_node(node)
        elif isinstance(node.meta["val"], Tensor) and node.meta["val"].dtype in NARROW:
            _cast_after(node)


def _cast_after(node: fx.Node) -> None:
    cast = call(node.next, aten._to_copy.default, node, dtype=NARROW[node.meta["val"].dtype], like=node)
    node.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast)
