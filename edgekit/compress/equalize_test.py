import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.compress.channels import free_spaces
from edgekit.compress.equalize import Equalize
from edgekit.compress.quantize import Quantize
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.graph import aten, constant_value
from edgekit.recipe import Context
from edgekit.targets import load_target
from edgekit.testing.graphs import graph_of

RULES = load_target("android").rules
CONTEXT = Context(RULES, Samples({"x0": np.random.default_rng(0).normal(size=(6, 3, 8, 8)).astype(np.float32)}))
IMAGE = torch.zeros(1, 3, 8, 8)


def conv(x, w, b, groups=1):
    return aten.convolution.default(x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], groups)


def uneven(*shape, seed=0):
    """Weights whose output channels differ a hundredfold."""
    random = torch.Generator().manual_seed(seed)
    spread = 10 ** (2 * torch.rand(shape[0], generator=random) - 1)
    return torch.randn(*shape, generator=random) * spread.reshape(-1, *[1] * (len(shape) - 1))


def constants():
    return {
        "w1": uneven(4, 3, 3, 3), "b1": uneven(4), "w2": uneven(4, 4, 3, 3, seed=1), "b2": uneven(4, seed=2),
        "w3": uneven(4, 1, 3, 3, seed=3), "w4": uneven(5, 4, seed=4), "b4": uneven(5, seed=5),
    }  # fmt: skip


def residual(x0, **k):
    a = aten.relu.default(conv(x0, k["w1"], k["b1"]))
    b = aten.relu.default(aten.add.Tensor(a, conv(a, k["w2"], k["b2"])))
    c = aten.relu.default(conv(aten.max_pool2d.default(b, [2, 2]), k["w3"], None, groups=4))
    return aten.linear.default(aten.reshape.default(aten.mean.dim(c, [2, 3], True), [1, 4]), k["w4"], k["b4"])


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(a.abs().max()))


def test_results_stay_the_same_and_weights_do_not():
    graph = graph_of(residual, [IMAGE], **constants())
    result = Equalize()(graph, CONTEXT)
    x = torch.from_numpy(CONTEXT.calibration.inputs["x0"][:1])
    close(graph(x)[0], result(x)[0])
    old = {tuple(v.shape): v for n in graph.nodes if (v := constant_value(n)) is not None}
    changed = [v for n in result.nodes if (v := constant_value(n)) is not None and not torch.equal(v, old[tuple(v.shape)])]
    assert len(changed) >= 5


def test_a_residual_stream_is_one_space():
    spaces = free_spaces(graph_of(residual, [IMAGE], **constants()))
    assert [(len(s.writers), len(s.readers)) for s in spaces] == [(2, 2), (1, 1)]


def test_rounding_loses_less_where_small_channels_matter():
    random = torch.Generator().manual_seed(0)
    spread = 10 ** torch.linspace(-1.2, 1.2, 8).reshape(8, 1, 1, 1)
    w1, w2 = torch.randn(8, 3, 3, 3, generator=random) * spread, torch.randn(5, 8, 3, 3, generator=random) / spread.reshape(1, 8, 1, 1)
    graph = graph_of(lambda x0, w1, w2: conv(aten.relu.default(conv(x0, w1, None)), w2, None), [IMAGE], w1=w1, w2=w2)
    x = torch.from_numpy(CONTEXT.calibration.inputs["x0"][:1])
    (exact,) = graph(x)
    plain, equalized = (Quantize()(g, CONTEXT)(x)[0] for g in (graph, Equalize()(graph, CONTEXT)))
    assert float((equalized - exact).norm()) < 0.2 * float((plain - exact).norm())


def test_a_dead_channel_stays():
    values = constants()
    values["w1"][2], values["b1"][2] = 0, 0
    values["w2"][:, 1] = 0
    graph = graph_of(residual, [IMAGE], **values)
    result = Equalize()(graph, CONTEXT)
    x = torch.from_numpy(CONTEXT.calibration.inputs["x0"][:1])
    close(graph(x)[0], result(x)[0])


@pytest.mark.parametrize("between", ["sigmoid", "clamp", "constant", "output", "softmax"])
def test_what_does_not_commute_freezes_its_channels(between):
    def net(x0, c, **k):
        y = conv(x0, k["w1"], k["b1"])
        z = {
            "sigmoid": lambda: aten.sigmoid.default(y),
            "clamp": lambda: aten.clamp.default(y, 0.0, 6.0),
            "constant": lambda: aten.add.Tensor(y, c),
            "output": lambda: y,
            "softmax": lambda: aten.softmax.int(y, 1),
        }[between]()
        return conv(z, k["w2"], k["b2"]), y if between == "output" else z

    chosen = {k: v for k, v in constants().items() if k in ("w1", "b1", "w2", "b2")}
    graph = graph_of(net, [IMAGE], **chosen, c=torch.ones(1))
    assert not free_spaces(graph)
    assert Equalize()(graph, CONTEXT) is graph


def test_tied_weights_are_left_alone():
    graph = graph_of(lambda x0, w, b: conv(aten.relu.default(conv(x0, w, b)), w, b), [IMAGE], w=uneven(3, 3, 3, 3), b=uneven(3))
    assert Equalize()(graph, CONTEXT) is graph


@settings(max_examples=25)
@given(
    st.lists(
        st.sampled_from(["conv", "depthwise", "relu", "add", "max", "avg", "pad", "slice", "leaky", "sigmoid", "cat", "permute"]),
        max_size=7,
    ),
    st.floats(0, 1),
)
def test_no_graph_changes_its_results(ops, strength):
    def net(x0, **k):
        w2, b2, w3 = k["w2"], k["b2"], k["w3"]
        x = y = conv(x0, k["w1"], k["b1"])
        for op in ops:
            y, x = {
                "conv": lambda x=y: conv(x, w2, b2),
                "depthwise": lambda x=y: conv(x, w3, None, groups=4),
                "relu": lambda x=y: aten.relu.default(x),
                "add": lambda x=x, y=y: aten.add.Tensor(x, y),
                "max": lambda x=y: aten.max_pool2d.default(x, [3, 3], [1, 1], [1, 1]),
                "avg": lambda x=y: aten.avg_pool2d.default(x, [3, 3], [1, 1], [1, 1]),
                "pad": lambda x=y: aten.slice.Tensor(aten.pad.default(x, [0, 0, 1, 0], "constant", 0.0), 2, 0, 8, 1),
                "slice": lambda x=y: aten.slice.Tensor(x, 1, 0, 4, 1),
                "leaky": lambda x=y: aten.leaky_relu.default(x, 0.1),
                "sigmoid": lambda x=y: aten.sigmoid.default(x),
                "cat": lambda x=x, y=y: aten.slice.Tensor(aten.cat.default([x, y], 1), 1, 2, 6, 1),
                "permute": lambda x=y: aten.permute.default(x, [0, 1, 3, 2]),
            }[op](), y  # fmt: skip
        return conv(y, w2, b2)

    chosen = {k: v for k, v in constants().items() if k in ("w1", "b1", "w2", "b2", "w3")}
    graph = graph_of(net, [IMAGE], **chosen)
    x = torch.from_numpy(CONTEXT.calibration.inputs["x0"][:1])
    close(graph(x)[0], Equalize(strength)(graph, CONTEXT)(x)[0])


def test_options_and_data_are_asked_for():
    with pytest.raises(UsageError, match="strength"):
        Equalize(1.5)
    with pytest.raises(DataError, match="measures channels on data"):
        Equalize()(graph_of(residual, [IMAGE], **constants()), Context(RULES))
