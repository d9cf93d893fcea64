"""Binary and ternary weights: the scales of least squared error, kept through correction, pruning and quantization."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.compress.cluster import Cluster
from edgekit.compress.cluster.tables import SIGNS
from edgekit.compress.prune import Prune
from edgekit.compress.quantize import Quantize
from edgekit.compress.roundings import rounded
from edgekit.constraints import Codebook
from edgekit.data import Samples
from edgekit.errors import UsageError
from edgekit.graph import Graph, argument, aten, constant_value, constraints_of, is_call
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.graphs import graph_of

BINARY, TERNARY = Cluster(1, channels=1, method="binary"), Cluster(2, channels=1, method="ternary")
CONTEXT = Context(load_rules("coreml"), Samples({"x0": torch.randn(64, 40, generator=torch.Generator().manual_seed(1)).numpy()}))


def network(weight: torch.Tensor | None = None) -> Graph:
    w = torch.randn(24, 40, generator=torch.Generator().manual_seed(0)) if weight is None else weight
    return graph_of(aten.linear.default, [torch.zeros(1, w.shape[1])], "net", weight=w, bias=torch.zeros(len(w)))


def weight_of(graph: Graph) -> torch.Tensor:
    (layer,) = [n for n in graph.nodes if is_call(n, aten.linear.default)]
    value = constant_value(argument(layer, "weight"))
    assert value is not None
    return value


def test_binary_weights_are_signs_times_the_mean_magnitude_of_each_channel():
    exact = weight_of(network())
    found = weight_of(BINARY(network(), CONTEXT))
    torch.testing.assert_close(found, exact.sign() * exact.abs().mean(1, keepdim=True), rtol=1e-3, atol=1e-4)


@given(st.lists(st.floats(-4, 4, allow_nan=False, width=32).filter(lambda v: abs(v) > 1e-2), min_size=2, max_size=7))
def test_ternary_weights_lose_the_least_there_is_to_lose(row):
    exact = torch.tensor([row * 16])  # long enough for a table to pay
    found = weight_of(TERNARY(network(exact), CONTEXT))
    assert len(found.unique()) <= 3 and float((found + found.flip(0)).sum()) == pytest.approx(2 * float(found.sum()))
    loss = float((found - exact).square().sum()) / 16
    size, best = torch.tensor(row).abs().sort(descending=True)[0].double(), float("inf")
    for count in range(1, len(row) + 1):
        scale = size[:count].mean()
        best = min(best, float((size[:count] - scale).square().sum() + size[count:].square().sum()))
    assert loss <= best * 1.01 + 1e-3


@pytest.mark.parametrize(("step", "values"), [(BINARY, 2), (TERNARY, 3)])
@pytest.mark.parametrize("correction", ["none", "bias", "layers"])
def test_each_channel_has_one_scale_whatever_is_corrected(step, values, correction):
    found = Cluster(step.bits, channels=1, method=step.method, correction=correction)(network(), CONTEXT)
    for row in weight_of(found):
        assert len(row.unique()) <= values
        assert len(row.abs()[row != 0].unique()) == 1
    (codebook,) = found.constraints
    assert isinstance(codebook, Codebook) and codebook.holds(weight_of(found))


def test_corrected_layers_give_more_of_what_they_gave():
    x = torch.from_numpy(CONTEXT.calibration.inputs["x0"])
    mixed = Context(CONTEXT.rules, Samples({"x0": (x @ torch.randn(40, 40, generator=torch.Generator().manual_seed(5))).numpy()}))
    data = torch.from_numpy(mixed.calibration.inputs["x0"])
    losses = []
    for correction in ("none", "layers"):
        found = Cluster(2, channels=1, method="ternary", correction=correction)(network(), mixed)
        losses.append(sum(float((found(row)[0] - network()(row)[0]).square().sum()) for row in data.split(1)))
    assert losses[1] < 0.7 * losses[0]


@pytest.mark.parametrize("step", [BINARY, TERNARY])
def test_pruned_weights_stay_zero_and_quantizing_keeps_the_scales(step):
    found = step(Prune(0.5)(network(), CONTEXT), CONTEXT)
    value = weight_of(found)
    assert float((value == 0).float().mean()) >= 0.5 and len(found.constraints) == 2
    layer = next(n for n in Quantize("w8")(step(network(), CONTEXT), CONTEXT).nodes if is_call(n, aten.linear.default))
    latent = argument(layer, "weight").args[0]
    assert constraints_of(latent)
    torch.testing.assert_close(rounded(argument(layer, "weight"), constant_value(latent)), constant_value(latent), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("method", "bits"), [(m, b) for m, b in itertools.product(SIGNS, (1, 2, 4, "auto")) if SIGNS[m] != b])
def test_other_widths_are_refused(method, bits):
    with pytest.raises(UsageError):
        Cluster(bits, method=method)


def test_overrides_leave_a_layer_in_half_precision_and_nothing_else():
    found = Cluster(2, channels=1, method="ternary", overrides={"net": 16})(network(), CONTEXT)
    assert not found.constraints
    with pytest.raises(UsageError, match="overrides of 16"):
        Cluster(2, method="ternary", overrides={"net": 4})
