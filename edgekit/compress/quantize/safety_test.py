import warnings

import numpy as np
import pytest
import torch

from edgekit.compress.quantize import QuantizationWarning
from edgekit.compress.quantize.grids import LIMITS
from edgekit.data import Samples
from edgekit.errors import ConversionError
from edgekit.graph import aten, grid_of
from edgekit.testing.graphs import graph_of
from edgekit.testing.quantizing import IMAGE, call_of, conv_graph, operand_grids, quantized, result_grid, weights


def degenerate(fill, net=None):
    net = net or (lambda x0: aten.mul.Tensor(aten.add.Tensor(x0, x0), x0))
    samples = Samples({"x0": np.full((4, 3, 8, 8), fill, np.float32)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph = quantized(graph_of(net, [IMAGE], module_path="stem.add"), samples)
    texts = [str(w.message) for w in caught if issubclass(w.category, QuantizationWarning)]
    return graph, texts


@pytest.mark.parametrize("fill", [0.0, 3.0, -3.0, 1e-30, 1e-42, 1e25])
def test_degenerate_data_get_usable_grids_and_a_warning(fill):
    graph, texts = degenerate(fill)
    assert texts and "stem.add" in " ".join(texts)
    assert set(texts) <= set(graph.notes)
    for node in graph.nodes:
        if (grid := grid_of(node)) is not None:
            assert np.isfinite(grid.scale[0]) and 1e-38 < grid.scale[0] < 1e35
            assert LIMITS[grid.dtype][0] <= grid.zero_point[0] <= LIMITS[grid.dtype][1]
    assert all(bool(v.isfinite().all()) for v in graph(torch.full((1, 3, 8, 8), fill)))


@pytest.mark.filterwarnings("ignore::edgekit.compress.quantize.QuantizationWarning")
def test_nan_inside_the_model_is_left_out_and_named():
    def net(x0, c):
        return aten.add.Tensor(aten.log.default(aten.add.Tensor(x0, c)), c)

    with pytest.warns(QuantizationWarning, match="log_default.*NaN or infinite"):
        graph = quantized(graph_of(net, [IMAGE], c=torch.tensor(0.5)))
    assert result_grid(call_of(graph, "log")).scale[0] < 1


@pytest.mark.filterwarnings("ignore::edgekit.compress.quantize.QuantizationWarning")
def test_a_weight_that_is_nan_is_an_error_that_names_the_module():
    w = weights(3, 3, 3, 3)
    w[1, 1, 1, 1] = float("nan")
    with pytest.raises(ConversionError, match=r"(?s)NaN.*stem"):
        quantized(conv_graph(w))


def test_zero_channels_and_huge_biases_fit():
    w, b = weights(4, 3, 3, 3), torch.tensor([0.0, 5.0, 1e6, -3.0])
    w[0] = 0
    w[1] = 0
    w[2] *= 1e-9
    with pytest.warns(QuantizationWarning, match="bias"):
        graph = quantized(conv_graph(w, b))
    node = call_of(graph, "convolution")
    step = grid_of(node.args[0]).scale[0] * np.array(grid_of(node.args[1]).scale)
    assert np.all(np.abs(b.numpy()) / step <= 2**30)
    (found,) = graph(torch.zeros(1, 3, 8, 8))
    np.testing.assert_allclose(found[0, :, 4, 4], b, atol=result_grid(node).scale[0])


def test_a_result_far_smaller_than_its_operands_keeps_the_kernels_factor_small():
    def net(x0, c):
        return aten.sub.Tensor(aten.add.Tensor(x0, c), aten.add.Tensor(x0, c))

    with pytest.warns(QuantizationWarning):
        graph = quantized(graph_of(net, [IMAGE], c=torch.tensor(100.0)))
    node = call_of(graph, "sub")
    assert max(g.scale[0] for g in operand_grids(node)) / result_grid(node).scale[0] <= 64.1


def test_an_exponential_reads_no_grid_its_kernel_aborts_on():
    def net(x0, w, b):
        return aten.softmax.int(
            aten.reshape.default(aten.convolution.default(x0, w, b, [1, 1], [0, 0], [1, 1], False, [0, 0], 1), [1, 108]), 1
        )

    with pytest.warns(QuantizationWarning, match="varies too little"):
        graph = quantized(graph_of(net, [IMAGE], w=weights(3, 3, 3, 3) * 1e-12, b=torch.zeros(3)))
    (grid,) = operand_grids(call_of(graph, "softmax"))
    assert grid.scale[0] > 2**-26
