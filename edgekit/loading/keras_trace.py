"""Make Keras' torch backend trace well: whole operators, no idle casts, and layer names on every node.

Everything here is a patch of Keras internals, applied for one trace and undone after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.fx.traceback
from torch import Tensor

from edgekit.loading import keras_rnn
from edgekit.loading.lean import constant, is_weight
from edgekit.loading.paths import LAYER


@dataclass
class Layers:
    """Where the trace is: the names of the layers being called, outermost first, without the model itself.

    Attributes:
        names: The stack.
        failed: Path of the innermost layer an error came out of.
        notes: What the patches had to concede.
    """

    names: list[str] = field(default_factory=list)
    failed: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The current layer's path."""
        return ".".join(self.names)


@contextmanager
def traceable(model: Any) -> Iterator[Layers]:
    """Apply all patches for the block."""
    layers = Layers()
    with ExitStack() as stack:
        stack.enter_context(_plain_errors())
        stack.enter_context(_named_layers(model, layers))
        stack.enter_context(_plain_weights(model))
        stack.enter_context(keras_rnn.whole(layers))
        for owner, name, replacement in _patches():
            stack.enter_context(_patched(owner, name, replacement))
        yield layers


def _patches() -> list[tuple[Any, str, Callable[..., Any]]]:
    from keras.src.backend.torch import core  # noqa: PLC0415
    from keras.src.backend.torch import nn as keras_nn  # noqa: PLC0415

    get_device, cpu = core.get_device, torch.device("cpu")
    return [
        # Keras compares `x.device != "cpu"`, which always differs, and casts: compare with a device instead.
        (core, "get_device", lambda: cpu if get_device() == "cpu" else get_device()),
        # Memory formats are the converter's choice.
        (keras_nn, "_transpose_spatial_inputs", lambda x: torch.permute(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))),
        (keras_nn, "_maybe_convert_to_channels_last", lambda x: x),
        (keras_nn, "batch_normalization", _batch_normalization(keras_nn.batch_normalization)),
    ]


def _batch_normalization(original: Callable[..., Any]) -> Callable[..., Any]:
    """Inference batch norm in two nodes, ``x * factor + shift`` (Ioffe and Szegedy 2015, algorithm 2), instead of five in place."""

    def batch_normalization(x: Any, mean: Any, variance: Any, axis: int, *rest: Any, **named: Any) -> Any:
        offset, scale, epsilon = _optional(*rest, **named)
        given = [getattr(t, "value", t) for t in (mean, variance, offset, scale)]
        if not all(t is None or is_weight(t) for t in given):
            return original(x, mean, variance, axis, *rest, **named)
        shape = [1] * x.ndim
        shape[axis] = -1
        factor, shift = constant(lambda: _factor_and_shift(epsilon, *given))
        if axis not in (-1, x.ndim - 1):
            factor, shift = constant(lambda: (factor.reshape(shape), shift.reshape(shape)))
        return x * factor + shift

    return batch_normalization


def _optional(offset: Any = None, scale: Any = None, epsilon: float = 1e-3) -> tuple[Any, Any, float]:
    return offset, scale, epsilon


def _factor_and_shift(epsilon: float, mean: Tensor, variance: Tensor, offset: Tensor | None, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    factor = (variance.double() + epsilon).rsqrt() * (1.0 if scale is None else scale.double())
    shift = (0.0 if offset is None else offset.double()) - mean.double() * factor
    return factor.to(mean.dtype), shift.to(mean.dtype)


@contextmanager
def _patched(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Let errors through as they are, without Keras' account of the arguments around them."""
    from keras import config  # noqa: PLC0415

    filtering = config.is_traceback_filtering_enabled()
    config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtering:
            config.enable_traceback_filtering()


@contextmanager
def _named_layers(model: Any, layers: Layers) -> Iterator[None]:
    """Annotate what is traced with the path of the layer, or the operation of a functional model, whose ``__call__`` runs."""
    from keras import Layer, Operation  # noqa: PLC0415

    layer_call, operation_call = Layer.__call__, Operation.__call__

    def named(self: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        inner = self is not model
        if inner:
            layers.names.append(self.name)
        try:
            with torch.fx.traceback.annotate({LAYER: layers.path}):
                return call(self, *args, **kwargs)
        except Exception:
            layers.failed = layers.failed or layers.path
            raise
        finally:
            if inner:
                layers.names.pop()

    def named_layer(self: Any, *args: Any, **kwargs: Any) -> Any:
        return named(self, layer_call, args, kwargs)

    def named_operation(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, Layer):
            return operation_call(self, *args, **kwargs)
        return named(self, operation_call, args, kwargs)

    with _patched(Layer, "__call__", named_layer), _patched(Operation, "__call__", named_operation):
        yield


@contextmanager
def _plain_weights(model: Any) -> Iterator[None]:
    """Plain tensors without gradients in place of parameters: a traced constant is one node, and no view of another."""
    variables = [v for v in model.variables if v._value is not None]
    originals = [v._value for v in variables]
    for variable in variables:
        variable._value = variable._value.detach()
    try:
        yield
    finally:
        for variable, original in zip(variables, originals, strict=True):
            variable._value = original
