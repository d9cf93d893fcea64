"""Root-mean-square normalization (Zhang and Sennrich 2019).

Given:  rms_norm(x, shape, weight, eps)
Result: mul(mul(x, rsqrt(add(mean(mul(x, x)), eps))), weight)
"""

from __future__ import annotations

import torch
from torch import fx

from edgekit.conversion.lowering.layer_norm import scale_and_shift
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten, dtype_of, shape_of


def _rms_norm(node: fx.Node) -> fx.Node:
    x, eps, pen = argument(node, "input"), argument(node, "eps"), Pen(node)
    rank = len(shape_of(x))
    dims = list(range(rank - len(argument(node, "normalized_shape")), rank))
    square = pen.add(pen.mean(pen.mul(x, x), dims), torch.finfo(dtype_of(x)).eps if eps is None else float(eps))
    return scale_and_shift(node, pen.mul(x, pen(aten.rsqrt.default, square)))


REWRITE = Rewrite((aten.rms_norm.default,), _rms_norm)
