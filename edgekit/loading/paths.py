"""Every node knows the path of the user's own module or layer that made it."""

from __future__ import annotations

import re

from torch import fx
from torch.export import ExportedProgram

LAYER = "edgekit_layer"
"""Key of a node's ``custom`` annotation, where a loader puts the path itself."""


def put_paths(program: ExportedProgram) -> None:
    """Set ``meta["module_path"]`` on every node of the program; a weight gets its owner's, an input and the output the root's."""
    signature = program.graph_signature
    weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants = signature.inputs_to_lifted_tensor_constants
    for node in program.graph.nodes:
        if node.name in weights:
            node.meta["module_path"] = str(weights[node.name]).rpartition(".")[0]
        elif node.op == "placeholder" and node.name in constants:
            node.meta["module_path"] = path_of(next(iter(node.users), node))
        else:
            node.meta["module_path"] = path_of(node)


def path_of(node: fx.Node) -> str:
    """Path of the module that made a call node, from the loader's annotation or the tracer's module stack."""
    annotated = (node.meta.get("custom") or {}).get(LAYER)
    if annotated is not None:
        return str(annotated)
    stack = node.meta.get("nn_module_stack") or {}
    if not stack:
        return ""
    path, _ = list(stack.values())[-1]
    return re.sub(r"@\d+", "", str(path))  # a module called again is written ``relu@1``
