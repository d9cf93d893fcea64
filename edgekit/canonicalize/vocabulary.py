"""The canonical vocabulary as data: which calls may remain after canonicalization."""

from __future__ import annotations

import operator

from torch import fx

from edgekit.canonicalize.rewriting import overloads

LINEAR_ALGEBRA = overloads("convolution linear matmul scaled_dot_product_attention lstm.input gru.input")
NORMALIZATION = overloads("layer_norm group_norm rms_norm")
ACTIVATION = overloads(
    "relu clamp gelu silu sigmoid tanh hardswish hardsigmoid elu leaky_relu softplus mish prelu glu softmax.int log_softmax.int erf"
)
UNARY = overloads("neg abs exp log sqrt rsqrt sin cos floor round logical_not _to_copy")
BINARY = overloads(
    "add.Tensor sub.Tensor mul.Tensor div.Tensor pow.Tensor_Tensor minimum maximum"
    " gt.Tensor lt.Tensor ge.Tensor le.Tensor eq.Tensor ne.Tensor logical_and logical_or"
)
TERNARY = overloads("where.self")
REDUCTION = overloads("mean.dim sum.dim_IntList amax amin prod.dim_int")
ALONG_A_DIMENSION = overloads("cumsum argmax topk")
POOLING_AND_RESIZE = overloads("avg_pool2d max_pool2d upsample_nearest2d.vec upsample_bilinear2d.vec pixel_shuffle pixel_unshuffle pad")
SHAPE_AND_INDEX = overloads("reshape permute expand cat slice.Tensor flip repeat gather index_select embedding")

DECIDING = ("softmax", "log_softmax", "sigmoid")
"""Operators that turn scores into probabilities. Losses want the scores, where an error counts alike however sure a model is."""
LAYERS = overloads("convolution linear")
"""Calls that multiply by a weight of their own and add a bias."""

POINTWISE_ACTIVATION = ACTIVATION - overloads("prelu glu softmax.int log_softmax.int")
"""Activations that map each element by itself."""

POINTWISE = POINTWISE_ACTIVATION | UNARY | BINARY | TERNARY
"""Calls that map elements one by one, with broadcasting: they do not care how dimensions are ordered."""

VOCABULARY = (
    LINEAR_ALGEBRA | NORMALIZATION | ACTIVATION | UNARY | BINARY | TERNARY | REDUCTION | ALONG_A_DIMENSION
    | POOLING_AND_RESIZE | SHAPE_AND_INDEX | {operator.getitem}
)  # fmt: skip


def outside(graph: fx.Graph) -> list[fx.Node]:
    """The calls that canonicalization left outside the vocabulary; a converter refuses those it does not know."""
    return [n for n in graph.nodes if n.op == "call_function" and n.target not in VOCABULARY]
