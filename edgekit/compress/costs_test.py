import pytest
import torch

from edgekit.compress.costs import Cost, cost_of, layer_costs, work_of
from edgekit.compress.prune import Prune
from edgekit.compress.quantize import Quantize
from edgekit.graph import aten
from edgekit.recipe import Context
from edgekit.targets import load_target
from edgekit.targets.kernels import ONLY_MACS, Kernels
from edgekit.testing.graphs import graph_of

IMAGE = torch.zeros(2, 4, 8, 8)


def small(x0, **k):
    a = aten.convolution.default(x0, k["w1"], k["b1"], [2, 2], [1, 1], [1, 1], False, [0, 0], 2)
    up = aten.convolution.default(a, k["wt"], None, [2, 2], [0, 0], [1, 1], True, [0, 0], 1)
    return aten.linear.default(aten.reshape.default(aten.mean.dim(up, [2, 3], True), [2, 3]), k["w2"], k["b2"])


def constants():
    layers = {"w1": (6, 2, 3, 3), "b1": (6,), "wt": (6, 3, 2, 2), "w2": (5, 3), "b2": (5,)}
    return {name: torch.randn(*shape) for name, shape in layers.items()}


def test_products_are_counted_by_hand():
    by_op = {layer.node: layer.cost for layer in layer_costs(graph_of(small, [IMAGE], **constants()))}
    assert [cost.macs for cost in by_op.values()] == [2 * 6 * 4 * 4 * 2 * 9, 2 * 6 * 4 * 4 * 3 * 4, 2 * 5 * 3]
    assert [cost.parameters for cost in by_op.values()] == [6 * 2 * 9 + 6, 6 * 3 * 4, 5 * 3 + 5]
    assert [cost.bytes for cost in by_op.values()] == [4 * cost.parameters for cost in by_op.values()]


def test_attention_products_and_recurrences():
    def attends(x0, x1):
        return aten.scaled_dot_product_attention.default(x0, x1, x1), aten.matmul.default(x0, x0)

    queries, keys = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 5, 8)
    assert cost_of(graph_of(attends, [queries, keys])).macs == 2 * 8 * 5 * (8 + 8) + 2 * 8 * 8 * 8

    def recurs(x0, **k):
        return aten.lstm.input(x0, [k["h"], k["c"]], [k["wi"], k["wh"], k["bi"], k["bh"]], True, 1, 0.0, False, False, True)[0]

    state = {"h": torch.zeros(1, 1, 4), "c": torch.zeros(1, 1, 4)}
    weights = {"wi": torch.zeros(16, 3), "wh": torch.zeros(16, 4), "bi": torch.zeros(16), "bh": torch.zeros(16)}
    assert cost_of(graph_of(recurs, [torch.zeros(1, 7, 3)], **state, **weights)).macs == 7 * 16 * (3 + 4)


def test_shared_constants_count_once_and_indices_are_no_parameters():
    def shared(x0, w, rows):
        a = aten.linear.default(aten.linear.default(x0, w), w)
        return aten.index_select.default(a, 1, rows)

    cost = cost_of(graph_of(shared, [torch.zeros(1, 4)], w=torch.zeros(4, 4), rows=torch.tensor([0, 2])))
    assert cost == Cost(macs=32, parameters=16, bytes=4 * 16 + 8 * 2)


def test_grids_and_masks():
    context = Context(load_target("android").rules)
    graph = graph_of(small, [IMAGE], **constants())
    pruned = Prune(sparsity=0.5)(graph, context)
    assert cost_of(pruned).zeros > 0
    assert cost_of(pruned).bytes == cost_of(graph).bytes
    quantized = Quantize("w8")(graph, context)
    assert cost_of(quantized).macs == cost_of(graph).macs
    assert cost_of(quantized).parameters == cost_of(graph).parameters
    assert cost_of(quantized).bytes < cost_of(graph).bytes / 2


def test_work_counts_whole_tiles_outputs_and_sums():
    weights = {"w": torch.randn(24, 4, 3, 3), "d": torch.randn(24, 1, 3, 3)}

    def net(x, **k):
        y = aten.convolution.default(x, k["w"], None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
        return aten.add.Tensor(y, aten.convolution.default(y, k["d"], None, [1, 1], [1, 1], [1, 1], False, [0, 0], 24))

    conv, depthwise, add = (n for n in graph_of(net, [torch.zeros(1, 4, 5, 5)], **weights).nodes if n.op == "call_function")
    kernels = Kernels(tile=16, output=40, depthwise=6, element=32)
    assert work_of(conv, kernels) == pytest.approx(32 * 25 * (4 * 9 + 40))
    assert work_of(depthwise, kernels) == pytest.approx(32 * 25 * (9 * 6 + 40))
    assert work_of(add, kernels) == 24 * 25 * 32
    assert [work_of(n, ONLY_MACS) for n in (conv, depthwise, add)] == [24 * 25 * 36, 24 * 25 * 9, 0]
