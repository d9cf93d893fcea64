"""Each cause is named where it was put, and nowhere else."""

from pathlib import Path

import torch

from edgekit.compress.quantize import Quantize
from edgekit.data import Samples
from edgekit.debugging.causes import CAUSES, OF_ACTIVATIONS, explain
from edgekit.debugging.knobs import KNOBS
from edgekit.debugging.losses import measure
from edgekit.graph import Graph, aten
from edgekit.recipe import Context
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import RULES, conv, data, weights

IMAGES = data((3, 8, 8), count=16)


def one_layer(w, b=None, after=lambda y: y):
    return graph_of(lambda x0, w, b: after(conv(x0, w, b)), [torch.zeros(1, 3, 8, 8)], "layer", w=w, b=weights(len(w)) if b is None else b)


def found(exact: Graph, samples=IMAGES, calibration=None, floats=(), **options):
    final = Quantize(**{"scheme": "w8a8", "calibration": "minmax", **options})(exact, Context(RULES, calibration or samples))
    losses = measure(exact, final, samples)
    worst = min((loss for loss in losses.layers if loss.layer.op != "input"), key=lambda loss: loss.alone.sqnr_db)
    return explain(losses, worst, floats)


def test_a_plain_layer_is_only_coarse():
    finding = found(one_layer(weights(8, 3, 3, 3)))
    assert (finding.cause, finding.module, finding.op) == ("coarse grid", "layer", "convolution")


def test_channels_of_very_different_size():
    w = weights(8, 3, 3, 3)
    w[5] *= 60
    finding = found(one_layer(w))
    assert (finding.cause, finding.tensor) == ("per-channel spread", "result")
    assert "channel 5 spans" in finding.evidence and finding.knobs[0] == "equalize"


def test_a_few_large_values():
    samples = data((3, 24, 24), count=16)
    samples.inputs["x0"][3, :, 2, 2] *= 40
    constants = {"w": weights(8, 3, 3, 3), "b": torch.zeros(8)}
    finding = found(graph_of(conv, [torch.zeros(1, 3, 24, 24)], "layer", **constants), samples)
    assert finding.cause == "range outlier" and finding.knobs[0] == "calibration"


def test_values_beyond_the_grid():
    finding = found(one_layer(weights(8, 3, 3, 3)), calibration=Samples({"x0": IMAGES.inputs["x0"] * 0.1}))
    assert finding.cause == "saturating activation"
    assert "of the values are beyond" in finding.evidence


def test_a_value_that_never_varies():
    w, b = weights(8, 3, 3, 3) * 1e-3, torch.full((8,), 100.0)
    finding = found(one_layer(w, b, lambda y: aten.sub.Tensor(y, 100.0)))
    assert finding.cause == "degenerate range" and finding.knobs[0] == "data"


def test_a_weight_of_four_bits():
    finding = found(one_layer(weights(8, 3, 3, 3)), scheme="w4a8")
    assert (finding.cause, finding.tensor) == ("few bits", "weight")


def test_input_channels_that_share_a_row_with_larger_ones():
    w = weights(8, 16, 3, 3)
    w[:, 7] *= 100
    samples = data((16, 8, 8), count=8)
    samples.inputs["x0"][:, 7] /= 100
    exact = graph_of(lambda x0, w: conv(x0, w, None), [torch.zeros(1, 16, 8, 8)], "layer", w=w)
    finding = found(exact, samples, scheme="w4a8")
    assert finding.tensor == "weight" and finding.cause == "per-channel spread"
    assert "input channel 7" in finding.evidence and not set(finding.knobs) & set(OF_ACTIVATIONS)


def test_a_neighbour_without_a_kernel():
    exact = one_layer(weights(8, 3, 3, 3), after=aten.sin.default)
    finding = found(exact, floats=[n.name for n in exact.nodes if "sin" in n.name])
    assert finding.cause == "unquantized neighbour" and "sin" in finding.evidence


def test_roundings_at_run_time_have_no_grid_to_blame():
    exact = graph_of(aten.linear.default, [torch.zeros(1, 16)], "fc", weight=weights(8, 16))
    finding = found(exact, data((16,), count=8), scheme="w8ad8")
    assert finding.cause == "coarse grid"


def test_every_knob_of_a_cause_is_one():
    known = {knob.name for knob in KNOBS} | {"data"}
    assert {knob for _, knobs in CAUSES.values() for knob in knobs} <= known


def test_the_documentation_lists_them_all():
    text = (Path(__file__).parents[2] / "docs" / "debugging.md").read_text(encoding="utf-8")
    for cause, (_, knobs) in CAUSES.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {cause} |"))
        assert row.rpartition(" | ")[2].strip(" |") == ", ".join(f"`{knob}`" for knob in knobs)
    assert all(f"| `{knob.name}` |" in text for knob in KNOBS)
