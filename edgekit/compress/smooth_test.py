"""Smoothing: the function stays, outlier channels go into weights, and int8 comes closer to float."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit.canonicalize import canonicalize
from edgekit.compress.cluster import Cluster
from edgekit.compress.prune import Prune
from edgekit.compress.quantize import Quantize
from edgekit.compress.smooth import Smooth
from edgekit.conversion.lowering import lower
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import Graph, aten, constant_value, is_call
from edgekit.loading import export
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of
from edgekit.testing.reference import REFERENCE

RULES = load_rules("tensorrt")  # keeps layer norms whole
WIDTH = 24


def network(norm: str = "layer_norm", *, affine: bool = True, residual: bool = False) -> Graph:
    """A normalization whose gain has two outliers, read by two linear layers."""
    random = torch.Generator().manual_seed(0)
    gain = torch.ones(WIDTH)
    gain[3], gain[11] = 40.0, 25.0
    constants = {"g": gain, "s": torch.randn(WIDTH, generator=random)}
    constants |= {k: torch.randn(16, WIDTH, generator=random) / (5 * gain) for k in ("a", "b")}
    used = constants if affine else {"a": constants["a"], "b": constants["b"]}

    def function(x, *, a, b, g=None, s=None):
        y = aten.layer_norm.default(x, [WIDTH], g, s) if norm == "layer_norm" else aten.rms_norm.default(x, [WIDTH], g)
        z = aten.mul.Tensor(aten.linear.default(y, a), aten.linear.default(y, b))
        return (z, aten.add.Tensor(x, y)) if residual else z

    if norm == "rms_norm" and affine:
        used = {k: v for k, v in constants.items() if k != "s"}
    return graph_of(function, [torch.zeros(1, 5, WIDTH)], **used)


CONTEXT = Context(RULES, Samples({"x0": np.random.default_rng(1).normal(size=(40, 5, WIDTH)).astype(np.float32)}))
UNSEEN = torch.from_numpy(np.random.default_rng(2).normal(size=(30, 5, WIDTH)).astype(np.float32))


def outputs(graph: Graph) -> torch.Tensor:
    return torch.cat([graph(row)[0] for row in UNSEEN.split(1)])


@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_function_stays(norm, affine, strength):
    graph = network(norm, affine=affine)
    whole = Context(replace(RULES, lower=()), CONTEXT.calibration)
    found = Smooth(strength)(graph, whole)
    torch.testing.assert_close(outputs(found), outputs(graph), rtol=1e-4, atol=1e-4)
    assert found.module is not graph.module


def test_int8_comes_closer_to_float():
    graph = network()
    wanted = outputs(graph)

    def loss(g):
        return float((outputs(Quantize("w8a8")(lower(g, RULES), CONTEXT)) - wanted).square().mean())

    assert loss(Smooth()(graph, CONTEXT)) < 0.2 * loss(graph)


def test_strength_1_evens_out_the_activations():
    found = Smooth(1.0)(network(), CONTEXT)
    (norm,) = [n for n in found.nodes if is_call(n, aten.layer_norm.default)]
    weight, bias = constant_value(norm.args[2]), constant_value(norm.args[3])
    x = torch.from_numpy(CONTEXT.calibration.inputs["x0"])
    largest = aten.layer_norm.default(x, [WIDTH], weight, bias).abs().amax((0, 1))
    assert float(largest.max() / largest.min()) < 1.001


def test_what_something_else_reads_stays():
    graph = network(residual=True)
    found = Smooth()(graph, CONTEXT)
    assert found.module is graph.module and found.notes == ("smooth: nothing to even out: linear layers alone read no normalization",)


def test_what_lowering_does_anyway_is_said():
    found = Smooth()(network(), Context(load_rules("litert"), CONTEXT.calibration))
    assert "litert computes normalizations in parts" in found.notes[0]


def test_clustered_weights_stay_and_masks_go_along():
    clustered = Cluster(4)(network(), CONTEXT)
    assert Smooth()(clustered, CONTEXT).module is clustered.module
    sparse = Prune(0.5)(network(), CONTEXT)
    found = Smooth()(sparse, CONTEXT)
    assert len(found.constraints) == 2
    for constraint in found.constraints:
        assert constraint.holds(found.module.get_buffer(constraint.weight)) and constraint.sparsity == 0.5


@pytest.mark.slow
def test_a_vision_transformer_keeps_its_function_and_every_norm_before_linear_layers_is_smoothed():
    reference = REFERENCE["vit"]()
    graph = canonicalize(export(reference.model, reference.example_inputs))
    x = reference.inputs(3, 1)[0]
    found = Smooth()(graph, Context(RULES, Samples({graph.inputs[0].name: torch.cat([x, reference.inputs(4, 1)[0]]).numpy()})))
    torch.testing.assert_close(found(x)[0], graph(x)[0], rtol=1e-3, atol=1e-3)
    norms = [n for n in graph.nodes if is_call(n, aten.layer_norm.default)]
    moved = [n for n in found.nodes if is_call(n, aten.layer_norm.default) and str(n.args[2].target).startswith(f"{n.name}_weight")]
    linear = [n for n in norms if all(is_call(u, aten.linear.default) for u in n.users)]
    assert len(moved) == len(linear) > 0


def test_bad_options_and_missing_data():
    with pytest.raises(UsageError, match="strength is 2"):
        Smooth(2.0)
    with pytest.raises(UsageError, match="batch_size is 0"):
        Smooth(batch_size=0)
    with pytest.raises(DataError, match="measures channels on data"):
        Smooth()(network(), Context(RULES))
