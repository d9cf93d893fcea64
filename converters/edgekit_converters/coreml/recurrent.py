"""LSTM (iOS 17) and GRU (iOS 18), one operator a layer (a GRU of two directions takes two), weights in whatever form they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import fx

from edgekit.constraints import Codebook, Constraint, Mask
from edgekit.graph import argument, aten
from edgekit_converters.coreml.emission import Emission, Result
from edgekit_converters.coreml.registry import emits
from edgekit_converters.coreml.values import Constant, Value, Variable

_GATES = {"lstm": (0, 1, 3, 2), "gru": (0, 2, 1)}
"""Core ML's order of the gates (input, forget, output, cell; reset, output, update) in terms of PyTorch's (i f g o; r z n)."""


@dataclass(frozen=True)
class _Call:
    """A stack of recurrent layers, as ATen's calls describe it.

    Attributes:
        kind: ``lstm`` or ``gru``.
        params: Weights and biases: for each layer its forward direction, then its backward one.
        each: How many of them a direction has.
        layers: Number of layers.
        directions: 1 or 2.
        hidden: Features of a state.
        batch: Sequences handled at once.
    """

    kind: str
    params: Sequence[Any]
    each: int
    layers: int
    directions: int
    hidden: int
    batch: int

    def weights(self, emission: Emission, layer: int, direction: int) -> list[Constant]:
        """Of one direction of a layer: both matrices, then both biases if there are any; rows in Core ML's order."""
        first = (layer * self.directions + direction) * self.each
        values = [emission.value(p) for p in self.params[first : first + self.each]]
        constants = [v for v in values if isinstance(v, Constant)]
        if len(constants) < len(values):
            raise emission.refusal("its weights are not constants", next_step="fold the weights' computation")
        return [_reordered(c, self.rows) for c in constants]

    @property
    def rows(self) -> np.ndarray:
        """Which of PyTorch's rows each of Core ML's is."""
        return np.concatenate([np.arange(gate * self.hidden, (gate + 1) * self.hidden) for gate in _GATES[self.kind]])


@emits(aten.lstm.input)
def lstm(emission: Emission, node: fx.Node) -> Value:
    """``lstm``, of both directions at once."""
    return _stack(emission, node, "lstm", list(argument(node, "hx")))


@emits(aten.gru.input)
def gru(emission: Emission, node: fx.Node) -> Value:
    """``gru``, with the reset gate behind the product; the backward direction reads a reversed sequence."""
    return _stack(emission, node, "gru", [argument(node, "hx")])


def _stack(emission: Emission, node: fx.Node, kind: str, initial: Sequence[Any]) -> Value:
    emission.platform.need(kind, module=emission.module)
    first, params = bool(argument(node, "batch_first")), argument(node, "params")
    call = _Call(
        kind,
        params,
        4 if argument(node, "has_biases") else 2,
        int(argument(node, "num_layers")),
        2 if argument(node, "bidirectional") else 1,
        emission.value(params[1]).shape[1],
        emission.value(initial[0]).shape[1],
    )
    sequence, write = _steps_first(emission, node.args[0], first), _lstm if kind == "lstm" else _gru
    ends: list[list[Variable]] = [[] for _ in initial]
    for layer in range(call.layers):
        starts = [_start(emission, call, state, layer) for state in initial]
        sequence, *last = write(emission, call, layer, sequence, starts)
        for kept, state in zip(ends, last, strict=True):
            kept.append(state)
    results = [_steps_first(emission, sequence, first), *(_states(emission, call, states) for states in ends)]
    emission.results[node] = tuple(results)
    return results[0]


def _steps_first(emission: Emission, operand: Any, swap: bool) -> Variable:
    """(batch, steps, features) as (steps, batch, features), or back; itself if there is nothing to swap."""
    x = emission.written(emission.floats(operand))
    batch, steps, features = x.shape
    return emission.op("transpose", Result((steps, batch, features), emission.compute), x=x, perm=[1, 0, 2]) if swap else x


def _lstm(emission: Emission, call: _Call, layer: int, x: Variable, starts: Sequence[Value]) -> tuple[Variable, ...]:
    width = call.directions * call.hidden
    given: dict[str, Any] = {}
    for direction, suffix in zip(range(call.directions), ("", "_back"), strict=False):
        kernel, recurrent, *biases = call.weights(emission, layer, direction)
        given |= {f"weight_ih{suffix}": kernel, f"weight_hh{suffix}": recurrent}
        if biases:
            given[f"bias{suffix}"] = replace(biases[0], data=biases[0].data + biases[1].data)
    state = ((call.batch, width), emission.compute)
    return emission.ops(
        "lstm",
        [((x.shape[0], call.batch, width), emission.compute), state, state],
        x=x,
        initial_h=starts[0],
        initial_c=starts[1],
        direction="bidirectional" if call.directions == 2 else "forward",
        output_sequence=True,
        **given,
    )


def _gru(emission: Emission, call: _Call, layer: int, x: Variable, starts: Sequence[Value]) -> tuple[Variable, ...]:
    shape, state = (x.shape[0], call.batch, call.hidden), (call.batch, call.hidden)
    sequences, ends = [], []
    for direction in range(call.directions):
        kernel, recurrent, *biases = call.weights(emission, layer, direction)
        source = _reversed(emission, x) if direction else x
        start = _columns(emission, starts[0], direction * call.hidden, call.hidden)
        sequence, end = emission.ops(
            "gru",
            [(shape, emission.compute), (state, emission.compute)],
            x=source,
            initial_h=start,
            weight_ih=kernel,
            weight_hh=recurrent,
            input_bias=biases[0] if biases else None,
            bias=biases[1] if biases else None,
            reset_after=True,
            output_sequence=True,
        )
        sequences.append(_reversed(emission, sequence) if direction else sequence)
        ends.append(end)
    if call.directions == 1:
        return sequences[0], ends[0]
    whole = emission.op("concat", Result((*shape[:2], 2 * call.hidden), emission.compute), values=sequences, axis=2)
    return whole, emission.op("concat", Result((call.batch, 2 * call.hidden), emission.compute), values=ends, axis=1)


def _reversed(emission: Emission, x: Variable) -> Variable:
    return emission.op("reverse", Result(x.shape, emission.compute), x=x, axes=[0])


def _columns(emission: Emission, x: Value, start: int, count: int) -> Value:
    """Some columns of a matrix; a constant's at once."""
    if x.shape[1] == count:
        return x
    if isinstance(x, Constant):
        return Constant(x.data[:, start : start + count], x.label, x.module)
    end = [x.shape[0], start + count]
    return emission.op("slice_by_index", Result((x.shape[0], count), emission.compute), x=x, begin=[0, start], end=end)


def _start(emission: Emission, call: _Call, state: Any, layer: int) -> Value:
    """A layer's initial state, (batch, directions x features), of (layers x directions, batch, features)."""
    value, first = emission.floats(state), layer * call.directions
    shape = (call.batch, call.directions * call.hidden)
    if isinstance(value, Constant):
        rows = value.data[first : first + call.directions]
        return Constant(np.ascontiguousarray(rows.swapaxes(0, 1)).reshape(shape), value.label, value.module)
    part_shape = (call.directions, *value.shape[1:])
    begin, end = [first, 0, 0], [first + call.directions, *value.shape[1:]]
    part = emission.op("slice_by_index", Result(part_shape, emission.compute), x=value, begin=begin, end=end)
    if call.directions == 2:
        part = emission.op("transpose", Result((call.batch, 2, call.hidden), emission.compute), x=part, perm=[1, 0, 2])
    return emission.reshaped(part, shape)


def _states(emission: Emission, call: _Call, ends: Sequence[Variable]) -> Variable:
    """The last states of all layers, (layers x directions, batch, features)."""
    count, shape = call.directions, (call.directions, call.batch, call.hidden)
    apart = [emission.reshaped(end, (call.batch, count, call.hidden)) for end in ends]
    parts = [emission.op("transpose", Result(shape, emission.compute), x=x, perm=[1, 0, 2]) for x in apart]
    whole = Result((len(parts) * count, *shape[1:]), emission.compute)
    return parts[0] if len(parts) == 1 else emission.op("concat", whole, values=parts, axis=0)


# ---- gates in another order


def _reordered(constant: Constant, rows: np.ndarray) -> Constant:
    """A constant with its rows in another order, and all that is known of them."""
    grid, scales = constant.grid, constant.scales
    if grid is not None and grid.axis is not None:
        grid = replace(grid, scale=tuple(np.array(grid.scale)[rows].tolist()), zero_point=tuple(np.array(grid.zero_point)[rows].tolist()))
    return replace(
        constant,
        data=np.ascontiguousarray(constant.data[rows]),
        grid=grid,
        scales=None if scales is None else scales[rows],
        constraints=tuple(_moved(c, rows) for c in constant.constraints),
    )


def _moved(constraint: Constraint, rows: np.ndarray) -> Constraint:
    """What was imposed on the rows, on the same rows elsewhere; tables of groups that are torn apart, once for each row."""
    order = torch.from_numpy(rows)
    if isinstance(constraint, Mask):
        return replace(constraint, kept=constraint.kept[order])
    if not isinstance(constraint, Codebook) or constraint.groups == 1:
        return constraint
    of_rows = torch.arange(len(rows)) // (len(rows) // constraint.groups)
    tables = constraint.tables[of_rows[order]]
    size = _together(of_rows[order])
    return replace(constraint, tables=tables[::size].contiguous())


def _together(groups: torch.Tensor) -> int:
    """The largest number of successive rows, all along, that are of one group."""
    count = len(groups)
    return max(d for d in range(1, count + 1) if count % d == 0 and bool((groups.view(-1, d) == groups.view(-1, d)[:, :1]).all()))
