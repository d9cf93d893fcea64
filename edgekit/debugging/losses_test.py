"""Losses are what they are said to be."""

import math

import numpy as np
import pytest
import torch

from edgekit.compress.bias_correction import BiasCorrection
from edgekit.compress.quantize import Quantize
from edgekit.data import Samples
from edgekit.debugging.losses import Nearness, Sums, measure
from edgekit.debugging.switches import RESULT
from edgekit.graph import aten
from edgekit.recipe import Context
from edgekit.testing.failing import CULPRIT, answered, failing_net
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import RULES, quantized, weights


def int8(exact, samples, *more):
    final = Quantize("w8a8", calibration="minmax")(exact, Context(RULES, samples))
    for step in more:
        final = step(final, Context(RULES, samples))
    return final


def linear(x0, w, b):
    return aten.linear.default(x0, w, b)


@pytest.fixture(scope="module")
def losses():
    exact = failing_net()
    samples = answered(exact, 20)
    return measure(exact, int8(exact, samples), samples)


def test_sums_are_of_all_batches():
    total = Sums()
    total.add([torch.tensor([[3.0, 4.0]])], [torch.tensor([[3.0, 4.5]])], 1)
    total.add([torch.tensor([[0.0, 0.0]])], [torch.tensor([[0.0, 0.0]])], 1)
    assert total.nearness.sqnr_db == pytest.approx(10 * math.log10(25 / 0.25))
    assert total.nearness.cosine == pytest.approx((1 + 27 / (5 * math.hypot(3, 4.5))) / 2)
    assert total.nearness.noise == pytest.approx(0.01)


def test_equal_values_have_no_noise_and_masks_are_no_signal():
    total = Sums()
    total.add([torch.tensor([[1.0, -math.inf, 3e38]])], [torch.tensor([[1.0, -math.inf, 3e38]])], 1)
    assert total.nearness == Nearness(math.inf, 1.0) and total.nearness.noise == 0
    assert str(total.nearness) == "exact" and str(Nearness(12.34, 1.0)) == "12.3 dB"


def test_the_layer_that_fails_loses_most(losses):
    worst = min(losses.layers, key=lambda loss: loss.alone.sqnr_db)
    assert worst.layer.name == CULPRIT
    assert worst.alone.sqnr_db < min(loss.alone.sqnr_db for loss in losses.layers if loss is not worst) - 3


def test_the_last_cumulative_loss_is_that_of_the_whole(losses):
    assert losses.layers[-1].cumulative == losses.outputs
    assert losses.layers[0].cumulative == losses.layers[0].alone, "the first layer is alone"
    assert losses.layers[0].own == losses.layers[0].here


def test_alone_sees_single_switches(losses):
    stem = next(loss for loss in losses.layers if loss.layer.name == CULPRIT)
    both = losses.alone(stem.layer.switches)
    result = losses.alone([name for name, role in stem.layer.switches.items() if role == RESULT])
    assert both.sqnr_db == pytest.approx(stem.alone.sqnr_db, abs=1e-6)
    assert result.noise > 0.5 * both.noise, "its result is what costs"


def test_what_only_moves_rounded_values_loses_nothing():
    def net(x0, w):
        return aten.reshape.default(aten.max_pool2d.default(aten.convolution.default(x0, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
                                                            [2, 2], [2, 2]), [1, 64])  # fmt: skip

    exact = graph_of(net, [torch.zeros(1, 3, 8, 8)], w=weights(4, 3, 3, 3))
    samples = answered(failing_net(), 4)
    losses = measure(exact, quantized(exact, samples), samples)
    assert [loss.layer.op for loss in losses.layers] == ["input", "convolution"]


def test_a_layer_whose_weights_are_on_their_grid_loses_by_its_result_alone():
    exact = graph_of(linear, [torch.zeros(1, 6)], "fc", w=torch.eye(6), b=torch.full((6,), 0.5))
    samples = Samples({"x0": np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)})
    losses = measure(exact, quantized(exact, samples), samples)
    layer = next(loss for loss in losses.layers if loss.layer.name == "fc")
    assert set(layer.layer.switches.values()) == {RESULT}
    assert layer.cumulative == losses.outputs and 20 < layer.alone.sqnr_db < 80


def test_a_corrected_bias_counts_with_its_layer():
    exact = graph_of(linear, [torch.zeros(1, 6)], "fc", w=weights(4, 6), b=torch.zeros(4))
    samples = Samples({"x0": (3 + np.random.default_rng(0).normal(size=(40, 6))).astype(np.float32)})  # far from a mean of 0
    plain, corrected = (measure(exact, int8(exact, samples, *more), samples) for more in ((), (BiasCorrection(),)))
    (before, after) = (next(loss for loss in found.layers if loss.layer.name == "fc") for found in (plain, corrected))
    assert after.alone.sqnr_db > before.alone.sqnr_db and after.own.sqnr_db > before.own.sqnr_db
