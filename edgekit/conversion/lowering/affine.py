"""Scales and shifts by constants, one a channel: let a neighbouring weight take them, else one depthwise convolution.

What is left of a batch norm that no convolution could absorb, of a layer norm's weight and bias, of a layer scale or of
an input normalization. As two elementwise operators each would round a tensor to 8 bits twice, against constants that
share one scale; a 1x1 depthwise convolution has a scale for each channel, an int32 bias and room for an activation.

Given:  a chain of mul, div, add, sub by constants along one channel axis (or by numbers), on x
Result: the first that applies of
        * x, where scale and shift come to nothing
        * the convolution or linear that makes x, with scaled output rows and shifted bias
        * the rows of a linear that end up in x past slices and reshapes, where the chain is one number
        * the linears and convolutions that read the chain, all of them, with scaled input columns and shifted bias;
          permutes may stand between, and zero padding if there is no shift
        * convolution(x, scale (C, 1, 1, 1), shift, groups C) on an image
        * the chain as it is
"""

from __future__ import annotations

from torch import fx

from edgekit.conversion.lowering.absorb import absorbed_by_producer, absorbed_by_readers
from edgekit.conversion.lowering.chain import OPERATIONS, Chain, chain_from
from edgekit.conversion.lowering.images import is_image
from edgekit.conversion.lowering.query_scale import scaled_by_linear
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import aten, shape_of


def _affine(node: fx.Node) -> None:
    chain = chain_from(node)
    if chain is None:
        return
    nothing = bool((chain.scale == 1).all()) and bool((chain.shift == 0).all())
    absorbed = nothing or absorbed_by_producer(chain) or _absorbed_by_rows(chain) or absorbed_by_readers(chain)
    result = chain.x if absorbed else _depthwise(chain)
    if result is not None:
        chain.last.replace_all_uses_with(result)


def _absorbed_by_rows(chain: Chain) -> bool:
    """A number that scales some of a linear's features only, such as the queries of a fused projection."""
    number = chain.axis is None and not bool((chain.shift != 0).any())
    return number and scaled_by_linear(chain.first, chain.x, float(chain.scale[0]))


def _depthwise(chain: Chain) -> fx.Node | None:
    rank, pen = len(shape_of(chain.x)), Pen(chain.last)
    two = bool((chain.scale != 1).any()) and bool((chain.shift != 0).any())
    per_channel = chain.axis is not None and bool((chain.scale != chain.scale[0]).any())
    if not (two or per_channel) or rank not in (3, 4) or chain.axis == 0:
        return None
    if not (rank == 4 and chain.axis == 1) and not (is_image(chain.x) or is_image(chain.last)):
        return None
    axis, space = 1 if chain.axis is None else chain.axis, rank - 2
    order = [0, axis, *(d for d in range(1, rank) if d != axis)]
    channels = shape_of(chain.x)[axis]
    weight = pen.constant(chain.scale.expand(channels).reshape(channels, 1, *[1] * space), "scale")
    bias = pen.constant(chain.shift.expand(channels), "shift")
    one, zero = [1] * space, [0] * space
    image = pen.permute(chain.x, order)
    result = pen(aten.convolution.default, image, weight, bias, one, zero, one, False, zero, channels)
    return pen.permute(result, [order.index(d) for d in range(rank)])


REWRITE = Rewrite(OPERATIONS, _affine)
