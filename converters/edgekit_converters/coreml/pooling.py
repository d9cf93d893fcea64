"""Average and maximum pools, with their padding spelled out so that every version rounds sizes alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx

from edgekit.graph import argument, aten, is_call, shape_of
from edgekit_converters._windows import Window
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Value, Variable


@emits(aten.max_pool2d.default)
def max_pool(emission: Emission, node: fx.Node) -> Value:
    """``max_pool``, which never picks its own padding."""
    windows = _windows(node)
    if any(w.dilation != 1 for w in windows):
        raise emission.refusal("Core ML's pools have no dilation", accepted="dilation=1")
    pooled = emission.op("max_pool", Result(_batched(shape_of(node))), x=_image(emission, node), **_geometry(windows))
    return emission.reshaped(pooled, shape_of(node))


@emits(aten.avg_pool2d.default)
def avg_pool(emission: Emission, node: fx.Node) -> Value:
    """``avg_pool``; zeros that PyTorch counts are padded before, those it does not count are the operator's own padding."""
    windows, x, own = _windows(node), _image(emission, node), _pair(argument(node, "padding"))
    divisor = argument(node, "divisor_override")
    counted = any(own) and (bool(argument(node, "count_include_pad")) or bool(divisor))
    if counted:
        shape = [*x.shape[:2], *(s + 2 * p for s, p in zip(x.shape[2:], own, strict=True))]
        pads = [0, 0, 0, 0, own[0], own[0], own[1], own[1]]
        x = emission.op("pad", Result(shape), x=x, pad=pads, mode="constant", constant_val=emission.number(0.0))
        windows = [Window(w.size + 2 * p, w.kernel, w.stride, 1, 0, w.result) for w, p in zip(windows, own, strict=True)]
    result = Result(_batched(shape_of(node)))
    pooled = emission.op("avg_pool", result, x=x, exclude_padding_from_average=not divisor, **_geometry(windows))
    if divisor:
        factor = np.float32(windows[0].kernel * windows[1].kernel / divisor)
        pooled = emission.op("mul", result, x=pooled, y=emission.number(float(factor)))
    return emission.reshaped(pooled, shape_of(node))


def _windows(node: fx.Node) -> list[Window]:
    kernel = _pair(argument(node, "kernel_size"))
    stride, padding = _pair(argument(node, "stride") or kernel), _pair(argument(node, "padding"))
    dilation = _pair(argument(node, "dilation")) if is_call(node, aten.max_pool2d.default) else (1, 1)
    sizes = shape_of(node.args[0])[-2:]  # type: ignore[arg-type]
    rows = zip(sizes, kernel, stride, dilation, padding, shape_of(node)[-2:], strict=True)
    return [Window(*row) for row in rows]


def _geometry(windows: list[Window]) -> dict[str, Any]:
    return {
        "kernel_sizes": [w.kernel for w in windows],
        "strides": [w.stride for w in windows],
        "pad_type": "custom",
        "pad": [n for w in windows for n in (w.before, max(w.after, 0))],
    }


def _pair(numbers: Any) -> tuple[int, int]:
    numbers = [numbers] if isinstance(numbers, int) else list(numbers)
    return numbers[0], numbers[-1]


def _image(emission: Emission, node: fx.Node) -> Variable:
    """The operand with a batch dimension."""
    return emission.written(emission.reshaped(node.args[0], _batched(shape_of(node.args[0]))))  # type: ignore[arg-type]


def _batched(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) == 4 else (1, *shape)
