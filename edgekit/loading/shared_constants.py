"""Store equal weights once: a layer called twice prepares its kernel twice."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

from torch import Tensor, fx
from torch.export import ExportedProgram

from edgekit.loading.digest import content


def share_constants(program: ExportedProgram) -> None:
    """Make the users of every constant tensor use the first one of equal content; nothing that is written to takes part."""
    constants = program.graph_signature.inputs_to_lifted_tensor_constants
    first: dict[Hashable, fx.Node] = {}
    for node in program.graph.nodes:
        name = constants.get(node.name)
        value = program.constants.get(name) if name is not None else None
        if not isinstance(value, Tensor) or any(_writes(user) for user in node.users):
            continue
        key = (value.dtype, tuple(value.shape), hashlib.sha256(content(value)).digest())
        kept = first.setdefault(key, node)
        if kept is not node:
            node.replace_all_uses_with(kept)


def _writes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments)
