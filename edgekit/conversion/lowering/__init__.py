"""Expressing canonical operators a format lacks through ones it has, before quantization.

A rules file lists the rewrites its format wants, in order, by the names of `REWRITES`. One rewrite is one module here,
which says what it is given and what results. Forms are chosen so that every operator written has an integer kernel, with
few intermediates and with ranges an 8-bit grid holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.conversion.lowering import (
    affine,
    binary_softmax,
    circular_pad,
    crop_windows,
    elu,
    erf,
    fold_outputs,
    fold_width,
    glu,
    group_norm,
    grouped_convolution,
    gru,
    hardsigmoid,
    layer_norm,
    lstm,
    mish,
    neg,
    pixel_shuffle,
    pixel_unshuffle,
    rms_norm,
    scaled_dot_product_attention,
    silu,
    softplus,
    subsample,
    transposed_convolution,
)
from edgekit.conversion.lowering.rewrite import Rewrite
from edgekit.errors import UsageError
from edgekit.graph import Graph, finish, is_call
from edgekit.targets import Rules

REWRITES: Mapping[str, Rewrite] = {
    "affine": affine.REWRITE,
    "binary_softmax": binary_softmax.REWRITE,
    "circular_pad": circular_pad.REWRITE,
    "crop_windows": crop_windows.REWRITE,
    "elu": elu.REWRITE,
    "erf": erf.REWRITE,
    "fold_outputs": fold_outputs.REWRITE,
    "fold_width": fold_width.REWRITE,
    "glu": glu.REWRITE,
    "group_norm": group_norm.REWRITE,
    "grouped_convolution": grouped_convolution.REWRITE,
    "gru": gru.REWRITE,
    "hardsigmoid": hardsigmoid.REWRITE,
    "layer_norm": layer_norm.REWRITE,
    "lstm": lstm.REWRITE,
    "mish": mish.REWRITE,
    "neg": neg.REWRITE,
    "pixel_shuffle": pixel_shuffle.REWRITE,
    "pixel_unshuffle": pixel_unshuffle.REWRITE,
    "projected_lstm": lstm.PROJECTED,
    "rms_norm": rms_norm.REWRITE,
    "scaled_dot_product_attention": scaled_dot_product_attention.REWRITE,
    "silu": silu.REWRITE,
    "softplus": softplus.REWRITE,
    "subsample": subsample.REWRITE,
    "transposed_convolution": transposed_convolution.REWRITE,
}


ONE_SIZE = ("circular_pad", "crop_windows", "fold_outputs", "fold_width")
"""Rewrites that count on the sizes the graph has: left out of one whose sizes stay open."""


def lower(graph: Graph, rules: Rules, *, int8: bool = False) -> Graph:
    """Apply the rewrites `rules` names, in its order.

    Args:
        graph: In canonical form, not yet quantized.
        rules: Of the format the graph will be written in.
        int8: Whether activations will be rounded to 8 bits.

    Returns:
        A graph that computes the same, up to float rounding.

    Raises:
        UsageError: The rules name a rewrite that does not exist.
    """
    names = (*rules.lower, *(rules.lower_int8 if int8 else ()))
    unknown = [name for name in names if name not in REWRITES]
    if unknown:
        raise UsageError(f"the rules of {rules.name!r} name unknown lowerings: {', '.join(unknown)}", accepted=sorted(REWRITES))
    graph = graph.copy()
    for name in names:
        if graph.open_sizes and name in ONE_SIZE:
            continue
        _apply(graph, REWRITES[name])
    finish(graph.module)
    return graph


def _apply(graph: Graph, rewrite: Rewrite) -> None:
    for node in graph.nodes:
        if not is_call(node, *rewrite.targets) or not node.users:  # a rewrite may have taken this node along already
            continue
        replacement = rewrite.apply(node)
        if replacement is not None:
            node.replace_all_uses_with(replacement)
    graph.module.graph.eliminate_dead_code()
    for node in reversed(graph.nodes):
        if is_call(node, *rewrite.targets) and not node.users:  # dropout makes attention "impure": not dead code to FX
            graph.module.graph.erase_node(node)
