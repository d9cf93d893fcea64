"""The matrix: every model of the reference set is traced, with the user's names on everything and the same answers."""

import functools

import pytest
import torch

from edgekit.graph import is_call
from edgekit.loading import export
from edgekit.testing.reference import REFERENCE, names

OUTPUTS = {
    "ic_resnet8": ["dense"],
    "bert": ["last_hidden_state", "pooler_output"],
    "vit": ["logits"],
    "detector": ["p3.box", "p3.score", "p4.box", "p4.score", "scores"],
    "keras_two_headed": ["label", "angle"],
    "unet": ["output"],
}
INPUTS = {
    "ic_resnet8": ["input_1"],
    "bert": ["input_ids", "attention_mask"],
    "keras_two_headed": ["image", "vector"],
    "unet": ["image"],
    "audio1d": ["input"],
    "keras_lstm": ["sequence"],
}
FUNCTIONAL_ROOTS = {"bert", "distilbert", "detector"}
"""Much of these is written in the root's own forward: masks, heads."""


@functools.lru_cache(maxsize=1)
def traced(name):
    reference = REFERENCE[name]()
    return reference, export(reference.model, reference.example_inputs)


@functools.cache
def known_modules(name):
    """Of each call, whether it has the path of the user's module."""
    return [bool(node.meta["module_path"]) for node in traced(name)[1].program.graph.nodes if is_call(node)]


@pytest.mark.parametrize("name", names())
def test_models_are_traced_with_names_paths_and_answers(name):
    reference, exported = traced(name)
    assert exported.source.framework == reference.framework
    assert [i.shape for i in exported.inputs] == [tuple(x.shape) for x in reference.example_inputs]
    assert name not in INPUTS or [i.name for i in exported.inputs] == INPUTS[name]
    assert name not in OUTPUTS or [o.name for o in exported.outputs] == OUTPUTS[name]

    assert all(isinstance(node.meta["module_path"], str) for node in exported.program.graph.nodes)
    known = known_modules(name)
    assert sum(known) / len(known) > (0.98 if reference.framework == "keras" else 0.4 if name in FUNCTIONAL_ROOTS else 0.8)

    inputs = reference.inputs(7, 1)
    with torch.no_grad():
        answers = exported.program.module(check_guards=False)(*inputs)
    expected = reference.run(*inputs)
    assert [tuple(a.shape) for a in answers] == [o.shape for o in exported.outputs]
    for got, want in zip(answers, expected, strict=True):
        scale = float(want.abs().max())
        assert float((got - want).abs().max()) <= 5e-5 * scale


@pytest.mark.parametrize("name", names("rnn"))
def test_recurrent_models_stay_whole(name):
    _, exported = traced(name)
    targets = [str(node.target) for node in exported.program.graph.nodes if is_call(node)]
    assert len(targets) < 40
    assert any(t in ("aten.lstm.input", "aten.gru.input") for t in targets)


@pytest.mark.slow
def test_nine_in_ten_calls_of_pytorch_models_know_their_module():
    known = [known for r in REFERENCE.values() if r.framework == "pytorch" and not r.slow for known in known_modules(r.name)]
    assert sum(known) >= 0.9 * len(known)
