import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import pytest
import torch
from keras import layers

from edgekit.errors import LoadError
from edgekit.graph import is_call, op_name
from edgekit.loading import export

STEPS = 7


def make(layer, features=5):
    sequence = keras.Input((STEPS, features), name="sequence")
    model = keras.Model(sequence, layer(sequence))
    generator = torch.Generator().manual_seed(0)
    for variable in model.trainable_variables:
        variable.value.data.normal_(0, 0.4, generator=generator)
    return model, torch.randn(1, STEPS, features)


def exported_ops(model, x):
    exported = export(model)
    with torch.no_grad():
        answers, expected = exported.program.module()(x), model(x)
    for got, want in zip(answers, expected if isinstance(expected, (list, tuple)) else [expected], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    return [op_name(n) for n in exported.program.graph.nodes if is_call(n)], exported


@pytest.mark.parametrize("cls", ["LSTM", "GRU"])
@pytest.mark.parametrize(
    "options",
    [{}, {"return_sequences": True}, {"go_backwards": True, "return_sequences": True}, {"use_bias": False}, {"return_state": True}],
    ids=lambda o: "-".join(o) or "plain",
)
def test_recurrent_layers_are_one_operator(cls, options):
    ops, exported = exported_ops(*make(getattr(layers, cls)(4, name="rnn", **options)))
    assert ops.count(cls.lower()) == 1 and len(ops) < 20
    assert not [n for n in exported.notes if "unrolled" in n]
    assert {n.meta["module_path"] for n in exported.program.graph.nodes if is_call(n)} <= {"rnn"}


@pytest.mark.parametrize("cls", ["LSTM", "GRU"])
@pytest.mark.parametrize("mode", ["concat", "sum"])
def test_both_directions_are_two_operators(cls, mode):
    inner = getattr(layers, cls)(4, return_sequences=True, name="rnn")
    ops, exported = exported_ops(*make(layers.Bidirectional(inner, merge_mode=mode, name="both")))
    assert ops.count(cls.lower()) == 2
    assert {"both.forward_rnn", "both.backward_rnn"} <= {n.meta["module_path"] for n in exported.program.graph.nodes if is_call(n)}


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: layers.LSTM(4, activation="relu", name="odd"), "activations relu and sigmoid"),
        (lambda: layers.GRU(4, recurrent_activation="hard_sigmoid", name="odd"), "activations tanh and hard_sigmoid"),
        (lambda: layers.GRU(4, reset_after=False, name="odd"), "its cell"),
        (lambda: layers.SimpleRNN(4, name="odd"), "its cell"),
        (lambda: layers.RNN(layers.LSTMCell(4), name="odd"), "its cell"),
    ],
)
def test_unusual_layers_are_unrolled_right_and_noted(layer, reason):
    ops, exported = exported_ops(*make(layer()))
    assert "lstm" not in ops and "gru" not in ops
    assert f"odd: unrolled into {STEPS} steps because of {reason}" in exported.notes


def test_masks_are_unrolled_right_and_noted():
    ids = keras.Input((STEPS,), dtype="int32")
    model = keras.Model(ids, layers.LSTM(4, name="rnn")(layers.Embedding(9, 5, mask_zero=True)(ids)))
    _, exported = exported_ops(model, torch.tensor([[3, 4, 5, 8, 0, 0, 0]], dtype=torch.int32))
    assert any("because of a mask" in note for note in exported.notes)


def test_stateful_layers_are_refused_by_name():
    sequence = keras.Input(batch_shape=(1, STEPS, 5))
    model = keras.Model(sequence, layers.LSTM(4, stateful=True, name="memory")(sequence))
    with pytest.raises(LoadError, match="keeps its state") as caught:
        export(model)
    assert caught.value.module == "memory"


def test_a_dynamic_time_axis_needs_a_size():
    sequence = keras.Input((None, 5), name="sequence")
    model = keras.Model(sequence, layers.GRU(4, return_sequences=True)(sequence))
    with pytest.raises(LoadError, match="--dim sequence:1="):
        export(model)
    assert export(model, dims={"sequence": {1: 11}}).outputs[0].shape == (1, 11, 4)
