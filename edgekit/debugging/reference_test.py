"""On real architectures: everything off is the graph before rounding, everything on is the graph after."""

import pytest
import torch

import edgekit
from edgekit.conversion.golden import random_samples
from edgekit.conversion.pipeline import LOWER, stages
from edgekit.conversion.steps import Steps
from edgekit.debugging.causes import CAUSES, explain
from edgekit.debugging.losses import measure
from edgekit.recipe import Context
from edgekit.recipes import load_recipe
from edgekit.targets import load_target
from edgekit.testing.reference import REFERENCE


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target", "recipe"), [
    ("kws_dscnn", "android", "int8"),
    ("distilbert", "jetson", "int8"),
    ("gru_classifier", "jetson", "int8"),
    ("kws_dscnn", "ios", "palettize4_grouped"),
])  # fmt: skip
def test_of_the_reference_set(name, target, recipe):
    built, rules = REFERENCE[name](), load_target(target).rules
    graph = edgekit.load(built.model, None if built.framework == "keras" else built.example_inputs)
    samples = random_samples(graph.inputs, 4)
    exact = final = graph
    for step, after in stages(graph, load_recipe(recipe), Context(rules, samples), Steps()):
        exact = after if step == LOWER else exact
        final = after
    losses = measure(exact, final, samples)
    assert losses.layers and losses.layers[-1].cumulative == losses.outputs
    assert all(loss.alone.cosine > 0.5 for loss in losses.layers)
    worst = min(losses.layers, key=lambda loss: loss.alone.sqnr_db)
    assert explain(losses, worst, ()).cause in CAUSES
    inputs = [torch.from_numpy(samples.inputs[spec.name][:1]) for spec in graph.inputs]
    everything = {n for layer in losses.board.layers for n in (*layer.switches, *layer.corrections)}
    for wanted, on in ((exact, ()), (final, everything)):
        values = losses.board.values(inputs, on)
        for a, node in zip(wanted(*inputs), losses.board.graph.nodes[-1].all_input_nodes, strict=True):
            torch.testing.assert_close(values[node.name], a, rtol=1e-3, atol=1e-3 * float(a.abs().max()))
