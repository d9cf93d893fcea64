"""Weights of operators whose activations stay float: weight-only, dynamic-range and half-precision schemes."""

from __future__ import annotations

import torch
from torch import fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.compress.quantize.annotate import weight_operands
from edgekit.compress.quantize.insert import per_block, per_channel
from edgekit.compress.quantize.warning import Remarks, named
from edgekit.compress.quantize.weights import LIMIT, block_scales, channel_axis, channel_scales, checked_weight, table_scales, transposed
from edgekit.graph import call, is_call, op_name
from edgekit.schemes import Scheme
from edgekit.targets import Rules

LARGEST_HALF = 65504.0


def compress_weights(schemes: dict[fx.Node, Scheme], integer: set[fx.Node], rules: Rules, remarks: Remarks) -> None:
    """Compress the weight of every weighted operator that no integer kernel computes, as its scheme says.

    Args:
        schemes: Scheme of every call node.
        integer: Nodes that are left alone.
        rules: The target's.
        remarks: Takes a note for each weight that the scheme cannot hold.
    """
    done: dict[tuple[fx.Node, Scheme], fx.Node] = {}
    rounded: dict[fx.Node, fx.Node] = {}
    for node, scheme in schemes.items():
        if node in integer or not _compresses(node, scheme, rules):
            continue
        for weight in weight_operands(node, rules):
            if (weight, scheme) not in done:
                done[weight, scheme] = _compressed(node, weight, scheme, rules, remarks)
            node.replace_input_with(weight, done[weight, scheme])
        if scheme.dynamic and hybrid(node, rules):
            x = node.args[0]
            assert isinstance(x, fx.Node)
            if x not in rounded:
                rounded[x] = call(x.next, torch.ops.edgekit.fake_quantize_dynamic.default, x, like=x)
            node.replace_input_with(x, rounded[x])


def _compresses(node: fx.Node, scheme: Scheme, rules: Rules) -> bool:
    """Whether a scheme stores the weights of an operator in fewer bits and computes in floats.

    A static scheme does where no integer kernel of the format ever computes such an operator: the file is smaller all the same.
    """
    if scheme.weight_bits == 32 or not is_call(node) or op_name(node) not in rules.weight_only:
        return False
    return not scheme.static or not any(op_name(node) in width.kernels for width in rules.activations.values())


def hybrid(node: fx.Node, rules: Rules) -> bool:
    """Whether a kernel computes the node with integer weights and activations rounded at run time."""
    return op_name(node) in rules.dynamic and len(node.meta["val"].shape) <= 4


def weight_bits(node: fx.Node, scheme: Scheme, rules: Rules, remarks: Remarks) -> int:
    """Width of a node's weight: its scheme's, or 8 where no kernel has weights so narrow."""
    bits = scheme.weight_bits
    if bits >= 8 or (bits in rules.narrow and op_name(node) in rules.int4 and not transposed(node)):
        return bits
    remarks.note(f"int8 instead of int{bits} weights: {op_name(node)} in {named(node)} has no {bits}-bit kernel")
    return 8


def _compressed(node: fx.Node, weight: fx.Node, scheme: Scheme, rules: Rules, remarks: Remarks) -> fx.Node:
    value = checked_weight(node, weight)
    if scheme.weight_bits == 16:
        if float(value.abs().max()) > LARGEST_HALF:
            remarks.warn(f"{named(node)}: its weight exceeds the range of float16 and stays float32")
            return weight
        return call(weight.next, torch.ops.edgekit.fake_half.default, weight, like=weight)
    if scheme.block is not None:
        narrow = scheme.weight_bits in (*rules.narrow, 8)
        if narrow and op_name(node) in rules.blockwise and not transposed(node) and value.shape[1] % scheme.block == 0:
            scales = block_scales(value, scheme.block, scheme.weight_bits)
            return per_block(weight, scales, scheme.block, LIMIT[scheme.weight_bits])
        missing = f"{op_name(node)} in {named(node)} has no kernel for blocks of {scheme.block}"
        remarks.note(f"int8 instead of blockwise int{scheme.weight_bits} weights: {missing}")
        scheme = Scheme(scheme.name, 8)
    bits, axis = weight_bits(node, scheme, rules, remarks), channel_axis(node, rules)
    return per_channel(weight, table_scales(weight, channel_scales(value, axis, bits), axis), axis, LIMIT[bits])
