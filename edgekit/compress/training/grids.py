"""Scales of integer grids that train: LSQ (Esser et al. 2020, "Learned step size quantization").

Given: fake-quantize nodes with constant scales.
Result: modules that round to the same grids, whose scales have the gradient of equation 3 there: the rounding error in the range,
the end of the grid beyond it. The scale is ``s · exp(p)`` with p from 0, so that a step of the optimizer changes it by a share.

Left as they are: zero points; scales that several channels of a table share; grids that a kernel fixes, or that do the work of a
clamp; those of the model's inputs. Values of one grid keep one grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, fx, nn

from edgekit.compress.quantize.annotate import EXACT_CLAMPS, clamp_bounds
from edgekit.constraints import Codebook
from edgekit.graph import Graph, aten, constant, constant_value, imposed, is_call, op_name
from edgekit.targets import Rules

PER_TENSOR = aten.fake_quantize_per_tensor_affine.default
PER_CHANNEL = aten.fake_quantize_per_channel_affine.default


class LearnedGrid(nn.Module):
    """A grid whose scale trains.

    Args:
        scale: One value, or one a channel.
        zero_point: As many.
        limits: Smallest and largest integer.
        axis: Of the channels, or None.
        elements: That share a scale, for the gradient's scale.
    """

    start: Tensor
    zero_point: Tensor

    def __init__(self, scale: Tensor, zero_point: Tensor, limits: tuple[int, int], axis: int | None, elements: int) -> None:
        super().__init__()
        self.limits, self.axis = limits, axis
        self.register_buffer("start", scale, persistent=False)
        self.register_buffer("zero_point", zero_point.float(), persistent=False)
        self.exponent = nn.Parameter(torch.zeros_like(scale))
        factor = 1 / math.sqrt(max(elements, 1) * limits[1])
        self.exponent.register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """Round to the grid; gradients go straight through rounding, not beyond the ends."""
        shape = [1] * x.dim()
        if self.axis is not None:
            shape[self.axis] = -1
        scale, zero = self._scale().reshape(shape), self.zero_point.reshape(shape)
        steps = x / scale
        integers = steps + (steps.round() - steps).detach() + zero
        return (integers.clamp(*self.limits) - zero) * scale

    def scale(self) -> Tensor:
        """The scales now, shape (channels,), or (1,)."""
        return self._scale().detach().cpu().flatten()

    def _scale(self) -> Tensor:
        return self.start * self.exponent.exp()


def learned_grids(module: fx.GraphModule, rules: Rules) -> dict[str, LearnedGrid]:
    """Replace grids whose scales may train by modules; returns them by the names of the nodes they replace."""
    found: dict[str, LearnedGrid] = {}
    shared: dict[tuple[object, ...], LearnedGrid] = {}
    for node in list(module.graph.nodes):
        key = _key(node, rules)
        if key is None:
            continue
        grid = shared.get(key) or shared.setdefault(key, _grid(node))
        found[node.name] = grid
        module.add_submodule(f"grid_{node.name}", grid)
        with module.graph.inserting_before(node):
            call = module.graph.call_module(f"grid_{node.name}", (node.args[0],))
        call.meta.update(node.meta)
        node.replace_all_uses_with(call)
        module.graph.erase_node(node)
    return found


def write_grids(graph: Graph, grids: Mapping[str, LearnedGrid]) -> None:
    """Give the nodes of a graph the scales that were learned."""
    for node in graph.nodes:
        if node.name not in grids:
            continue
        scale = grids[node.name].scale()
        node.update_arg(1, float(scale) if is_call(node, PER_TENSOR) else constant(node, scale, f"{node.name}_scale"))


def _key(node: fx.Node, rules: Rules) -> tuple[object, ...] | None:
    """What nodes of one grid have in common; None for a node whose scale does not train."""
    if is_call(node, PER_TENSOR):
        value = node.args[0]
        assert isinstance(value, fx.Node)
        return None if value.op != "call_function" or _is_fixed(value, rules) else node.args[1:]
    if is_call(node, PER_CHANNEL):
        weight, scale = node.args[:2]
        return None if imposed(weight, Codebook) is not None or constant_value(weight) is None else (scale.target, *node.args[3:])  # type: ignore[union-attr]
    return None


def _is_fixed(value: fx.Node, rules: Rules) -> bool:
    """Whether a kernel fixes the grid of a value, or the grid's own ends do the work of a clamp that no kernel does."""
    if any(op_name(value) in width.fixed for width in rules.activations.values()):
        return True
    return op_name(value) in ("clamp", "relu") and clamp_bounds(value) not in EXACT_CLAMPS


def _grid(node: fx.Node) -> LearnedGrid:
    if is_call(node, PER_TENSOR):
        _, scale, zero, low, high = node.args
        value = node.args[0].meta["val"]  # type: ignore[union-attr]
        return LearnedGrid(torch.tensor(scale), torch.tensor(zero), (low, high), None, value.numel() // max(value.shape[0], 1))  # type: ignore[arg-type]
    weight, scale, zero, axis, low, high = node.args
    scales, zeros, value = constant_value(scale), constant_value(zero), weight.meta["val"]  # type: ignore[union-attr]
    assert scales is not None and zeros is not None
    return LearnedGrid(scales.clone(), zeros, (low, high), axis, value.numel() // len(scales))  # type: ignore[arg-type]
