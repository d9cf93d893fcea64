"""Permutes sink, cancel, and never change what is computed."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgekit.canonicalize.sink_permutes import inverse, is_free
from edgekit.testing.proving import prove

TO_FIRST, TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class ChannelsLast(nn.Module):
    """A random channels-last network: every layer that wants channels first permutes to and fro, as Keras does."""

    def __init__(self, steps, channels=4):
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleList()
        for step in steps:
            self.layers.append(self._layer(step, channels))
            channels = self._channels_after(step, channels)

    @staticmethod
    def _channels_after(step, channels):
        return {"conv": 6, "concat": 2 * channels, "drop_channels": channels - 1}.get(step, channels)

    @staticmethod
    def _layer(step, channels):
        if step == "conv":
            return nn.Conv2d(channels, 6, 3, padding=1)
        if step == "depthwise":
            return nn.Conv2d(channels, channels, 3, groups=channels, bias=False)
        if step == "squeeze":
            return nn.Conv2d(channels, channels, 1)
        if step == "layer_norm":
            return nn.LayerNorm(channels)
        if step in ("batch_norm", "dense"):
            return nn.Linear(channels, channels)
        return nn.Identity()

    def forward(self, x):
        start = x
        for step, layer in zip(self.steps, self.layers, strict=True):
            x = self._step(step, layer, x, start)
        return x

    def _step(self, step, layer, x, start):  # noqa: PLR0911, PLR0912 (a case a step)
        first = x.permute(TO_FIRST)
        if step in ("conv", "depthwise"):
            return layer(first).permute(TO_LAST)
        if step == "pool":
            return F.max_pool2d(first, 2, 1).permute(TO_LAST)
        if step == "resize":
            return F.interpolate(first, scale_factor=2).permute(TO_LAST)
        if step == "squeeze":
            pooled = x.mean((1, 2)).reshape(x.shape[0], 1, 1, -1)
            return x * layer(pooled.permute(TO_FIRST)).permute(TO_LAST).sigmoid()
        if step == "batch_norm":
            return (x - layer.bias) * layer.weight[0] + layer.weight[-1]
        if step in ("layer_norm", "dense"):
            return layer(x)
        if step == "concat":
            return torch.cat([x, F.relu(x)], -1)
        if step == "pad":
            return F.pad(x, (0, 0, 1, 0, 0, 2))
        if step == "crop":
            return x[:, 1:, :-1] if min(x.shape[1:3]) > 3 else x
        if step == "drop_channels":
            return x[..., 1:]
        if step == "softmax":
            return x.softmax(-1)
        if step == "residual":
            return x + start if x.shape == start.shape else x + x.amax((1, 2), keepdim=True)
        if step == "flip":
            return x.flip(1)
        return F.relu(x)


STEPS = ["conv", "depthwise", "pool", "resize", "squeeze", "batch_norm", "layer_norm", "dense", "concat", "pad", "crop",
         "drop_channels", "softmax", "residual", "flip", "relu"]  # fmt: skip


@settings(max_examples=25)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=8))
def test_random_channels_last_networks(steps):
    if steps.count("drop_channels") > 2 or steps.count("resize") > 2 or steps.count("depthwise") + steps.count("pool") > 2:
        return
    torch.manual_seed(0)
    count = prove(ChannelsLast(steps), torch.randn(1, 7, 8, 4))
    strict = sum(s in ("layer_norm", "dense") for s in steps)
    assert count["permute"] <= 2 + 2 * strict + steps.count("residual")


def test_squeeze_and_excite_needs_no_permute_inside():
    torch.manual_seed(0)
    count = prove(ChannelsLast(["conv", "batch_norm", "relu", "squeeze", "concat", "pad", "conv"]), torch.randn(1, 7, 8, 4))
    assert count["permute"] == 2
    assert count["reshape"] == 0


def test_a_pad_of_the_input_meets_its_convolution():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            x = F.pad(x / 127.5 - 1, (0, 0, 1, 1, 1, 1))
            return self.conv(x.permute(TO_FIRST)).mean((2, 3))

    count = prove(Padded(), torch.randn(1, 8, 8, 3))
    assert count["permute"] == 1
    assert count["pad"] == 0


def test_transformers_keep_their_layout():
    """A permute is materialized once; residual additions do not undo it at every block."""

    class Blocks(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 4, 4)
            self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(3))
            self.dense = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

        def forward(self, x):
            x = self.conv(x).flatten(2).transpose(1, 2)
            for norm, dense in zip(self.norms, self.dense, strict=True):
                x = x + dense(norm(x))
            return x

    assert prove(Blocks(), torch.randn(1, 3, 8, 8))["permute"] == 1


def test_orders():
    assert inverse((0, 2, 3, 1)) == (0, 3, 1, 2)
    assert is_free((1, 5, 1, 1), (0, 2, 3, 1))
    assert not is_free((1, 5, 2, 1), (0, 2, 3, 1))
    assert not is_free((1, 5), (1, 0)), "the batch stays in front"
