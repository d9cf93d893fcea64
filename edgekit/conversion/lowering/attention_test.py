import pytest
import torch

from edgekit.graph import aten
from edgekit.testing.graphs import graph_of
from edgekit.testing.lowered import lowered, operators

NAME = "scaled_dot_product_attention"
sdpa = aten.scaled_dot_product_attention.default


def _qkv(heads=4, key_heads=4, source=7):
    length, width, batch = 5, 8, 2
    return (
        torch.randn(batch, heads, length, width),
        torch.randn(batch, key_heads, source, width),
        torch.randn(batch, key_heads, source, width),
    )


@pytest.mark.parametrize("scale", [None, 1.0, 0.3])
def test_scale(scale):
    inputs = _qkv()
    graph = graph_of(lambda q, k, v: sdpa(q, k, v, None, 0.0, False, scale=scale), inputs, "block")
    counts = operators(lowered(graph, NAME, inputs=inputs))
    assert NAME not in counts
    assert counts["matmul"] == 2 and counts["softmax"] == 1 and counts.get("mul", 0) == (0 if scale == 1 else 1)


@pytest.mark.parametrize("rank", [2, 3])
def test_other_ranks(rank):
    inputs = [torch.randn(*[2] * (rank - 2), 4, 8) for _ in range(3)]
    lowered(graph_of(sdpa, inputs, "block"), NAME, inputs=tuple(inputs))


@pytest.mark.parametrize("mask", ["causal", "bool", "float", "minus infinity", "run time", "all visible"])
def test_masks(mask):
    inputs = [*_qkv(source=5)]
    keep = torch.rand(5, 5) > 0.4
    keep[:, 0] = True
    values = {"bool": keep, "float": torch.randn(2, 1, 5, 5), "minus infinity": torch.zeros(5, 5).masked_fill(~keep, -torch.inf)}
    values["all visible"] = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    if mask == "causal":
        graph = graph_of(lambda q, k, v: sdpa(q, k, v, None, 0.0, True), inputs, "block")
    elif mask == "run time":
        inputs.append(torch.randn(2, 1, 1, 5))
        graph = graph_of(sdpa, inputs, "block")
    else:
        graph = graph_of(sdpa, inputs, "block", attn_mask=values[mask])
    counts = operators(lowered(graph, NAME, inputs=tuple(inputs)))
    assert counts.get("where", 0) == (mask in ("causal", "bool", "minus infinity"))
    assert counts.get("add", 0) == (mask in ("float", "run time"))


@pytest.mark.parametrize("causal", [True, False])
def test_grouped_queries_repeat_no_key(causal):
    inputs = _qkv(heads=6, key_heads=2, source=5)
    graph = graph_of(lambda q, k, v: sdpa(q, k, v, None, 0.0, causal, enable_gqa=True), inputs, "block")
    assert not {"repeat", "expand", "cat"} & set(operators(lowered(graph, NAME, inputs=inputs)))


def _heads(x, pick):
    part = aten.slice.Tensor(x, 2, pick * 8, pick * 8 + 8, 1)
    return aten.permute.default(aten.reshape.default(part, [2, 5, 2, 4]), [0, 2, 1, 3])


def test_a_fused_projection_scales_only_the_rows_of_its_queries():
    x = torch.randn(2, 5, 6)

    def attend(x, w, b):
        qkv = aten.linear.default(x, w, b)
        return sdpa(*(_heads(qkv, pick) for pick in range(3)))

    graph = graph_of(attend, [x], "block", w=torch.randn(24, 6), b=torch.randn(24))
    assert "mul" not in operators(lowered(graph, NAME, inputs=(x,)))


@pytest.mark.parametrize("shared", ["key", "output"])
def test_queries_others_see_are_multiplied(shared):
    x = torch.randn(2, 5, 6)

    def attend(x, w):
        qkv = aten.linear.default(x, w)
        q, v = _heads(qkv, 0), _heads(qkv, 2)
        return (sdpa(q, q, v), v) if shared == "key" else (sdpa(q, _heads(qkv, 1), v), qkv)

    graph = graph_of(attend, [x], "block", w=torch.randn(24, 6))
    assert operators(lowered(graph, NAME, inputs=(x,)))["mul"] == 1
