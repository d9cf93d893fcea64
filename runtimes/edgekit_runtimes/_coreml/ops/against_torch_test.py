"""Operators for which coremltools infers no value, against torch's own."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgekit_runtimes._coreml.registry import operators

torch.manual_seed(0)
X = torch.randn(2, 4, 7, 9)


def run(name, **inputs):
    return operators()[name].compute(**inputs)


def close(got, wanted, tolerance=1e-6):
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("stride", "dilation", "groups", "pad"), itertools.product([1, 2], [1, 2], [1, 2], [0, 1]))
def test_conv(stride, dilation, groups, pad):
    weight, bias = torch.randn(6, 4 // groups, 3, 3), torch.randn(6)
    given = {"strides": [stride] * 2, "dilations": [dilation] * 2, "groups": groups, "pad_type": "custom", "pad": [pad] * 4}
    close(run("conv", x=X, weight=weight, bias=bias, **given), F.conv2d(X, weight, bias, stride, pad, dilation, groups))
    transposed = torch.randn(4, 6 // groups, 3, 3)
    wanted = F.conv_transpose2d(X, transposed, bias, stride, pad, 0, groups, dilation)
    close(run("conv_transpose", x=X, weight=transposed, bias=bias, **given), wanted)


def test_same_is_half_of_the_padding_and_the_odd_one_behind():
    weight = torch.randn(5, 4, 4, 3)
    got = run("conv", x=X, weight=weight, pad_type="same", strides=[2, 2])
    close(got, F.conv2d(F.pad(X, (1, 1, 1, 2)), weight, stride=2))
    close(run("conv", x=X, weight=weight, pad_type="same_lower", strides=[2, 2]), F.conv2d(F.pad(X, (1, 1, 2, 1)), weight, stride=2))


@pytest.mark.parametrize(("up", "exclude"), itertools.product([False, True], [False, True]))
def test_pools(up, exclude):
    given = {"x": X, "kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1], "ceil_mode": up}
    close(run("max_pool", **given), F.max_pool2d(X, 3, 2, 1, ceil_mode=up))
    wanted = F.avg_pool2d(X, 3, 2, 1, ceil_mode=up, count_include_pad=not exclude)
    close(run("avg_pool", exclude_padding_from_average=exclude, **given), wanted)
    close(run("l2_pool", x=X, kernel_sizes=[3, 3], strides=[2, 2]), F.lp_pool2d(X, 2, 3, 2), 1e-5)


def test_norms():
    gamma, beta, mean, variance = torch.rand(4, 4) + 0.5
    close(run("batch_norm", x=X, mean=mean, variance=variance, gamma=gamma, beta=beta), F.batch_norm(X, mean, variance, gamma, beta))
    close(run("instance_norm", x=X, gamma=gamma, beta=beta), F.instance_norm(X, weight=gamma, bias=beta), 1e-5)
    weight, bias = torch.randn(2, 7, 9)
    close(run("layer_norm", x=X, axes=[2, 3], gamma=weight, beta=bias), F.layer_norm(X, (7, 9), weight, bias), 1e-5)
    close(run("layer_norm", x=X), F.layer_norm(X, X.shape), 1e-5)


@pytest.mark.parametrize("mask", [None, torch.randn(5, 6), torch.rand(5, 6) > 0.3])
def test_attention(mask):
    query, key, value = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 4)
    got = run("scaled_dot_product_attention", query=query, key=key, value=value, attn_mask=mask)
    close(got, F.scaled_dot_product_attention(query, key, value, mask), 1e-5)


@pytest.mark.parametrize("size", [(14, 18), (10, 4), (7, 27)])
def test_resizing(size):
    height, width = size
    given = {"x": X, "target_size_height": height, "target_size_width": width}
    for mode, corners in (("UNALIGN_CORNERS", False), ("STRICT_ALIGN_CORNERS", True)):
        got = run("resize_bilinear", sampling_mode=mode, **given)
        close(got, F.interpolate(X, size, mode="bilinear", align_corners=corners), 1e-5)
    close(run("resize_nearest_neighbor", **given), F.interpolate(X, size))
    got = run("resize", x=X, shape=[height, width], resized_dims=2, interpolation_mode="NEAREST_NEIGHBOR", sampling_mode="UNALIGN_CORNERS")
    close(got, F.interpolate(X, size, mode="nearest-exact"))
    got = run("upsample_bilinear", x=X, scale_factor_height=2, scale_factor_width=3, align_corners=False)
    close(got, F.interpolate(X, scale_factor=(2, 3), mode="bilinear"), 1e-5)


def test_sampling_modes_by_the_documented_grids():
    """The grid points that MIL's documentation of resize_bilinear lists for two pixels, 0 and 1."""
    line = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    grids = {
        ("UNALIGN_CORNERS", 5): [0, 0.1, 0.5, 0.9, 1], ("STRICT_ALIGN_CORNERS", 5): [0, 0.25, 0.5, 0.75, 1],
        ("DEFAULT", 5): [0, 0.4, 0.8, 1, 1], ("OFFSET_CORNERS", 5): [0.1, 0.3, 0.5, 0.7, 0.9],
        ("UNALIGN_CORNERS", 6): [0, 0, 1 / 3, 2 / 3, 1, 1], ("STRICT_ALIGN_CORNERS", 6): [0, 0.2, 0.4, 0.6, 0.8, 1],
        ("ALIGN_CORNERS", 1): [0.5], ("STRICT_ALIGN_CORNERS", 1): [0],
    }  # fmt: skip
    for (mode, size), wanted in grids.items():
        got = run("resize_bilinear", x=line, target_size_height=1, target_size_width=size, sampling_mode=mode)
        close(got.flatten(), torch.tensor(wanted, dtype=torch.float32))


@pytest.mark.parametrize(("mode", "padding", "corners"), itertools.product(["bilinear", "nearest"], ["zeros", "border"], [True, False]))
def test_resampling(mode, padding, corners):
    grid = torch.rand(2, 5, 6, 2) * 2.6 - 1.3
    names = {"zeros": "constant", "border": "border"}
    got = run("resample", x=X, coordinates=grid, sampling_mode=mode, padding_mode=names[padding], padding_value=0.0,
              coordinates_mode="normalized_minus_one_to_one", align_corners=corners)  # fmt: skip
    close(got, F.grid_sample(X, grid, mode, padding, corners), 1e-4)


def test_reflections():
    row = torch.arange(4.0).reshape(1, 1, 1, 4)
    places = torch.stack([torch.arange(-3.0, 7.0), torch.zeros(10)], -1).reshape(1, 1, 10, 2)
    for padding, wanted in (("reflection", [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]), ("symmetric", [2, 1, 0, 0, 1, 2, 3, 3, 2, 1])):
        got = run("resample", x=row, coordinates=places, sampling_mode="nearest", padding_mode=padding, padding_value=0.0,
                  coordinates_mode="unnormalized", align_corners=True)  # fmt: skip
        assert got.flatten().tolist() == wanted


def test_affine():
    theta = torch.tensor([[0.8, 0.2, 0.1, -0.3, 0.9, 0.05]]).repeat(2, 1)
    got = run("affine", x=X, transform_matrix=theta, output_height=5, output_width=6, sampling_mode="bilinear", padding_mode="constant",
              padding_value=0.0, coordinates_mode="normalized_minus_one_to_one", align_corners=True)  # fmt: skip
    grid = F.affine_grid(theta.reshape(2, 2, 3), (2, 4, 5, 6), align_corners=True)
    close(got, F.grid_sample(X, grid, align_corners=True), 1e-4)


def reordered(tensor, order):
    """torch's gates in MIL's order."""
    parts = tensor.chunk(len(order))
    return torch.cat([parts[i] for i in order])


def test_lstm():
    layer = nn.LSTM(3, 4, bidirectional=True)
    x, h, c = torch.randn(6, 2, 3), torch.randn(2, 2, 4), torch.randn(2, 2, 4)
    weights = {name: reordered(value.detach(), (0, 1, 3, 2)) for name, value in layer.named_parameters()}
    given = {"x": x, "initial_h": torch.cat([*h], -1), "initial_c": torch.cat([*c], -1), "direction": "bidirectional"}
    for end, name in (("", "_l0"), ("_back", "_l0_reverse")):
        given |= {f"weight_ih{end}": weights[f"weight_ih{name}"], f"weight_hh{end}": weights[f"weight_hh{name}"]}
        given[f"bias{end}"] = weights[f"bias_ih{name}"] + weights[f"bias_hh{name}"]
    wanted, (last, cell) = layer(x, (h, c))
    got = run("lstm", output_sequence=True, **given)
    for mine, theirs in zip(got, (wanted, torch.cat([*last], -1), torch.cat([*cell], -1)), strict=True):
        close(mine, theirs.detach(), 1e-5)
    close(run("lstm", **given)[0][0], got[1])


def test_gru_as_torch_has_it():
    layer = nn.GRU(3, 4)
    x, h = torch.randn(6, 2, 3), torch.randn(2, 4)
    weights = {name: reordered(value.detach(), (0, 2, 1)) for name, value in layer.named_parameters()}
    given = {"weight_ih": weights["weight_ih_l0"], "weight_hh": weights["weight_hh_l0"], "bias": weights["bias_hh_l0"]}
    got = run("gru", x=x, initial_h=h, input_bias=weights["bias_ih_l0"], reset_after=True, output_sequence=True, **given)
    wanted, last = layer(x, h.unsqueeze(0))
    close(got[0], wanted.detach(), 1e-5)
    close(got[1], last[0].detach(), 1e-5)


def test_gru_by_default_resets_the_state_before_its_product():
    """Core ML's own: o = tanh(W x + R (r * h) + b)."""
    x, h, w, r, b = torch.randn(1, 2, 3), torch.randn(2, 4), torch.randn(12, 3), torch.randn(12, 4), torch.randn(12)
    (w_r, w_o, w_z), (r_r, r_o, r_z), (b_r, b_o, b_z) = w.chunk(3), r.chunk(3), b.chunk(3)
    reset, update = torch.sigmoid(x[0] @ w_r.T + h @ r_r.T + b_r), torch.sigmoid(x[0] @ w_z.T + h @ r_z.T + b_z)
    out = torch.tanh(x[0] @ w_o.T + (reset * h) @ r_o.T + b_o)
    close(run("gru", x=x, initial_h=h, weight_ih=w, weight_hh=r, bias=b)[1], (1 - update) * out + update * h, 1e-5)


def test_rnn_and_backwards():
    layer = nn.RNN(3, 4, nonlinearity="relu")
    x, h = torch.randn(6, 2, 3), torch.randn(2, 4)
    given = {"weight_ih": layer.weight_ih_l0, "weight_hh": layer.weight_hh_l0, "bias": layer.bias_ih_l0 + layer.bias_hh_l0}
    got = run("rnn", x=x, initial_h=h, activation="relu", direction="reverse", output_sequence=True, **given)
    close(got[0], layer(x.flip(0), h.unsqueeze(0))[0], 1e-5)  # in the order in which it was computed


def test_joining_element_by_element():
    a, b = torch.tensor([[1, 2], [3, 4], [5, 6]]), torch.tensor([[7, 8], [9, 10], [11, 12]])
    assert run("concat", values=[a, b], axis=0, interleave=True).tolist() == [[1, 2], [7, 8], [3, 4], [9, 10], [5, 6], [11, 12]]


def test_running_sums():
    x = torch.tensor([1.0, 2.0, 3.0])
    assert run("cumsum", x=x, exclusive=True).tolist() == [0, 1, 3]
    assert run("cumsum", x=x, reverse=True).tolist() == [6, 5, 3]
    assert run("cumsum", x=x, exclusive=True, reverse=True).tolist() == [5, 3, 0]


@pytest.mark.parametrize(("mode", "wanted"), [("update", 4), ("add", 14), ("sub", 6), ("mul", 40), ("div", 2.5), ("max", 10), ("min", 4)])
def test_scatter_modes(mode, wanted):
    data, updates = torch.full((3, 2), 10.0), torch.full((1, 2), 4.0)
    rows = run("scatter", data=data, indices=torch.tensor([-1]), updates=updates, mode=mode)
    assert rows.tolist() == [[10, 10], [10, 10], [wanted, wanted]]
    at = run("scatter_nd", data=data, indices=torch.tensor([[1, 0]]), updates=torch.tensor([4.0]), mode=mode)
    assert at.tolist() == [[10, 10], [wanted, 10], [10, 10]]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("conv", {"x": X, "weight": torch.ones(1, 4, 1, 1), "pad_type": "around"}),
        ("gelu", {"x": X, "mode": "ERF"}),
        ("cast", {"x": X, "dtype": "fp8"}),
        ("pad", {"x": X, "pad": [1, 1], "mode": "wrap"}),
        ("pad", {"x": X, "pad": [9, 9], "mode": "reflect"}),
        ("scatter", {"data": X, "indices": torch.tensor([0]), "updates": X[:1], "mode": "xor"}),
        ("resize_bilinear", {"x": X, "target_size_height": 3, "target_size_width": 3, "sampling_mode": "CUBIC"}),
        ("quantize", {"input": X, "scale": torch.tensor(1.0), "output_dtype": "int16"}),
        ("rnn", {"x": X[0], "initial_h": X[0, 0], "weight_ih": X, "weight_hh": X, "activation": "mish"}),
        ("lstm", {"x": X[0], "initial_h": X, "initial_c": X, "weight_ih": X, "weight_hh": X, "direction": "bidirectional"}),
        ("crop_resize", {"x": X}),
    ],
)
def test_what_an_operator_does_not_have_is_told(name, inputs):
    with pytest.raises(ValueError, match=r"known are|without|no boxes|reflection by"):
        run(name, **inputs)
