"""Erase calls that return their input: casts to the same dtype, copies, dropout at inference, pixel shuffles by a factor of 1.

Given: ``y = dropout(x, 0.5, False)``, ``y = x.contiguous()``, ``y = x.to(float32)`` of a float32 ``x``.
Result: users of ``y`` use ``x``. A cast that changes the dtype becomes ``_to_copy(x, dtype=…)``.
"""

from __future__ import annotations

from torch import Tensor, fx

from edgekit.canonicalize.rewriting import calls, overloads, rename, source
from edgekit.graph import aten

_COPIES = overloads(
    "dropout alpha_dropout feature_dropout feature_alpha_dropout dropout_ contiguous clone alias detach detach_ lift_fresh_copy"
    " lift_fresh lift positive resolve_conj resolve_neg pixel_shuffle pixel_unshuffle"
)
_CASTS = overloads("to.dtype to.dtype_layout to.device to.other to.prim_other to.prim_dtype to.prim_Device _to_copy type_as")


def erase_noops(graph: fx.Graph) -> None:
    """Erase no-op casts and copies, and give the casts that remain one spelling."""
    for node in calls(graph, _COPIES | _CASTS):
        x = source(node)
        before, after = x.meta.get("val"), node.meta.get("val")
        if not isinstance(before, Tensor) or not isinstance(after, Tensor) or before.shape != after.shape:
            continue
        if before.dtype == after.dtype:
            node.replace_all_uses_with(x)
            graph.erase_node(node)
        else:
            rename(node, aten._to_copy.default, x, dtype=after.dtype)
