"""What passes impose on weights holds in the weights of the file that comes out."""

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

import edgekit
from edgekit.compress.cluster import Cluster
from edgekit.compress.prune import Prune
from edgekit.compress.quantize import Quantize
from edgekit.compress.training import FineTune
from edgekit.constraints import Codebook, Mask, grouped
from edgekit.conversion.pipeline import stages
from edgekit.conversion.steps import Steps
from edgekit.data import Samples
from edgekit.graph import constraints_of, op_name
from edgekit.recipe import Context, Recipe
from edgekit.targets import load_target
from edgekit.testing.data import cifar_train, normalized_nchw

OPS = {"CONV_2D": (0, 3, 1, 2), "FULLY_CONNECTED": (0, 1)}
"""Operators with weights, and the axes that make a file's weight one of the graph's."""


def file_weights(model):
    """Integers of each operator's weight, in execution order and the graph's layout."""
    interpreter = Interpreter(str(model))
    interpreter.allocate_tensors()
    ops = [op for op in interpreter._get_ops_details() if op["op_name"] in OPS]
    weights = [interpreter.get_tensor(int(op["inputs"][1])) for op in ops]
    assert {w.dtype for w in weights} == {np.dtype(np.int8)}
    return [w.transpose(OPS[op["op_name"]]) for w, op in zip(weights, ops, strict=True)]


def imposed(graph):
    """Mask, codebook and value of each operator's weight, in execution order; None for what was not imposed."""
    for reader in graph.nodes:
        if reader.op == "call_function" and op_name(reader) in ("convolution", "linear"):
            node = reader.args[1]
            found = [next((c for c in constraints_of(node) if isinstance(c, kind)), None) for kind in (Mask, Codebook)]
            yield *found, getattr(graph.module, node.target)


def check(model, example, recipe, folder, *, inputs, labels=None):
    target = load_target("android")
    graph = edgekit.load(model, example)
    samples = Samples({graph.inputs[0].name: inputs})
    training = None if labels is None else Samples(samples.inputs, labels)
    context = Context(target.rules, samples, training=training, teacher=graph)
    final = dict(stages(graph, recipe, context, Steps()))
    made = edgekit.convert(graph, target, recipe=recipe, calibration=samples, training=training, out=folder)
    weights, wanted = file_weights(made.model_file), list(imposed(final[recipe.passes[-2].name]))
    assert len(weights) == len(wanted) > 1
    pruned = [(torch.from_numpy(integers.copy()), *of) for integers, of in zip(weights, wanted, strict=True) if of[0] is not None]
    assert len(pruned) == len(final["prune"].constraints), "lowering may add weights of its own, and loses none"
    assert sum(codebook is None for _, _, codebook, _ in pruned) <= 1, "a weight of few elements gets no table"
    for weight, mask, codebook, value in pruned:
        assert mask.sparsity == pytest.approx(0.5, abs=0.02)
        assert mask.holds(weight)
        if codebook is not None:
            check_tables(weight, codebook, value)


def check_tables(weight, codebook, value):
    """A file's integers are of few values, and one wherever the table entry is one."""
    rows, entries = (grouped(t, codebook.axis, codebook.groups) for t in (weight, codebook.assignments(value)))
    for row, chosen in zip(rows, entries, strict=True):
        assert len(row[row != 0].unique()) <= 2**codebook.bits
        for entry in chosen.unique():
            assert len(row[(chosen == entry) & (row != 0)].unique()) <= 1


def test_zeros_and_tables_of_a_small_network_are_in_the_integers_of_its_file(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(24, 30), nn.ReLU(), nn.Linear(30, 10),
    ).eval()  # fmt: skip
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(64, 3, 10, 10)).astype(np.float32), rng.integers(0, 10, 64)
    training = FineTune(epochs=1, batch_size=32, device="cpu")
    recipe = Recipe("kept", (Prune(0.5), training, Cluster(bits=4), training, Quantize("w8a8")))
    check(network, (torch.zeros(1, 3, 10, 10),), recipe, tmp_path / "net", inputs=inputs, labels=labels)


@pytest.mark.slow
def test_zeros_and_tables_of_cifar_resnet20_are_in_the_integers_of_its_file(tmp_path):
    from edgekit.testing.reference import REFERENCE

    model = REFERENCE["cifar_resnet20"]()
    images, _ = cifar_train()
    recipe = Recipe("kept", (Prune(0.5), Cluster(bits=4), Quantize("w8a8")))
    check(model.model, model.example_inputs, recipe, tmp_path / "net", inputs=normalized_nchw(images[:64]))
