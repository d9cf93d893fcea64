"""Give models with random weights the irregularity of trained ones, so that a folding bug shows.

Fresh models have mean 0, variance 1, gamma 1 and beta 0 everywhere: any of them could be dropped unseen. Here
affine parameters are drawn at random and batch-norm statistics are measured on random data, then disturbed,
so that activations keep a sane range at every depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def randomize(model: nn.Module, inputs: Sequence[Tensor], seed: int = 0) -> nn.Module:
    """Randomize a PyTorch model's affine parameters and batch-norm statistics in place; leaves it in eval mode."""
    random = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        _spread(parameter, random)
    norms = [m for m in model.modules() if isinstance(m, _BATCH_NORMS)]
    if norms:
        momenta = [m.momentum for m in norms]
        for norm in norms:
            norm.train().momentum = 1.0
        model(*inputs)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval().momentum = momentum
            assert norm.running_mean is not None and norm.running_var is not None
            _disturb(norm.running_mean, norm.running_var, random)
    return model.eval()


@torch.no_grad()
def randomize_keras(model: Any, inputs: Sequence[Tensor], seed: int = 0) -> Any:
    """The same for a Keras model on the torch backend."""
    import keras  # noqa: PLC0415 (a heavy optional package)

    random = torch.Generator().manual_seed(seed)
    for variable in model.trainable_variables:
        _spread(variable.value, random)
    norms = [layer for layer in _layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    if norms:
        momenta = [layer.momentum for layer in norms]
        for layer in norms:
            layer.momentum = 0.0
        model(inputs[0] if len(inputs) == 1 else list(inputs), training=True)
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
            _disturb(layer.moving_mean.value, layer.moving_variance.value, random)
    _unsaturate(model.eval(), inputs)
    return model


def _unsaturate(model: Any, inputs: Sequence[Tensor]) -> None:
    """Scale a softmax classifier's last weights so that its logits have a standard deviation of 2: one-hot answers test nothing."""
    import keras  # noqa: PLC0415

    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.activation is not keras.activations.softmax or len(inputs) > 1:
        return
    last.activation = keras.activations.linear
    spread = float(model(inputs[0]).std())
    last.activation = keras.activations.softmax
    last.kernel.value.mul_(2 / spread)
    last.bias.value.mul_(2 / spread)


def _layers(model: Any) -> Iterable[Any]:
    layers: Iterable[Any] = model._flatten_layers(include_self=False, recursive=True)
    return layers


def _spread(parameter: Tensor, random: torch.Generator) -> None:
    """Draw anew a vector that holds one value only: ones become 0.7…1.3, zeros and tiny layer scales become small noise."""
    if parameter.dim() != 1 or not parameter.is_floating_point():
        return
    value = float(parameter[0])
    if bool((parameter != value).any()):
        return
    if value == 1.0:
        parameter.uniform_(0.7, 1.3, generator=random)
    elif value == 0.0:
        parameter.normal_(0.0, 0.05, generator=random)
    else:
        parameter.uniform_(0.2, 0.8, generator=random)


def _disturb(mean: Tensor, variance: Tensor, random: torch.Generator) -> None:
    noise = torch.empty_like(mean)
    mean += noise.normal_(0.0, 0.1, generator=random) * (variance + 1e-3).sqrt()
    variance *= noise.uniform_(0.7, 1.4, generator=random)
    variance += 1e-3
