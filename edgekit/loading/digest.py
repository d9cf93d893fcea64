"""A digest of weights and structure: the same for the same model in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram


def digest(program: ExportedProgram) -> str:
    """sha256, hex, over the graph's operators, arguments and shapes and the bytes of its weights, in graph order."""
    total = hashlib.sha256()
    numbers: dict[fx.Node, int] = {}
    tensors = dict(weights(program))
    for node in program.graph.nodes:
        numbers[node] = len(numbers)
        target = str(node.target) if node.op == "call_function" else ""
        parts = (node.op, target, *(_text(value, numbers) for value in (node.args, node.kwargs, node.meta.get("val"))))
        total.update(" ".join(parts).encode() + b"\n")
        if node.name in tensors and node.users:
            total.update(content(tensors[node.name]))
    return total.hexdigest()


def weights(program: ExportedProgram) -> Iterator[tuple[str, Tensor]]:
    """Placeholder name and value of every parameter, buffer and constant tensor."""
    signature = program.graph_signature
    stored = {**program.state_dict, **program.constants}
    for sources in (signature.inputs_to_parameters, signature.inputs_to_buffers, signature.inputs_to_lifted_tensor_constants):
        for node, name in sources.items():
            value = stored.get(name)
            if isinstance(value, Tensor):
                yield node, value


def content(tensor: Tensor) -> memoryview:
    """The bytes of a tensor, as a buffer."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _text(value: Any, numbers: dict[fx.Node, int]) -> str:
    if isinstance(value, fx.Node):
        return f"%{numbers[value]}"
    if isinstance(value, Tensor):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_text(v, numbers) for v in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_text(v, numbers)}" for k, v in value.items()) + "}"
    return str(value)
