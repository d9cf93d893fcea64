"""The PyTorch models of the benchmarks, as `edgekit convert benchmarks/models.py:cifar_resnet20` and the peers load them."""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edgekit.testing.data import data_file
from edgekit.testing.vision_models import CifarResNet


def cifar_resnet20() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """ResNet-20 for CIFAR-10 with its published weights, and an example input."""
    return _cifar_resnet(3)


def cifar_resnet56() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """ResNet-56, likewise."""
    return _cifar_resnet(9)


def _cifar_resnet(n: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    model = CifarResNet(n)
    model.load_state_dict(load_file(data_file(f"cifar_resnet{6 * n + 2}.safetensors")), strict=False)
    return model.eval(), (torch.zeros(1, 3, 32, 32),)
