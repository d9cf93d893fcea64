import numpy as np
import pytest
import torch

from edgekit.compress.bias_correction import BiasCorrection
from edgekit.compress.quantize import Quantize
from edgekit.data import Samples
from edgekit.errors import DataError
from edgekit.graph import aten, constant_value, grid_of, is_call, op_name
from edgekit.recipe import Context
from edgekit.targets import load_target
from edgekit.testing.graphs import graph_of

RULES = load_target("android").rules
SAMPLES = Samples({"x0": np.random.default_rng(0).normal(1, 1, (40, 3, 8, 8)).astype(np.float32)})


def net(x0, w1, b1, w2, b2):
    y = aten.relu.default(aten.convolution.default(x0, w1, b1, [1, 1], [0, 0], [1, 1], False, [0, 0], 1))
    return aten.linear.default(aten.mean.dim(y, [2, 3], False), w2, b2)


def graph(bias=True):
    random = torch.Generator().manual_seed(0)
    constants = {
        "w1": torch.randn(6, 3, 3, 3, generator=random),
        "b1": torch.randn(6, generator=random),
        "w2": torch.randn(5, 6, generator=random),
    }
    if bias:
        return graph_of(net, [torch.zeros(1, 3, 8, 8)], **constants, b2=torch.zeros(5))
    return graph_of(lambda x0, w1, b1, w2: net(x0, w1, b1, w2, None), [torch.zeros(1, 3, 8, 8)], **constants)


def mean_error(exact, rounded):
    batches = [torch.from_numpy(row[None]) for row in SAMPLES.inputs["x0"]]
    return torch.stack([exact(x)[0] - rounded(x)[0] for x in batches]).mean(0).abs().max()


@pytest.mark.parametrize("scheme", ["w4a8", "w4", "w8ad8"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_mean_error_falls(scheme, bias):
    exact, context = graph(bias), Context(RULES, SAMPLES)
    rounded = Quantize(scheme)(exact, context)
    corrected = BiasCorrection()(rounded, context)
    assert mean_error(exact, corrected) < 0.7 * mean_error(exact, rounded)


def test_a_layers_mean_is_restored_exactly_where_only_its_weight_is_rounded():
    def single(x0, w, b):
        return aten.linear.default(x0, w, b)

    random = torch.Generator().manual_seed(0)
    exact = graph_of(single, [torch.zeros(1, 7)], w=torch.randn(5, 7, generator=random), b=torch.zeros(5))
    samples = Samples({"x0": np.random.default_rng(0).normal(1, 1, (40, 7)).astype(np.float32)})
    context = Context(RULES, samples)
    corrected = BiasCorrection()(Quantize("w4")(exact, context), context)
    x = torch.from_numpy(samples.inputs["x0"])
    torch.testing.assert_close(exact.module(x)[0].mean(0), corrected.module(x)[0].mean(0), atol=1e-5, rtol=0)


def test_grids_and_the_given_graph_stay():
    context = Context(RULES, SAMPLES)
    rounded = Quantize()(graph(), context)
    before = {n.name: constant_value(n).clone() for n in rounded.nodes if n.op == "get_attr"}
    corrected = BiasCorrection()(rounded, context)
    assert [grid_of(n) for n in rounded.nodes if grid_of(n)] == [grid_of(n) for n in corrected.nodes if grid_of(n)]
    assert all(torch.equal(constant_value(n), before[n.name]) for n in rounded.nodes if n.op == "get_attr")
    for node in corrected.nodes:
        if is_call(node) and op_name(node) in ("convolution", "linear"):
            assert constant_value(node.args[2]).dtype == torch.float32


def test_the_batch_size_does_not_matter():
    context = Context(RULES, SAMPLES)
    rounded = Quantize("w4a8")(graph(), context)
    one, many = (BiasCorrection(batch_size=size)(rounded, context) for size in (1, 16))
    x = torch.from_numpy(SAMPLES.inputs["x0"][:1])
    torch.testing.assert_close(one(x)[0], many(x)[0], atol=1e-4, rtol=1e-4)


def test_a_float_graph_passes_and_a_rounded_one_wants_data():
    exact = graph()
    assert BiasCorrection()(exact, Context(RULES)) is exact
    with pytest.raises(DataError, match="bias correction"):
        BiasCorrection()(Quantize("w4")(exact, Context(RULES)), Context(RULES))
