"""Keeps grids within what integer arithmetic can compute.

A kernel multiplies its accumulator by ``input scale × weight scale / output scale``. Where the output's own range is so
small that this factor is large, interpreters overflow or refuse the file. There the output's step is far below the
rounding noise of the inputs, so a wider one loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, fx

from edgekit.compress.quantize.annotate import bias_operand, clamp_bounds, weight_operand
from edgekit.compress.quantize.grids import rescaled
from edgekit.compress.quantize.plan import Plan, Slot
from edgekit.compress.quantize.sharing import activation_bits
from edgekit.compress.quantize.warning import Remarks, named
from edgekit.graph import constant_value, op_name
from edgekit.targets import Rules
from edgekit.tensors import Grid

LARGEST_BIAS = 2**30
"""In integers; leaves the other half of int32 to the accumulated products."""

PRODUCTS = ("convolution", "linear", "matmul", "mul")
"""Kernels whose accumulator's step is the product of two scales."""

LARGEST_RATIO = {"add": 64, "sub": 64, "mean": 64, "sum": 64, "relu": 64, "leaky_relu": 64, "prelu": 64, "hardswish": 64}
"""Input scale over output scale that kernels take (XNNPACK: below 256 for add, 128 for the others)."""


EXPONENTIALS = ("softmax", "log_softmax", "sigmoid", "tanh")
FINEST_EXPONENT = 2.0**-25
"""Input scale below which reference kernels of `EXPONENTIALS` abort (they compute with scale * 2**26, which must exceed 1).

The 255 steps of such a grid span 8e-6, which no exponential tells apart."""


def widen(plan: Plan, grids: dict[Slot, Grid], scales: Mapping[fx.Node, Tensor], rules: Rules, remarks: Remarks) -> None:
    """Raise the scales of grids that are too fine for the kernels that write or read them.

    Args:
        plan: Complete.
        grids: The grid of every slot, edited in place; slots of one group stay together.
        scales: Weight scales by weighted node.
        rules: The target's.
        remarks: Takes a warning for each grid raised.
    """
    group_of = {slot: group for group in plan.groups for slot in group.slots}
    for _ in range(len(plan.groups) + 1):
        raised = False
        for node in plan.operands:
            for slot, floor in _floors(node, plan, grids, scales, rules):
                if group_of[slot].fixed is None and grids[slot].scale[0] < floor * 0.999:
                    remarks.warn(
                        f"{named(slot.value)} varies too little on the calibration data for integer arithmetic: "
                        f"its scale is raised from {grids[slot].scale[0]:.3g} to {floor:.3g}"
                    )
                    grids.update(dict.fromkeys(group_of[slot].slots, rescaled(grids[slot], floor)))
                    raised = True
        if not raised:
            return


def fit_bias(node: fx.Node, scales: Tensor, input_scale: float, rules: Rules, remarks: Remarks) -> Tensor:
    """Weight scales with which the node's bias, in steps of ``input scale × weight scale``, fits int32."""
    bias = constant_value(bias_operand(node, rules))
    if bias is None or rules.float_results:  # floats are added as they are
        return scales
    needed = bias.abs().double() / (input_scale * LARGEST_BIAS)
    wanting = needed > scales.double()
    if not bool(wanting.any()):
        return scales
    count = int(wanting.sum())
    channels = "1 channel" if count == 1 else f"{count} channels"
    remarks.warn(f"{named(node)}: the bias of {channels} does not fit int32 at the weight's scale, which is raised there")
    return torch.where(wanting, (needed * 1.0001).float(), scales)


def _floors(
    node: fx.Node, plan: Plan, grids: Mapping[Slot, Grid], scales: Mapping[fx.Node, Tensor], rules: Rules
) -> Iterator[tuple[Slot, float]]:
    """Slots the node's kernel writes and reads, and the finest scale it computes with."""
    name, operands = op_name(node), plan.operands[node]
    result = Slot(plan.fused.get(node, node), activation_bits(node, plan))
    if result in grids:
        inputs = [grids[slot].scale[0] for slot in operands.values()]
        yield result, max(_arithmetic_floor(node, inputs, scales, rules), _bounds_floor(result.value))
    if name in EXPONENTIALS:
        yield from ((slot, FINEST_EXPONENT) for slot in operands.values())


def _arithmetic_floor(node: fx.Node, inputs: list[float], scales: Mapping[fx.Node, Tensor], rules: Rules) -> float:
    name = op_name(node)
    if name in PRODUCTS and inputs:
        other = float(scales[node].max()) if weight_operand(node, rules) is not None else inputs[-1]
        return inputs[0] * other
    return max(inputs, default=0.0) / LARGEST_RATIO[name] if name in LARGEST_RATIO else 0.0


def _bounds_floor(value: fx.Node) -> float:
    """The scale at which an activation's bounds still fit int32."""
    if value.op != "call_function" or op_name(value) != "clamp":
        return 0.0
    return max(abs(b) for b in (*clamp_bounds(value), 0.0) if b is not None) / LARGEST_BIAS
