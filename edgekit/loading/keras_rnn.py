"""Keras' recurrent layers as one operator each.

On the CPU, Keras' torch backend unrolls LSTM and GRU over time: 100 steps, 1,700 nodes. Its formulas are those of
``aten.lstm`` and ``aten.gru`` for the default activations, so those are traced instead; elsewhere the loop stays
unrolled, and a note says so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from edgekit.loading.lean import constant


class _Where(Protocol):
    notes: list[str]

    @property
    def path(self) -> str: ...


@contextmanager
def whole(where: _Where) -> Iterator[None]:
    """Trace recurrent layers as whole operators for the block."""
    from keras.src import backend  # noqa: PLC0415

    rnn = importlib.import_module("keras.src.backend.torch.rnn")  # as an attribute it is hidden by a function of that name
    lstm, gru, loop = rnn._fallback_lstm, rnn._fallback_gru, rnn.rnn

    def whole_lstm(inputs: Tensor, *args: Any) -> Any:
        h, c, kernel, recurrent, bias, activation, recurrent_activation, return_sequences, batch_first = args
        if reason := _unusual(activation, recurrent_activation):
            _note(where, inputs.shape[1 if batch_first else 0], reason)
            return lstm(inputs, *args)
        weights = constant(lambda: rnn.prepare_lstm_params(kernel, recurrent, bias, torch.device("cpu")))
        outputs, last_h, last_c = torch.lstm(inputs, (h.unsqueeze(0), c.unsqueeze(0)), weights, True, 1, 0.0, False, False, batch_first)
        last = last_h.squeeze(0)
        return last, _sequence(outputs, last, return_sequences, batch_first), [last, last_c.squeeze(0)]

    def whole_gru(inputs: Tensor, *args: Any) -> Any:
        h, kernel, recurrent, bias, activation, recurrent_activation, return_sequences = args
        if reason := _unusual(activation, recurrent_activation):
            _note(where, inputs.shape[1], reason)
            return gru(inputs, *args)
        weights = constant(lambda: rnn.prepare_gru_params(kernel, recurrent, bias, torch.device("cpu")))
        outputs, last_h = torch.gru(inputs, h.unsqueeze(0), weights, True, 1, 0.0, False, False, True)
        last = last_h.squeeze(0)
        return last, _sequence(outputs, last, return_sequences, True), [last]

    def noted_loop(step: Callable[..., Any], inputs: Any, *args: Any, **kwargs: Any) -> Any:
        sequence = next(iter(torch.utils._pytree.tree_leaves(inputs)))
        reason = "a mask" if kwargs.get("mask") is not None else "its cell"
        _note(where, sequence.shape[0 if kwargs.get("time_major") else 1], reason)
        return loop(step, inputs, *args, **kwargs)

    with ExitStack() as stack:
        for owner, name, replacement in (
            (rnn, "_fallback_lstm", whole_lstm),
            (rnn, "_fallback_gru", whole_gru),
            (backend, "rnn", noted_loop),
        ):
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, replacement)
        yield


def _sequence(outputs: Tensor, last: Tensor, return_sequences: bool, batch_first: bool) -> Tensor:
    return outputs if return_sequences else last.unsqueeze(1 if batch_first else 0)


def _unusual(activation: Any, recurrent_activation: Any) -> str | None:
    """Why a layer is no ``aten`` operator, or None if it is one."""
    names = [getattr(f, "__name__", str(f)) for f in (activation, recurrent_activation)]
    return None if names == ["tanh", "sigmoid"] else f"activations {names[0]} and {names[1]}"


def _note(where: _Where, steps: int, reason: str) -> None:
    note = f"{where.path}: unrolled into {steps} steps because of {reason}"
    if note not in where.notes:
        where.notes.append(note)
