"""The int8 preset on real models: what it loses, and that nothing aborts."""

import numpy as np
import pytest
import torch

from edgekit.canonicalize import canonicalize
from edgekit.canonicalize.batched import batched
from edgekit.compress.quantize import QuantizationWarning
from edgekit.conversion.lowering import lower
from edgekit.data import Samples
from edgekit.graph import Graph, grid_of, is_call, op_name
from edgekit.loading import export
from edgekit.plugins import Encoding, RunRequest, load
from edgekit.recipe import Context
from edgekit.recipes import load_recipe
from edgekit.targets import load_target
from edgekit.testing.data import cifar_test, cifar_train, normalized_nchw, sww
from edgekit.testing.reference import REFERENCE

RULES = load_target("android").rules


def graph_of(model, example_inputs=None) -> Graph:
    return lower(canonicalize(export(model, example_inputs)), RULES)


def int8(graph, inputs) -> Graph:
    context = Context(RULES, Samples({graph.inputs[0].name: inputs}))
    for step in load_recipe("int8").passes:
        graph = step(graph, context)
    return graph


def logits_of(graph):
    """The graph up to its softmax."""
    result = graph.copy()
    for node in result.nodes:
        if node.op == "output":
            (last,) = node.args[0]
            if is_call(last) and op_name(last) == "softmax":
                node.args = ((last.args[0],),)
    result.module.recompile()
    return result


def sqnr(exact, rounded):
    return float(10 * torch.log10(exact.square().sum() / (exact - rounded).square().sum()))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("ic_resnet8", 33.0), ("cifar_resnet20", 29.0), ("sww_streaming", 38.0)])
def test_int8_keeps_the_logits(name, least):
    if name == "sww_streaming":
        (x, y), calibration = sww(), sww()[0]
    else:
        take = (lambda v: v.astype(np.float32)) if name == "ic_resnet8" else normalized_nchw
        calibration, x, y = take(cifar_train()[0][:200]), take(cifar_test()[0][:200]), cifar_test()[1][:200]
    reference = REFERENCE[name]()
    graph = logits_of(graph_of(reference.model, reference.example_inputs))
    wide, rounded = batched(graph), int8(graph, calibration)
    data = torch.from_numpy(x)
    exact, found = wide(data)[0], torch.cat([rounded(row)[0] for row in data.split(1)])
    assert sqnr(exact, found) > least
    agreement = float((exact.argmax(1) == found.argmax(1)).float().mean())
    difference = [float((v.argmax(1).numpy() == y).mean()) for v in (exact, found)]
    assert agreement >= 0.97 and abs(difference[0] - difference[1]) <= 0.02
    floats = [n for n in rounded.nodes if is_call(n) and op_name(n) in ("convolution", "linear") and grid_of(n.args[0]) is None]
    assert floats == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "delegates"),
    # The reference SOFTMAX aborts, by an assertion of its own, where several hundred classes are equally likely.
    [(1000, ("xnnpack", "none")), (10, ("xnnpack", "none", "reference"))],
)
def test_a_randomly_initialized_mobilenet_v2_gives_a_file_that_runs(tmp_path, classes, delegates):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    graph = graph_of(keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), classes=classes))
    inputs = np.random.default_rng(0).uniform(-1, 1, (8, 96, 96, 3)).astype(np.float32)
    with pytest.warns(QuantizationWarning, match="varies too little"):
        rounded = int8(graph, inputs)
    emitted = load("converters", "litert").emit(rounded, tmp_path, Encoding("int8", "int8"))
    for delegate in delegates:
        request = RunRequest(tmp_path / emitted.model_file, delegate=delegate)
        result = load("runtimes", "litert").run(request, {emitted.inputs[0].name: np.zeros((2, 96, 96, 3), np.int8)})
        assert result[emitted.outputs[0].name].shape == (2, classes)
