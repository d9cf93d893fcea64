"""LSTM (Hochreiter and Schmidhuber 1997), unrolled over its static time axis.

The format's own LSTM operator is not used: its state lives on between two runs of the model.

Given:  lstm(x, (h, c), weights)
Result: gates = linear(x of all steps, W_ih, b_ih + b_hh), then for each step
        a = add(slice(gates), linear(h, W_hh)), c' = add(mul(σ(f), c), mul(σ(i), tanh(g))), h' = mul(σ(o), tanh(c'))

The gates are reordered from PyTorch's i, f, g, o to i, f, o, g, so that one sigmoid serves three of them. The recurrent
weights are one constant for all steps, and parts that meet a zero initial state are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx

from edgekit.conversion.lowering.recurrence import Cell, Layers, State, initial, projection, weights
from edgekit.conversion.lowering.rewrite import Pen, Rewrite
from edgekit.graph import argument, aten


def _lstm(node: fx.Node) -> None:
    cells = weights(node)
    hidden, memory = argument(node, "hx")
    states = [(initial(Pen(node), hidden, i), initial(Pen(node), memory, i)) for i in range(len(cells))]
    batch_first, bidirectional = bool(argument(node, "batch_first")), bool(argument(node, "bidirectional"))
    biased = bool(argument(node, "has_biases"))
    Layers(node, argument(node, "input"), [_cell(node, w, biased) for w in cells], states, bidirectional, batch_first).unroll()


def _projected(node: fx.Node) -> None:
    """Layers whose states are made narrower (Sak et al. 2014), which formats with an operator for all others lack."""
    if len(weights(node)[0]) in (3, 5):
        _lstm(node)


def _cell(node: fx.Node, tensors: list[Tensor], biased: bool) -> Cell:
    pen, size = Pen(node), tensors[0].shape[0] // 4
    weight, recurrent = _reordered(tensors[0]), _reordered(tensors[1])
    bias = _reordered(tensors[2] + tensors[3]) if biased else None
    recur = projection(pen, recurrent, None)
    shrink = projection(pen, tensors[-1], None) if len(tensors) in (3, 5) else None

    def step(gates: fx.Node, state: State) -> State:
        hidden, memory = state
        gates = gates if hidden is None else pen.add(gates, recur(hidden))
        opening = pen(aten.sigmoid.default, pen.slice(gates, 1, 0, 3 * size))
        candidate = pen(aten.tanh.default, pen.slice(gates, 1, 3 * size, 4 * size))
        taken = pen.mul(pen.slice(opening, 1, 0, size), candidate)
        kept = None if memory is None else pen.mul(pen.slice(opening, 1, size, 2 * size), memory)
        memory = taken if kept is None else pen.add(kept, taken)
        hidden = pen.mul(pen.slice(opening, 1, 2 * size, 3 * size), pen(aten.tanh.default, memory))
        return (hidden if shrink is None else shrink(hidden)), memory

    return Cell(projection(pen, weight, bias), step)


def _reordered(tensor: Tensor) -> Tensor:
    i, f, g, o = tensor.chunk(4)
    return torch.cat([i, f, o, g])


REWRITE = Rewrite((aten.lstm.input,), _lstm)
PROJECTED = Rewrite((aten.lstm.input,), _projected)
