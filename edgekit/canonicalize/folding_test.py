"""Constants fold: batch norms, biases and scales into layers, and constant arithmetic into itself."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgekit.canonicalize import REWRITES
from edgekit.canonicalize.fold_constants import fold_constants
from edgekit.canonicalize.share_constants import share_constants
from edgekit.canonicalize.shrink_constants import shrink_constants
from edgekit.canonicalize.spelling_test import Fn
from edgekit.testing.proving import lifted, prove, rewritten
from edgekit.testing.randomize import randomize


def trained(model, *inputs):
    torch.manual_seed(1)
    return randomize(model, inputs)


LAYERS = {
    "conv1d": lambda: (nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), (4, 4, 9)),
    "conv2d": lambda: (nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.BatchNorm2d(6), (4, 4, 9, 9)),
    "depthwise": lambda: (nn.Conv2d(4, 8, 3, groups=4), nn.BatchNorm2d(8), (4, 4, 9, 9)),
    "transposed": lambda: (nn.ConvTranspose2d(4, 6, 3, 2), nn.BatchNorm2d(6, affine=False), (4, 4, 5, 5)),
    "grouped_transposed": lambda: (nn.ConvTranspose2d(4, 6, 3, 2, groups=2, bias=False), nn.BatchNorm2d(6), (4, 4, 5, 5)),
    "linear": lambda: (nn.Linear(4, 6), nn.BatchNorm1d(6), (4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_batch_norm_folds_into_the_layer_before(name):
    layer, norm, shape = LAYERS[name]()
    x = torch.randn(*shape)
    count = prove(trained(nn.Sequential(layer, norm, nn.ReLU()), x), x)
    assert sum(count.values()) == 2
    assert "mul" not in count
    assert "add" not in count


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "depthwise", "linear"])
def test_batch_norm_folds_into_the_layer_after(name):
    layer, _, shape = LAYERS[name]()
    norm = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](4)
    x = torch.randn(*shape)
    assert sum(prove(trained(nn.Sequential(norm, layer), x), x).values()) == 1


def test_a_shift_does_not_fold_into_a_padded_convolution():
    x = torch.randn(4, 4, 9, 9)
    count = prove(trained(nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)), x), x)
    assert count == {"mul": 1, "add": 1, "convolution": 1}


def test_a_layer_with_two_readers_keeps_its_weights():
    conv = nn.Conv2d(3, 4, 1)
    count = prove(Fn(lambda x: (conv(x) * 2, conv(x)), conv=conv), torch.randn(1, 3, 4, 4))
    assert count["convolution"] == 2

    def twice(x):
        y = conv(x)
        return y * 2, y

    assert prove(Fn(twice, conv=conv), torch.randn(1, 3, 4, 4)) == {"convolution": 1, "mul": 1}


def test_a_scalar_passes_through_reshapes():
    linear = nn.Linear(8, 8)
    model = Fn(lambda x: linear(x).unflatten(-1, (2, 4)).transpose(1, 2) * 0.5, linear=linear)
    assert prove(model, torch.randn(1, 5, 8)) == {"linear": 1, "reshape": 1, "permute": 1}


def test_a_bias_of_heads_folds_through_the_split():
    linear = nn.Linear(8, 8, bias=False)
    model = Fn(lambda x: linear(x).unflatten(-1, (2, 4)) + torch.arange(8.0).reshape(2, 4), linear=linear)
    assert prove(model, torch.randn(1, 5, 8)) == {"linear": 1, "reshape": 1}
    uneven = Fn(lambda x: linear(x).unflatten(-1, (2, 4)) + torch.arange(4.0), linear=linear)
    assert prove(uneven, torch.randn(1, 5, 8)) == {"linear": 1, "reshape": 1}
    ranked = Fn(lambda x: linear(x).unflatten(-1, (2, 4)) + torch.arange(8.0).reshape(1, 1, 2, 4), linear=linear)
    assert prove(ranked, torch.randn(1, 5, 8)) == {"linear": 1, "reshape": 1}
    rows = Fn(lambda x: linear(x).unflatten(-1, (2, 4)) + torch.arange(5.0).reshape(1, 5, 1, 1), linear=linear)
    assert prove(rows, torch.randn(1, 5, 8))["add"] == 1


def test_an_einsum_with_a_weight_is_a_linear():
    weight, bias = torch.randn(8, 2, 4), torch.randn(2, 4)
    model = Fn(lambda x: torch.einsum("abc,cde->abde", x, weight.to(x.dtype)) + bias.to(x.dtype))
    assert prove(model, torch.randn(1, 5, 8)) == {"linear": 1, "reshape": 1}


def test_a_crop_of_a_transposed_convolution_is_its_padding():
    layer = nn.ConvTranspose2d(3, 4, 4, 2)
    model = Fn(lambda x: layer(x)[:, :, 1:-1, 1:-2] + torch.arange(4.0)[:, None, None], layer=layer)
    assert prove(model, torch.randn(1, 3, 5, 5)) == {"convolution": 1, "slice": 1}


def test_constant_arithmetic_merges():
    model = Fn(lambda x: ((x - 3) / 2 + 1) * torch.arange(1.0, 5)[:, None, None] - 1)
    assert prove(model, torch.randn(1, 4, 5, 5)) == {"mul": 1, "add": 1}


def test_division_by_a_constant_zero_stays():
    assert prove(Fn(lambda x: x / torch.tensor([1.0, 0.0])), torch.randn(3, 2))["div"] == 1


def test_expansions_do_not_blow_up_the_file():
    model = Fn(lambda x: x + torch.ones(1, 1).expand(300, 300))
    module = rewritten(lifted(model, torch.randn(300, 300)), *REWRITES)
    used = {n.target for n in module.graph.nodes if n.op == "get_attr"}
    assert sum(getattr(module, t).numel() for t in used) == 1


def test_folding_leaves_only_what_depends_on_inputs():
    weight = torch.randn(4, 4)
    module = rewritten(lifted(Fn(lambda x: x @ (weight.T * 2).softmax(-1)), torch.randn(2, 4)), fold_constants)
    assert [str(n.target) for n in module.graph.nodes if n.op == "call_function"] == ["aten.matmul.default"]


def test_equal_constants_are_stored_once():
    table = torch.randn(64, 32)
    model = Fn(lambda x: x @ table.clone() + x @ table.clone())
    module = rewritten(lifted(model, torch.randn(2, 64)), fold_constants, share_constants)
    assert len([n for n in module.graph.nodes if n.op == "get_attr"]) == 1


def test_masks_shrink_to_what_broadcasts():
    model = Fn(lambda x: x * torch.full((1, 4, 6), 0.5))
    module = rewritten(lifted(model, torch.randn(1, 4, 6)), fold_constants, shrink_constants)
    (constant,) = [getattr(module, n.target) for n in module.graph.nodes if n.op == "get_attr"]
    assert constant.numel() == 1


def test_flatten_is_absorbed_by_every_reader():
    conv, a, b = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 5, 7), nn.Linear(4 * 6 * 5, 2)

    def forward(x):
        flat = conv(x).permute(0, 2, 3, 1).flatten(1)
        return a(F.relu(flat)), b(flat)

    assert prove(Fn(forward, conv=conv, a=a, b=b), torch.randn(1, 3, 8, 7))["permute"] == 0


def test_flatten_with_another_reader_stays():
    conv, a = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 5, 7)

    def forward(x):
        flat = conv(x).permute(0, 2, 3, 1).flatten(1)
        return a(flat), flat

    assert prove(Fn(forward, conv=conv, a=a), torch.randn(1, 3, 8, 7))["permute"] == 1


@pytest.mark.parametrize(
    ("layer", "pads", "value", "merged"),
    [
        (nn.Conv2d(3, 4, 3, padding=1), (1, 1, 2, 2), 0.0, True),
        (nn.Conv2d(3, 4, 3), (0, 1, 0, 1), 0.0, False),
        (nn.Conv2d(3, 4, 3), (1, 1, 1, 1), 0.5, False),
        (nn.MaxPool2d(3, 2), (1, 1, 1, 1), float("-inf"), True),
        (nn.MaxPool2d(3, 2), (1, 1, 1, 1), 0.0, False),
        (nn.MaxPool2d(2, 2), (2, 2, 1, 1), float("-inf"), False),
        (nn.AvgPool2d(3, 2), (1, 1, 1, 1), 0.0, True),
        (nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), (1, 1, 1, 1), 0.0, False),
        (nn.ConvTranspose2d(3, 4, 3), (1, 1, 1, 1), 0.0, False),
    ],
)
def test_pads_merge_into_layers_where_exact(layer, pads, value, merged):
    count = prove(Fn(lambda x: layer(F.pad(x, pads, value=value)), layer=layer), torch.randn(1, 3, 8, 8))
    assert count["pad"] == (0 if merged else 1)


def test_pads_merge_with_each_other():
    assert prove(Fn(lambda x: F.pad(F.pad(x, (1, 2)), (3, 4, 5, 6))), torch.randn(1, 3, 4, 4)) == {"pad": 1}


def test_a_mean_keeps_the_dimensions_that_a_reshape_restores():
    assert prove(Fn(lambda x: x.mean((2, 3)).reshape(1, 3, 1, 1)), torch.randn(1, 3, 4, 4)) == {"mean": 1}
