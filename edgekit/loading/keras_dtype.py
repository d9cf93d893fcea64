"""Keras models of any float precision are traced in float32: precision is the recipe's choice, not the source's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from edgekit.errors import LoadError

_FLOATS = ("float16", "bfloat16", "float64")


@contextmanager
def in_float32(model: Any) -> Iterator[tuple[str, ...]]:
    """Give all layers, inputs and variables of a model the dtype float32 for the block; yields notes to say so.

    Raises:
        LoadError: Keras has quantized the model already.
    """
    from keras import DTypePolicy  # noqa: PLC0415

    float32, found = DTypePolicy("float32"), set()
    with ExitStack() as stack:
        for layer in model._flatten_layers():
            policy = layer.dtype_policy
            if getattr(policy, "quantization_mode", None):
                raise LoadError("the model is quantized already", accepted="the float model it was made from", module=layer.name)
            if policy.compute_dtype in _FLOATS or policy.variable_dtype in _FLOATS:
                found.add(policy.name)
                _set(stack, layer, "_dtype_policy", float32)
            for tensor in _inputs(layer):
                if tensor.dtype in _FLOATS:
                    _set(stack, tensor, "_dtype", "float32")
        for variable in model.variables:
            if variable.dtype in _FLOATS:
                found.add(variable.dtype)
                _set(stack, variable, "_value", variable._value.detach().to(torch.float32))
                _set(stack, variable, "_dtype", "float32")
        yield tuple(f"{name} computed in float32; the recipe chooses the precision" for name in sorted(found))


def _inputs(layer: Any) -> list[Any]:
    """The declared inputs of a functional model, else none."""
    return list(getattr(layer, "_inputs", None) or ())


def _set(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)
