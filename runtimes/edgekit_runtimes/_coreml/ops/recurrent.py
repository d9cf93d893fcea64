"""Recurrent layers: sequences of shape (steps, batch, features)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit_runtimes._coreml.arguments import flag, number, unknown
from edgekit_runtimes._coreml.registry import op

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "linear": lambda x: x,
    "sigmoid_hard": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "hard_sigmoid": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "scaled_tanh": torch.tanh,  # with the factors 1 and 1
}


@op
def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Any = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """``h = activation(W x + R h + b)``."""
    act, hidden, steps = _activation(activation), initial_h, []
    for row in F.linear(_directed(x, direction), weight_ih, bias):
        hidden = act(row + F.linear(hidden, weight_hh))
        steps.append(hidden)
    return _sequence(steps, output_sequence), hidden


@op
def gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Any = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: Any = False,
    input_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Gates in the order reset, output, update. The reset gate acts on the state, or (iOS 18) on its product, as in PyTorch."""
    gate, act, hidden, steps = _activation(recurrent_activation), _activation(activation), initial_h, []
    for row in F.linear(_directed(x, direction), weight_ih, input_bias):
        x_reset, x_out, x_update = row.chunk(3, -1)
        if flag(reset_after):
            h_reset, h_out, h_update = F.linear(hidden, weight_hh, bias).chunk(3, -1)
            update = gate(x_update + h_update)
            candidate = act(x_out + gate(x_reset + h_reset) * h_out)
        else:
            r_reset, r_out, r_update = weight_hh.chunk(3, 0)
            b_reset, b_out, b_update = bias.chunk(3) if bias is not None else (None, None, None)
            update = gate(x_update + F.linear(hidden, r_update, b_update))
            reset = gate(x_reset + F.linear(hidden, r_reset, b_reset))
            candidate = act(x_out + F.linear(reset * hidden, r_out, b_out))
        hidden = (1 - update) * candidate + update * hidden
        steps.append(hidden)
    return _sequence(steps, output_sequence), hidden


@op
def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Any = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gates in the order input, forget, output, cell. Two directions share the features of states and result, forward first."""
    acts = tuple(_activation(name) for name in (recurrent_activation, cell_activation, activation))
    limit = None if clip is None else number(clip)
    if direction != "bidirectional":
        steps, h, c = _lstm(_directed(x, direction), initial_h, initial_c, (weight_ih, weight_hh, bias, peephole), acts, limit)
        return _sequence(steps, output_sequence), h, c
    backward = (weight_ih_back, weight_hh_back, bias_back, peephole_back)
    if weight_ih_back is None or weight_hh_back is None:
        raise ValueError("a bidirectional lstm without backward weights")
    (h_forward, h_back), (c_forward, c_back) = initial_h.chunk(2, -1), initial_c.chunk(2, -1)
    there, h1, c1 = _lstm(x, h_forward, c_forward, (weight_ih, weight_hh, bias, peephole), acts, limit)
    back, h2, c2 = _lstm(x.flip(0), h_back, c_back, backward, acts, limit)
    pairs = [torch.cat([a, b], -1) for a, b in zip(there, reversed(back), strict=True)]
    hidden = torch.cat([h1, h2], -1)
    return torch.stack(pairs) if flag(output_sequence) else hidden.unsqueeze(0), hidden, torch.cat([c1, c2], -1)


def _lstm(
    x: Tensor, h: Tensor, c: Tensor, weights: tuple[Any, ...], acts: tuple[Callable[[Tensor], Tensor], ...], limit: float | None
) -> tuple[list[Tensor], Tensor, Tensor]:
    """One direction: the states of all steps, and the last state and cell."""
    weight_ih, weight_hh, bias, peephole = weights
    gate, cell, act = acts
    p_in, p_forget, p_out = peephole.chunk(3) if peephole is not None else (0.0, 0.0, 0.0)
    steps = []
    for row in F.linear(x, weight_ih, bias):
        i, f, o, z = (row + F.linear(h, weight_hh)).chunk(4, -1)
        c = gate(f + p_forget * c) * c + gate(i + p_in * c) * cell(z)
        c = c if limit is None else c.clamp(-limit, limit)
        h = gate(o + p_out * c) * act(c)
        steps.append(h)
    return steps, h, c


def _directed(x: Tensor, direction: str) -> Tensor:
    if direction not in ("forward", "reverse"):
        raise unknown("direction", direction, ("forward", "reverse"))
    return x if direction == "forward" else x.flip(0)


def _sequence(steps: list[Tensor], whole: Any) -> Tensor:
    """All states in the order in which they were computed, or the last alone."""
    return torch.stack(steps) if flag(whole) else steps[-1].unsqueeze(0)


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    if name not in _ACTIVATIONS:
        raise unknown("activation", name, _ACTIVATIONS)
    return _ACTIVATIONS[name]
