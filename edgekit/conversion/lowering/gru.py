"""Gated recurrent unit (Cho et al. 2014, in PyTorch's and cuDNN's form), unrolled over its static time axis.

Given:  gru(x, h, weights)
Result: gates = linear(x of all steps, W_ih, b_ih + (b_hr, b_hz, 0)), then for each step with u = linear(h, W_hh, (0, 0, b_hn))
        r, z = σ(add(slice(gates), slice(u))), n = tanh(add(slice(gates), mul(r, slice(u)))), h' = add(n, mul(z, sub(h, n)))

The recurrent weights are one constant for all steps, and parts that meet a zero initial state are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from edgekit.conversion.lowering.recurrence import Cell, Layers, State, initial, projection, weights
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten


def _gru(node: fx.Node) -> None:
    cells = weights(node)
    states = [(initial(Pen(node), argument(node, "hx"), i),) for i in range(len(cells))]
    batch_first, bidirectional = bool(argument(node, "batch_first")), bool(argument(node, "bidirectional"))
    Layers(node, argument(node, "input"), [_cell(node, w) for w in cells], states, bidirectional, batch_first).unroll()


def _cell(node: fx.Node, tensors: list[Tensor]) -> Cell:
    pen, size = Pen(node), tensors[0].shape[0] // 3
    bias, inner = _biases(tensors, size)
    recur = projection(pen, tensors[1], None if inner is None else torch.cat([torch.zeros(2 * size), inner]))
    rest = None if inner is None else pen.constant(inner, "rest")

    def step(gates: fx.Node, state: State) -> State:
        (hidden,) = state
        opening, candidate = pen.slice(gates, 1, 0, 2 * size), pen.slice(gates, 1, 2 * size, 3 * size)
        inward = rest
        if hidden is not None:
            recurrent = recur(hidden)
            opening = pen.add(opening, pen.slice(recurrent, 1, 0, 2 * size))
            inward = pen.slice(recurrent, 1, 2 * size, 3 * size)
        opening = pen(aten.sigmoid.default, opening)
        reset, update = pen.slice(opening, 1, 0, size), pen.slice(opening, 1, size, 2 * size)
        candidate = candidate if inward is None else pen.add(candidate, pen.mul(reset, inward))
        new = pen(aten.tanh.default, candidate)
        if hidden is None:
            return (pen.sub(new, pen.mul(update, new)),)
        return (pen.add(new, pen.mul(update, pen.sub(hidden, new))),)

    return Cell(projection(pen, tensors[0], bias), step)


def _biases(tensors: list[Tensor], size: int) -> tuple[Tensor | None, Tensor | None]:
    """The bias of the input projection, and the one that stays inside the reset gate; None for zeros."""
    if len(tensors) < 4:
        return None, None
    outer = tensors[2].clone()
    outer[: 2 * size] += tensors[3][: 2 * size]
    inner = tensors[3][2 * size :]
    return outer, inner if bool(inner.any()) else None


REWRITE = Rewrite((aten.gru.input,), _gru)
