"""Convolutions: plain, grouped, transposed; of one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx

from edgekit.graph import argument, aten, is_call, shape_of
from edgekit_converters._windows import zero_padding
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Constant, Value, Variable


@dataclass(frozen=True)
class _Call:
    """A convolution's arguments; pads are per spatial dimension."""

    x: Variable
    weight: Constant
    bias: Value | None
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    groups: int
    result: tuple[int, ...]

    @property
    def flat_pads(self) -> list[int]:
        """As the builder takes them."""
        return [n for pair in self.pads for n in pair]


@emits(aten.convolution.default)
def convolution(emission: Emission, node: fx.Node) -> Value:
    """``conv`` or ``conv_transpose``."""
    call = _read(emission, node)
    return _transposed(emission, node, call) if argument(node, "transposed") else _convolved(emission, call)


def _read(emission: Emission, node: fx.Node) -> _Call:
    weight, bias = emission.value(node.args[1]), argument(node, "bias")
    if not isinstance(weight, Constant):
        raise emission.refusal("its weight is not a constant", next_step="fold the weight's computation, or write it as a matmul")
    spatial = len(weight.shape) - 2
    padding = _each(argument(node, "padding"), spatial)
    source, around = (node.args[0], [(0, 0)] * spatial) if argument(node, "transposed") else _before_padding(node, spatial)
    return _Call(
        x=emission.written(source),
        weight=weight,
        bias=None if bias is None else emission.value(bias),
        stride=_each(argument(node, "stride"), spatial),
        dilation=_each(argument(node, "dilation"), spatial),
        pads=tuple((b + p, a + p) for (b, a), p in zip(around, padding, strict=True)),
        groups=int(argument(node, "groups")),
        result=shape_of(node),
    )


def _each(numbers: Sequence[int], count: int) -> tuple[int, ...]:
    return tuple(numbers) * count if len(numbers) == 1 else tuple(numbers)


def _before_padding(node: fx.Node, spatial: int) -> tuple[Any, list[tuple[int, int]]]:
    """The operand before a pad node that only adds zeros around the image, and how many on each side."""
    operand: Any = node.args[0]
    amounts = zero_padding(operand) if is_call(operand, aten.pad.default) else None
    if amounts is None or any(b or a for b, a in amounts[:-spatial]):
        return operand, [(0, 0)] * spatial
    return operand.args[0], list(amounts[-spatial:])


def _convolved(emission: Emission, call: _Call) -> Variable:
    bias, constant = call.bias, call.bias is None or isinstance(call.bias, Constant)
    made = emission.op(
        "conv",
        Result(call.result),
        x=call.x,
        weight=call.weight,
        bias=bias if constant else None,
        strides=call.stride,
        pad_type="custom",
        pad=call.flat_pads,
        dilations=call.dilation,
        groups=call.groups,
    )
    return made if constant else _with_bias(emission, made, bias)


def _with_bias(emission: Emission, x: Variable, bias: Value | None) -> Variable:
    """The bias as an addition along the channels."""
    assert bias is not None
    shape = [1, bias.shape[0], *[1] * (len(x.shape) - 2)]
    return emission.op("add", Result(x.shape), x=x, y=emission.reshaped(bias, shape))


def _transposed(emission: Emission, node: fx.Node, call: _Call) -> Variable:
    """``conv_transpose``; where the output padding reaches past the last tap, the rest is the bias alone."""
    extra = _each(argument(node, "output_padding"), len(call.stride))
    pads = [(before, after - more) for (before, after), more in zip(call.pads, extra, strict=True)]
    beyond = [max(-after, 0) for _, after in pads]
    if not any(beyond) and (call.bias is None or isinstance(call.bias, Constant)):
        return _deconvolved(emission, call, pads, call.bias)
    made = _deconvolved(emission, call, [(before, max(after, 0)) for before, after in pads], None)
    if any(beyond):
        flat = [0] * 4 + [n for more in beyond for n in (0, more)]
        made = emission.op("pad", Result(call.result), x=made, pad=flat, mode="constant", constant_val=emission.number(0.0))
    return made if call.bias is None else _with_bias(emission, made, call.bias)


def _deconvolved(emission: Emission, call: _Call, pads: Sequence[tuple[int, int]], bias: Value | None) -> Variable:
    sides = zip(call.x.shape[2:], call.weight.shape[2:], call.stride, call.dilation, pads, strict=True)
    sizes = [(n - 1) * step + (taps - 1) * spread + 1 - before - after for n, taps, step, spread, (before, after) in sides]
    shape = (*call.result[:2], *sizes)
    return emission.op(
        "conv_transpose",
        Result(shape),
        x=call.x,
        weight=call.weight,
        bias=bias,
        strides=call.stride,
        pad_type="custom",
        pad=[n for pair in pads for n in pair],
        dilations=call.dilation,
        groups=call.groups,
        output_shape=list(shape),
    )
