import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators


@settings(max_examples=25)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(1, 2), st.booleans(), st.booleans())
def test_layer_norm_on_any_shape(shape, normalized, weighted, biased):
    x = torch.randn(shape) * 3 + 2
    last = shape[-min(normalized, len(shape)) :]
    constants = {"w": torch.randn(last)} if weighted else {}
    constants |= {"b": torch.randn(last)} if biased else {}
    graph = graph_of(lambda x, w=None, b=None: aten.layer_norm.default(x, last, w, b, 1e-5), [x], "block", **constants)
    lowered(graph, "layer_norm", inputs=(x,), tolerance=1e-4)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.sampled_from([None, 1e-6]), st.booleans())
def test_rms_norm_on_any_shape(shape, eps, weighted):
    x = torch.randn(shape)
    constants = {"w": torch.randn(shape[-1])} if weighted else {}
    graph = graph_of(lambda x, w=None: aten.rms_norm.default(x, [shape[-1]], w, eps), [x], "block", **constants)
    lowered(graph, "rms_norm", inputs=(x,))


@pytest.mark.parametrize(("space", "groups"), [((), 3), *itertools.product([(7,), (4, 5), (2, 3, 4)], [1, 3, 12])])
@pytest.mark.parametrize("weighted", [True, False])
def test_group_norm_on_any_rank(space, groups, weighted):
    x = torch.randn(2, 12, *space) + torch.arange(12.0).reshape(12, *[1] * len(space))
    constants = {"w": torch.randn(12), "b": torch.randn(12)} if weighted else {}
    graph = graph_of(lambda x, w=None, b=None: aten.group_norm.default(x, groups, w, b, 1e-5, False), [x], "block", **constants)
    lowered(graph, "group_norm", inputs=(x,), tolerance=1e-4)


def test_group_norm_moves_no_data_of_an_image():
    x = torch.randn(1, 8, 5, 5)
    graph = graph_of(lambda x: aten.group_norm.default(x, 4, None, None, 1e-5, False), [x], "block")
    assert not {"reshape", "permute", "expand"} & set(operators(lowered(graph, "group_norm", inputs=(x,))))


def test_linears_absorb_the_scale_and_shift_of_the_norm_before_them():
    x = torch.randn(2, 5, 8)

    def project(x, w, b, q, k):
        y = aten.layer_norm.default(x, [8], w, b, 1e-5)
        return aten.linear.default(y, q, b), aten.linear.default(y, k)

    weights = {"w": torch.randn(8), "b": torch.randn(8), "q": torch.randn(8, 8), "k": torch.randn(4, 8)}
    counts = operators(lowered(graph_of(project, [x], "block", **weights), "layer_norm", "affine", inputs=(x,)))
    assert counts == {"mean": 2, "sub": 1, "mul": 2, "add": 1, "rsqrt": 1, "linear": 2}
