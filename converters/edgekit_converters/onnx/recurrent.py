"""LSTM and GRU, one operator a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, constant_value
from edgekit_converters.onnx.emission import Emission, static
from edgekit_converters.onnx.registry import emits

_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
"""ONNX' order of the gates (i o f c; z r h) in terms of PyTorch's (i f g o; r z n)."""


@emits(aten.lstm.input)
def lstm(emission: Emission, node: fx.Node) -> tuple[ir.Value, ...]:
    """LSTM: the sequence, the last hidden states, the last cell states."""
    return _recurrent(emission, node, "LSTM", list(argument(node, "hx")))


@emits(aten.gru.input)
def gru(emission: Emission, node: fx.Node) -> tuple[ir.Value, ...]:
    """GRU: the sequence, the last hidden states."""
    return _recurrent(emission, node, "GRU", [argument(node, "hx")])


def _recurrent(emission: Emission, node: fx.Node, op_type: str, initial: Sequence[Any]) -> tuple[ir.Value, ...]:
    layers, directions = int(argument(node, "num_layers")), 2 if argument(node, "bidirectional") else 1
    first = bool(argument(node, "batch_first"))
    x = emission.value(node.args[0])
    sequence = emission.transposed(x, (1, 0, 2)) if first else x
    states = [emission.value(s) for s in initial]
    ends: list[list[ir.Value]] = [[] for _ in states]
    for layer in range(layers):
        starts = [_part(emission, s, layer * directions, directions) for s in states]
        weights = _weights(emission, node, op_type, layer, directions)
        sequence, *last = _layer(emission, op_type, sequence, weights, starts)
        for kept, state in zip(ends, last, strict=True):
            kept.append(state)
    output = emission.transposed(sequence, (1, 0, 2)) if first else sequence
    return (output, *(_stacked(emission, e) for e in ends))


def _layer(
    emission: Emission, op_type: str, sequence: ir.Value, weights: tuple[np.ndarray, ...], starts: Sequence[ir.Value]
) -> list[ir.Value]:
    """One layer: its outputs as (time, batch, features), and its last states."""
    time, batch, _ = static(sequence)
    directions, hidden = weights[1].shape[0], weights[1].shape[2]
    state = (directions, batch, hidden)
    attributes: dict[str, Any] = {"hidden_size": hidden, "direction": "bidirectional" if directions == 2 else "forward"}
    if op_type == "GRU":
        attributes["linear_before_reset"] = 1
    kernel, recurrent, bias = (emission.constant(w, f"{emission.path}.{n}") for w, n in zip(weights, "WRB", strict=True))
    inputs = [sequence, kernel, recurrent, bias, None, *starts]
    found = emission.ops(op_type, inputs, [(time, directions, batch, hidden), *[state] * len(starts)], attributes)
    if directions == 1:
        return [emission.op("Squeeze", [found[0], emission.ints([1])], (time, batch, hidden)), *found[1:]]
    beside = emission.transposed(found[0], (0, 2, 1, 3))
    return [emission.op("Reshape", [beside, emission.ints([0, 0, -1])], (time, batch, directions * hidden)), *found[1:]]


def _weights(emission: Emission, node: fx.Node, op_type: str, layer: int, directions: int) -> tuple[np.ndarray, ...]:
    """Input kernel, recurrent kernel and bias of a layer, each with the direction as its first dimension."""
    each = 4 if argument(node, "has_biases") else 2
    given = argument(node, "params")[layer * directions * each : (layer + 1) * directions * each]
    tensors = [constant_value(p) for p in given]
    if any(t is None for t in tensors):
        raise emission.refusal(node, "its weights are not constants")
    arrays = [_reordered(t.numpy(), op_type) for t in tensors if t is not None]
    kernels, recurrents = np.stack(arrays[0::each]), np.stack(arrays[1::each])
    if each == 2:
        return kernels, recurrents, np.zeros((directions, 2 * kernels.shape[1]), np.float32)
    return kernels, recurrents, np.stack([np.concatenate(arrays[i + 2 : i + 4]) for i in range(0, len(arrays), each)])


def _reordered(array: np.ndarray, op_type: str) -> np.ndarray:
    order = _GATES[op_type]
    gates = array.reshape(len(order), -1, *array.shape[1:])
    return np.ascontiguousarray(gates[list(order)].reshape(array.shape))


def _part(emission: Emission, state: ir.Value, start: int, count: int) -> ir.Value:
    """The initial states of one layer."""
    if static(state)[0] == count:
        return state
    if state.const_value is not None:
        return emission.constant(state.const_value.numpy()[start : start + count], state.name or "state")
    ends = [emission.ints([n]) for n in (start, start + count, 0)]
    return emission.op("Slice", [state, *ends], (count, *static(state)[1:]))


def _stacked(emission: Emission, states: list[ir.Value]) -> ir.Value:
    if len(states) == 1:
        return states[0]
    count = sum(static(s)[0] for s in states)
    return emission.op("Concat", states, (count, *static(states[0])[1:]), {"axis": 0})
