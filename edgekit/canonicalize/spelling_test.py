"""Every spelling of an operator becomes the canonical one, with the same numbers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgekit.testing.proving import prove


class Fn(nn.Module):
    """A module of one function, and perhaps some layers."""

    def __init__(self, f, **layers):
        super().__init__()
        self.f = f
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *args):
        return self.f(*args)


def image(*shape):
    return torch.randn(*(shape or (1, 4, 6, 8)), generator=torch.Generator().manual_seed(0))


def written(x):
    y = x * 2
    y[:, 1] = 0.0
    y[y > 1] = 1.0
    return y


def logic(x):
    return torch.where((x > 0) & ~(x > 1) | (x == 0), x, -x)


def resize(x):
    return F.interpolate(x, scale_factor=2) + F.interpolate(x, (12, 16), mode="bilinear")


def scaled_sum(x):
    return torch.baddbmm(x[0], x[0], x[0, :, :1].mT @ x[0, :, :1], beta=0.5, alpha=2)


CASES = {
    "shuffle by 1": (lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 1), 1) * 2, {"mul"}),
    "flatten": (lambda x: x.flatten(1), {"reshape"}),
    "unflatten": (lambda x: x.unflatten(1, (2, 2)), {"reshape"}),
    "squeeze": (lambda x: x[:, :1].squeeze(1).unsqueeze(-1), {"slice", "reshape"}),
    "transpose": (lambda x: x.transpose(1, 2).mT.movedim(0, 2), {"permute"}),
    "expand_as": (lambda x: x[:, :1].expand_as(x), {"slice", "expand"}),
    "repeat": (lambda x: x.repeat(2, 1, 1, 1, 3), {"reshape", "repeat"}),
    "tile": (lambda x: x.tile(2), {"repeat"}),
    "repeat_interleave": (lambda x: x.repeat_interleave(3, 2), {"reshape", "expand"}),
    "repeated_pixels": (lambda x: x.repeat_interleave(2, 2).repeat_interleave(3, 3), {"upsample_nearest2d"}),
    "repeated_pixels_last": (lambda x: x.repeat_interleave(2, 1).repeat_interleave(3, 2), {"permute", "upsample_nearest2d"}),
    "repeated_otherwise": (lambda x: x.repeat_interleave(2, 2).repeat_interleave(3, 2), {"reshape", "expand"}),
    "channel_shuffle": (lambda x: F.channel_shuffle(x, 2), {"reshape", "permute"}),
    "chunk": (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), {"slice", "cat"}),
    "split": (lambda x: torch.add(*x.split(2, 1)), {"slice", "add"}),
    "split_sizes": (lambda x: x.split([1, 3], 1)[1], {"slice"}),
    "unbind": (lambda x: x.unbind(1)[-1], {"slice", "reshape"}),
    "select": (lambda x: x[:, -1], {"slice", "reshape"}),
    "negative_slice": (lambda x: x[:, -3:-1, ::2], {"slice"}),
    "narrow": (lambda x: x.narrow(3, 2, 4), {"slice"}),
    "stack": (lambda x: torch.stack([x, x * 2], -1), {"reshape", "cat", "mul"}),
    "roll": (lambda x: x.roll((1, -2), (1, 3)), {"slice", "cat"}),
    "roll_flat": (lambda x: x.roll(3), {"slice", "cat", "reshape"}),
    "flip": (lambda x: x.flip(-1, 1), {"flip"}),
    "index": (lambda x: x[:, torch.tensor([2, 0, -1])], {"index_select"}),
    "index_run": (lambda x: x[:, torch.tensor([1, 2, 3])], {"slice"}),
    "index_two": (lambda x: x[:, torch.tensor([[0], [2]]), torch.tensor([[1, 5]])], {"reshape", "index_select"}),
    "index_select": (lambda x: x.index_select(-1, torch.tensor([7, 0])), {"index_select"}),
    "write_row": (written, {"slice", "cat", "where", "gt", "mul"}),
    "rsub": (lambda x: 1 - x, {"sub"}),
    "alpha": (lambda x: torch.add(x, x.relu(), alpha=0.5), {"add", "mul", "relu"}),
    "rsub_alpha": (lambda x: torch.rsub(x, x.relu(), alpha=2), {"sub", "mul", "relu"}),
    "square": (lambda x: x.square() + x**2 + x**3, {"mul", "add"}),
    "powers": (lambda x: x.abs() ** 0.5 + (x.abs() + 1) ** -0.5 + (x.abs() + 1) ** 1.7, {"abs", "sqrt", "rsqrt", "add", "pow"}),
    "reciprocal": (lambda x: (x.abs() + 1).reciprocal(), {"abs", "add", "div"}),
    "floor_divide": (lambda x: torch.div(x, 0.3, rounding_mode="floor"), {"mul", "floor"}),
    "addcmul": (lambda x: torch.addcmul(x, x, x.relu(), value=0.5), {"mul", "add", "relu"}),
    "lerp": (lambda x: torch.lerp(x, x.relu(), 0.3), {"mul", "add", "sub", "relu"}),
    "masked_fill": (lambda x: x.masked_fill(x > 0.5, 2.0), {"gt", "where"}),
    "logic": (logic, {"gt", "eq", "logical_and", "logical_or", "logical_not", "where", "neg"}),
    "clamps": (lambda x: x.clamp(-1, 1) + x.clamp_min(-0.5) + F.hardtanh(x) + F.relu6(x), {"clamp", "add"}),
    "clamp_is_relu": (lambda x: x.clamp(min=0), {"relu"}),
    "clamp_tensor": (lambda x: torch.clamp(x, -x.abs(), x.abs() * 0.5), {"abs", "neg", "mul", "maximum", "minimum"}),
    "int_promotion": (lambda x: x + (x > 0), {"gt", "_to_copy", "add"}),
    "selu": (F.selu, {"elu", "mul"}),
    "log_sigmoid": (F.logsigmoid, {"neg", "softplus"}),
    "softmax": (lambda x: F.softmax(x, -1) + F.log_softmax(x, 1), {"softmax", "log_softmax", "add"}),
    "rrelu": (F.rrelu, {"leaky_relu"}),
    "expm1": (lambda x: x.expm1(), {"exp", "add"}),
    "mean_all": (lambda x: x.mean(), {"mean"}),
    "max_dim": (lambda x: x.max(1).values + x.amin((1,)) + x.sum(1) + x.prod(1), {"amax", "amin", "sum", "prod", "add"}),
    "variance": (lambda x: x.var(1) + x.std((2, 1), unbiased=False, keepdim=True)[:, 0], {"mean", "mul", "sub", "sqrt", "add", "reshape"}),
    "norms": (lambda x: torch.linalg.vector_norm(x, dim=1) + x.norm(1, 1), {"mul", "sum", "sqrt", "abs", "add"}),
    "cumsum": (lambda x: x.cumsum(-1), {"cumsum"}),
    "topk": (lambda x: x.topk(3, -1).values, {"topk"}),
    "max_pool1d": (lambda x: F.max_pool1d(x[0], 4), {"reshape", "max_pool2d"}),
    "avg_pool1d": (lambda x: F.avg_pool1d(x[0], 3, 2, 1), {"reshape", "avg_pool2d"}),
    "whole_pool": (lambda x: F.avg_pool2d(x, (6, 8)), {"mean"}),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, 1) + F.adaptive_avg_pool2d(x, (3, 4)), {"mean", "avg_pool2d", "add"}),
    "ceil_pool": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), {"max_pool2d"}),
    "resize": (resize, {"upsample_nearest2d", "upsample_bilinear2d", "add"}),
    "resize_1d": (lambda x: F.interpolate(x[0], scale_factor=2), {"upsample_nearest2d", "reshape"}),
    "pads": (lambda x: F.pad(F.pad(x, (1, 2)), (0, 0, -1, 1)), {"pad", "slice"}),
    "reflect": (lambda x: F.pad(x, (1, 2, 0, 1), mode="reflect"), {"pad"}),
    "replicate": (lambda x: F.pad(x, (0, 0, 2, 1), mode="replicate"), {"pad"}),
    "bmm": (lambda x: torch.bmm(x[0], x[0].mT), {"reshape", "permute", "matmul"}),
    "matvec": (lambda x: x @ x[0, 0, 0], {"slice", "reshape", "matmul"}),
    "computed_linear": (lambda x: F.linear(x, x[0, 0]), {"slice", "reshape", "permute", "matmul"}),
    "baddbmm": (scaled_sum, {"slice", "reshape", "permute", "matmul", "mul", "add"}),
    "einsum_attention": (lambda x: torch.einsum("bhqd,bhkd->bhqk", x, x), {"permute", "matmul"}),
    "einsum_sum": (lambda x: torch.einsum("abcd,cd->a", x, x[0, 0]), {"sum", "reshape", "matmul", "slice"}),
    "einsum_outer": (lambda x: torch.einsum("abcd,ae->cbed", x, x[0, 0, :1]), {"sum", "reshape", "matmul", "permute", "slice", "linear"}),
    "zeros_like": (lambda x: x + torch.ones_like(x) + x.new_full((1, 8), 2.0), {"add"}),
    "where_scalar": (lambda x: torch.where(x > 0, 1.0, x), {"gt", "where"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_spelling(name):
    function, allowed = CASES[name]
    count = prove(Fn(function), image())
    assert set(count) <= allowed


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, "same", "valid"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions(rank, padding, groups):
    layer = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1](4, 6, 2, padding=padding, dilation=3, groups=groups)
    count = prove(layer, torch.randn(2, 4, *[9] * rank))
    assert set(count) <= {"convolution", "pad"}


@pytest.mark.parametrize("rank", [1, 2])
def test_transposed_convolutions(rank):
    layer = (nn.ConvTranspose1d, nn.ConvTranspose2d)[rank - 1](4, 6, 3, stride=2, padding=1, output_padding=1, groups=2)
    assert prove(layer, torch.randn(2, 4, *[5] * rank)) == {"convolution": 1}


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.LayerNorm([6, 8]), (2, 4, 6, 8), {"layer_norm": 1}),
        (nn.GroupNorm(2, 4), (2, 4, 6, 8), {"group_norm": 1}),
        (nn.InstanceNorm2d(4, affine=True), (2, 4, 6, 8), {"group_norm": 1}),
        (nn.RMSNorm(8), (2, 4, 6, 8), {"rms_norm": 1}),
        (nn.BatchNorm2d(4), (2, 4, 6, 8), {"mul": 1, "add": 1}),
        (nn.BatchNorm1d(8), (2, 8), {"mul": 1, "add": 1}),
        (nn.BatchNorm1d(4, affine=False), (2, 4, 8), {"mul": 1, "add": 1}),
        (nn.PReLU(4), (2, 4, 6, 8), {"prelu": 1}),
        (nn.GLU(1), (2, 4, 6, 8), {"glu": 1}),
        (nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True), (2, 4, 8), {"lstm": 1}),
        (nn.Embedding(10, 4), None, {"embedding": 1}),
    ],
)
def test_layers(layer, shape, expected):
    for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5) if "var" in name else tensor.data.normal_()
    x = torch.randint(0, 10, (2, 3)) if shape is None else torch.randn(*shape)
    model = Fn(lambda x: layer(x)[0], layer=layer) if isinstance(layer, nn.LSTM) else layer
    count = prove(model, x)
    assert {k: v for k, v in count.items() if k not in ("expand",)} == expected


def test_batch_norm_in_training_mode_is_refused():
    from edgekit.canonicalize import REWRITES, inlined
    from edgekit.errors import LoadError

    model = Fn(lambda x: F.batch_norm(x, None, None, training=True))
    with torch.no_grad():
        module = inlined(torch.export.export(model, (image(),), strict=False))
    with pytest.raises(LoadError, match="statistics of its batch"):
        for rewrite in REWRITES:
            rewrite(module.graph)
