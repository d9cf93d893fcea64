"""PyTorch vision models of the reference set, written from their papers."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _BasicBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.extra = channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride != 1 or self.extra:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return F.relu(x + y)


class CifarResNet(nn.Module):
    """ResNet for CIFAR with option-A shortcuts (He et al. 2016, section 4.2): 6n + 2 layers. Input (N, 3, 32, 32)."""

    def __init__(self, n: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, n, 1)
        self.layer2 = self._stage(16, 32, n, 2)
        self.layer3 = self._stage(32, 64, n, 2)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _stage(channels_in: int, channels: int, n: int, stride: int) -> nn.Sequential:
        return nn.Sequential(_BasicBlock(channels_in, channels, stride), *[_BasicBlock(channels, channels, 1) for _ in range(n - 1)])

    def forward(self, x: Tensor) -> Tensor:
        """Class logits of shape (N, classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class _SameConv(nn.Module):
    """Convolution with TensorFlow's SAME padding (odd pixel at the end) and an optional ReLU6; batch norm already folded."""

    def __init__(self, channels_in: int, channels: int, size: int, stride: int = 1, *, groups: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, size, stride, groups=groups)
        self.size, self.stride, self.relu = size, stride, relu

    def forward(self, x: Tensor) -> Tensor:
        height, width = (max((-(-s // self.stride) - 1) * self.stride + self.size - s, 0) for s in x.shape[-2:])
        x = self.conv(F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)))
        return F.relu6(x) if self.relu else x


class _InvertedResidual(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        steps = [_SameConv(channels_in, inner, 1)] if expansion != 1 else []
        self.block = nn.Sequential(*steps, _SameConv(inner, inner, 3, stride, groups=inner), _SameConv(inner, channels, 1, relu=False))
        self.residual = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self.residual else y  # type: ignore[no-any-return]


class MobileNetV2(nn.Module):
    """MobileNetV2 1.0 (Sandler et al. 2018, table 2), batch norm folded, TensorFlow padding. Input (N, 3, H, W)."""

    def __init__(self, classes: int = 1001) -> None:
        super().__init__()
        layers: list[nn.Module] = [_SameConv(3, 32, 3, 2)]
        channels_in = 32
        for expansion, channels, repeats, stride in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
        ):  # fmt: skip
            for index in range(repeats):
                layers.append(_InvertedResidual(channels_in, channels, stride if index == 0 else 1, expansion))
                channels_in = channels
        self.features = nn.Sequential(*layers, _SameConv(320, 1280, 1))
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class logits of shape (N, classes)."""
        return self.classifier(self.features(x).mean((2, 3)))  # type: ignore[no-any-return]

    @classmethod
    def from_int8(cls, path: Path) -> MobileNetV2:
        """Load weights stored as int8 and a scale for each output channel."""
        from safetensors.torch import load_file  # noqa: PLC0415

        stored, state = load_file(path), OrderedDict()
        for name, value in stored.items():
            if name.endswith("weight_int8"):
                scale = stored[name.replace("_int8", "_scale")]
                state[name.removesuffix("_int8")] = value.float() * scale.reshape(-1, *[1] * (value.dim() - 1))
            elif name.endswith("bias"):
                state[name] = value
        model = cls()
        model.load_state_dict(state)
        return model


def _double_conv(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
    )  # fmt: skip


class UNet(nn.Module):
    """A small U-Net (Ronneberger et al. 2015): transposed convolutions, concatenated skips. Input (N, 3, 4H, 4W)."""

    def __init__(self, width: int = 8, classes: int = 2) -> None:
        super().__init__()
        self.down1, self.down2 = _double_conv(3, width), _double_conv(width, 2 * width)
        self.bottom = _double_conv(2 * width, 4 * width)
        self.up2, self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2), nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1)
        self.merge2, self.merge1 = _double_conv(4 * width, 2 * width), _double_conv(2 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of shape (N, classes, H, W)."""
        fine = self.down1(image)
        middle = self.down2(F.max_pool2d(fine, 2))
        bottom = self.bottom(F.max_pool2d(middle, 2))
        middle = self.merge2(torch.cat([self.up2(bottom), middle], 1))
        fine = self.merge1(torch.cat([self.up1(middle), fine], 1))
        return self.head(fine)  # type: ignore[no-any-return]


class Detector(nn.Module):
    """An anchor-free detection head on two scales, with a nested dict of outputs. Input (N, 3, H, W)."""

    def __init__(self, width: int = 16, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU(inplace=True))
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.Hardswish(inplace=True))
        self.lateral, self.fuse = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.box, self.score = nn.Conv2d(width, 4, 1), nn.Conv2d(width, classes, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor | dict[str, Tensor]]:
        """Boxes (N, cells, 4) and scores (N, cells, classes) a scale, and all scores."""
        fine = self.stem(image)
        coarse = self.body(fine)
        fine = self.fuse(self.lateral(fine) + F.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        scales = {"p3": self._head(fine), "p4": self._head(coarse)}
        return {**scales, "scores": torch.cat([s["score"] for s in scales.values()], 1)}

    def _head(self, x: Tensor) -> dict[str, Tensor]:
        return {
            "box": self.box(x).flatten(2).permute(0, 2, 1).clamp(-4, 4).exp(),
            "score": self.score(x).flatten(2).permute(0, 2, 1).sigmoid(),
        }
