"""Layer normalization (Ba et al. 2016), in eight elementwise operators and reductions with integer kernels.

The scale and shift are written as two operators of their own, so that the `affine` rewrite can let the linears that
follow absorb them ("gamma migration", Wei et al. 2022, section 4.1), which also quantizes better.

Given:  layer_norm(x, shape, weight, bias, eps)
Result: add(mul(mul(d, rsqrt(add(mean(mul(d, d)), eps))), weight), bias);  d = sub(x, mean(x))
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, constant_value, shape_of


def _layer_norm(node: fx.Node) -> fx.Node:
    x, pen = argument(node, "input"), Pen(node)
    rank = len(shape_of(x))
    dims = list(range(rank - len(argument(node, "normalized_shape")), rank))
    return scale_and_shift(node, standardize(pen, x, dims, float(argument(node, "eps"))))


def standardize(pen: Pen, x: fx.Node, dims: list[int], eps: float) -> fx.Node:
    """`x` with mean 0 and variance 1 over `dims`."""
    centred = pen.sub(x, pen.mean(x, dims))
    variance = pen.mean(pen.mul(centred, centred), dims)
    return pen.mul(centred, pen(aten.rsqrt.default, pen.add(variance, eps)))


def scale_and_shift(node: fx.Node, x: fx.Node, shape: list[int] | None = None) -> fx.Node:
    """`x` times the norm's weight plus its bias, each where present, in `shape` where given."""
    pen = Pen(node)
    for name, operation in (("weight", pen.mul), ("bias", pen.add)):
        factor = argument(node, name) if name in _arguments(node) else None
        if factor is not None:
            x = operation(x, factor if shape is None else _shaped(pen, factor, shape, name))
    return x


def _arguments(node: fx.Node) -> set[str]:
    return {a.name for a in node.target._schema.arguments}  # type: ignore[union-attr]


def _shaped(pen: Pen, factor: fx.Node, shape: list[int], name: str) -> fx.Node:
    value = constant_value(factor)
    return pen.reshape(factor, shape) if value is None else pen.constant(value.reshape(shape), name)


REWRITE = Rewrite((aten.layer_norm.default,), _layer_norm)
