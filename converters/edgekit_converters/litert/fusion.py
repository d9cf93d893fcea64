"""What becomes of the nodes after an operator: an activation its kernel applies, a fake-quantize that is its result's grid."""

from __future__ import annotations

from typing import Any

import ai_edge_litert.schema_py_generated as schema
import torch
from torch import fx

from edgekit.graph import argument, aten, dtype_of, grid_of, is_call, shape_of
from edgekit.tensors import Grid
from edgekit_converters._integers import limits
from edgekit_converters.litert.emission import Emission, Outcome
from edgekit_converters.litert.registry import Emitter

ACTIVATION = schema.ActivationFunctionType
Bounds = tuple[float | None, float | None]
FUSED: dict[Bounds, int] = {(0.0, None): ACTIVATION.RELU, (0.0, 6.0): ACTIVATION.RELU6, (-1.0, 1.0): ACTIVATION.RELU_N1_TO_1}


def outcome(emission: Emission, node: fx.Node, emitter: Emitter) -> tuple[Outcome, fx.Node]:
    """What to write for `node`, and the last of the nodes that the operator then stands for."""
    if emitter.view:
        return Outcome(node, shape_of(node), "float32", "float32"), node
    if isinstance(node.meta["val"], (tuple, list)):
        compute = _operand_dtype(emission, node, emitter)
        return Outcome(node, tuple(node.meta["val"][0].shape), compute, compute), node
    name = dtype_name(dtype_of(node))
    if name != "float32":
        return Outcome(node, shape_of(node), name, _operand_dtype(emission, node, emitter)), node
    clamp, bounds = _clamp_after(node) if emitter.fuses else (None, None)
    last = clamp or node
    rounding = _only_user(last)
    grid = grid_of(rounding) if is_call(rounding, aten.fake_quantize_per_tensor_affine.default) else None
    if grid is not None and grid.dtype in emitter.integers and _on_grid(emission, node, grid.dtype):
        activation = _integer_activation(bounds, grid)
        if activation is not None:
            assert rounding is not None
            return Outcome(node, shape_of(node), grid.dtype, grid.dtype, grid, activation), rounding
        last, bounds, rounding = node, None, _only_user(node)  # a clamp no kernel fuses is an operator of its own, in float
    activation = ACTIVATION.NONE if bounds is None else FUSED.get(bounds, ACTIVATION.NONE)
    last = last if activation != ACTIVATION.NONE else node
    return Outcome(node, shape_of(node), "float32", "float32", None, activation), last


def clamp_bounds(node: fx.Node) -> Bounds:
    """The bounds that a relu or clamp node imposes."""
    if is_call(node, aten.relu.default):
        return 0.0, None
    low, high = argument(node, "min"), argument(node, "max")
    return (None if low is None else float(low)), (None if high is None else float(high))


def implied(bounds: Bounds, grid: Grid) -> bool:
    """Whether rounding to `grid` clamps to `bounds` anyway."""
    (low, high), (smallest, largest) = bounds, limits(grid.dtype)
    scale, zero = grid.scale[0], grid.zero_point[0]
    return (low is None or round(low / scale) + zero <= smallest) and (high is None or round(high / scale) + zero >= largest)


def dtype_name(dtype: torch.dtype) -> str:
    """``float32``; 64-bit integers are written as ``int32``."""
    name = str(dtype).removeprefix("torch.")
    return {"int64": "int32", "float64": "float32"}.get(name, name)


def _integer_activation(bounds: Bounds | None, grid: Grid) -> int | None:
    """The activation to fuse into an integer kernel, or None if no kernel fuses it."""
    if bounds is None or implied(bounds, grid):
        return int(ACTIVATION.NONE)
    if bounds in FUSED:
        return int(FUSED[bounds])
    partial = [kind for fused, kind in FUSED.items() if _same_on(grid, bounds, fused)]
    return int(partial[0]) if partial else None


def _same_on(grid: Grid, wanted: Bounds, fused: Bounds) -> bool:
    """Whether two clamps leave the same integers of `grid`."""
    return _ends(grid, wanted) == _ends(grid, fused)


def _ends(grid: Grid, bounds: Bounds) -> tuple[int, int]:
    (low, high), (smallest, largest) = bounds, limits(grid.dtype)
    scale, zero = grid.scale[0], grid.zero_point[0]
    first = smallest if low is None else max(smallest, round(low / scale) + zero)
    return first, largest if high is None else min(largest, round(high / scale) + zero)


def _clamp_after(node: fx.Node) -> tuple[fx.Node | None, Bounds | None]:
    user = _only_user(node)
    if user is not None and is_call(user, aten.relu.default, aten.clamp.default) and user.args[0] is node:
        return user, clamp_bounds(user)
    return None, None


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _float_operands(node: fx.Node) -> list[tuple[str, fx.Node]]:
    """Operands that stand for real numbers, with their argument names."""
    found = []
    schema_arguments = node.target._schema.arguments  # type: ignore[union-attr]
    for index, parameter in enumerate(schema_arguments):
        given: Any = node.args[index] if index < len(node.args) else node.kwargs.get(parameter.name)
        for item in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(item, fx.Node) and isinstance(item.meta.get("val"), torch.Tensor) and dtype_of(item).is_floating_point:
                found.append((parameter.name, item))
    return found


def _on_grid(emission: Emission, node: fx.Node, dtype: str) -> bool:
    """Whether every operand already is an integer that a `dtype` kernel reads (a bias is rounded when it is written)."""
    for name, operand in _float_operands(node):
        value = emission.value(operand)
        allowed = {dtype} if value.data is None else {dtype, "int8", "int4"}
        if name != "bias" and (value.grid is None or value.grid.dtype not in allowed):
            return False
    return True


def _operand_dtype(emission: Emission, node: fx.Node, emitter: Emitter) -> str:
    """What a kernel whose result has no grid of its own computes in: the integers of its operands, if it can."""
    found = {v.grid.dtype if v.grid else "float32" for _, n in _float_operands(node) if (v := emission.value(n))}
    if len(found) == 1 and (only := next(iter(found))) in emitter.integers:
        return only
    return "float32"
