"""The calls of a quantized graph that round: which they are, what they do to a value, and the graph without them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx

from edgekit.graph import Graph, constant_value, finish, is_call, op_name

ROUNDINGS = (
    "fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine", "fake_quantize_per_block",
    "fake_quantize_dynamic", "fake_half",
)  # fmt: skip


def is_rounding(node: object) -> bool:
    """Whether a node rounds a value and does nothing else."""
    return is_call(node) and op_name(node) in ROUNDINGS  # type: ignore[arg-type]


def unrounded(node: Any) -> Any:
    """What a rounding reads, through any number of them; any other node itself."""
    while is_rounding(node):
        node = node.args[0]
    return node


def rounded(node: Any, exact: Tensor) -> Tensor:
    """What the rounding `node` makes of a value; the value itself if it is none."""
    if not is_rounding(node):
        return exact
    parameters = [constant_value(a) if isinstance(a, fx.Node) else a for a in node.args[1:]]
    return node.target(exact, *parameters)  # type: ignore[no-any-return]


def without_roundings(graph: Graph) -> Graph:
    """The graph without its roundings, so with float weights and activations."""
    result = graph.copy()
    for node in result.nodes:
        if is_rounding(node):
            node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    finish(result.module)
    return result
