"""The matrix: every model of the reference set is traced, with the user's names on everything and the same answers."""

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


@pytest.mark.parametrize("name", names())
def test_models_are_traced_with_names_paths_and_answers(name):
    reference = REFERENCE[name]()
    exported = export(reference.model, reference.example_inputs)
    assert exported.source.framework == reference.framework
    assert [i.shape for i in exported.inputs] == [tuple(x.shape) for x in reference.example_inputs]
    assert name not in INPUTS or [i.name for i in exported.inputs] == INPUTS[name]
    assert name not in OUTPUTS or [o.name for o in exported.outputs] == OUTPUTS[name]

    nodes = exported.program.graph.nodes
    assert all(isinstance(node.meta["module_path"], str) for node in nodes)
    calls = [node for node in nodes if is_call(node)]
    named = sum(bool(node.meta["module_path"]) for node in calls) / len(calls)
    assert named > (0.98 if reference.framework == "keras" else 0.4 if name in FUNCTIONAL_ROOTS else 0.8)

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
    exported = export(REFERENCE[name]().model, REFERENCE[name]().example_inputs)
    targets = [str(node.target) for node in exported.program.graph.nodes if is_call(node)]
    assert len(targets) < 40
    assert any(t in ("aten.lstm.input", "aten.gru.input") for t in targets)


@pytest.mark.slow
def test_nine_in_ten_calls_of_pytorch_models_know_their_module():
    counts = []
    for name in (r.name for r in REFERENCE.values() if r.framework == "pytorch" and not r.slow):
        model = REFERENCE[name]()
        counts += [bool(n.meta["module_path"]) for n in export(model.model, model.example_inputs).program.graph.nodes if is_call(n)]
    assert sum(counts) >= 0.9 * len(counts)
