"""Read a model, whatever form it comes in, and trace it to a raw ATen program with the user's names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import nn
from torch.export import ExportedProgram

from edgekit.errors import LoadError
from edgekit.loading.dims import Dims
from edgekit.loading.exported import Exported
from edgekit.loading.files import export_file
from edgekit.loading.program import export_program
from edgekit.loading.pytorch import export_module
from edgekit.loading.source import Built, build, is_source
from edgekit.loading.weights import load_weights

__all__ = ["Dims", "Exported", "export", "once"]

ACCEPTED = (
    "a torch.nn.Module with example inputs",
    "an ExportedProgram or a .pt2 file",
    "a Keras model, a .keras or an .h5 file",
    "file.py:callable or package.module:callable, which returns a module and example inputs, or a Keras model",
)


def export(
    model: Any,
    example_inputs: Any = None,
    *,
    dims: Dims | None = None,
    batch: int = 1,
    trust: bool = False,
    weights: str | Path | None = None,
) -> Exported:
    """Trace a model.

    Args:
        model: One of `ACCEPTED`.
        example_inputs: What a PyTorch module is called with: a tensor, array or `TensorSpec`; a tuple of positional
            arguments; or a dict of named ones. Floats become float32. Models that declare their inputs need none.
        dims: Sizes of dynamic dimensions other than the batch: ``{"input": {1: 100}}``, or by the input's position.
        batch: Size of the batch dimension.
        trust: Run code that a Keras file brings along (Lambda layers) or names (custom layers).
        weights: A state dict (``.safetensors``, ``.pt``, ``.pth``) to load into a PyTorch module first.

    Returns:
        The raw program, with the user's names of inputs, outputs and modules, and notes on every concession.

    Raises:
        LoadError: The model cannot be read or traced as given; the message says what can be done.
    """
    if batch < 1:
        raise LoadError(f"the batch size is {batch}", accepted="a positive integer")
    name: str | None = None
    arguments: dict[str, Any] = {}
    model = once(model)
    if isinstance(model, Built):
        example_inputs = model.args if example_inputs is None else example_inputs
        name, arguments, model = model.name, model.kwargs, model.model
    if isinstance(model, (str, Path)):
        if weights is not None:
            raise LoadError("a model file holds its own weights", accepted="weights for a torch.nn.Module")
        return export_file(Path(model), example_inputs, dims=dims, batch=batch, trust=trust)
    return _export_object(model, example_inputs, arguments, dims=dims, batch=batch, weights=weights, name=name)


def once(model: Any) -> Any:
    """The model, to be exported any number of times: what a user's callable returns need not be the same when it is called again."""
    return build(model) if isinstance(model, str) and is_source(model) else model


def _export_object(
    model: Any,
    example_inputs: Any,
    arguments: dict[str, Any],
    *,
    dims: Dims | None,
    batch: int,
    weights: str | Path | None,
    name: str | None,
) -> Exported:
    if isinstance(model, ExportedProgram):
        return export_program(model, example_inputs, dims=dims, batch=batch, name=name)
    if is_keras(model):
        from edgekit.loading.keras_backends import export_live  # noqa: PLC0415 (keras is heavy and optional)

        return export_live(model, example_inputs, dims=dims, batch=batch, name=name)
    if isinstance(model, nn.Module):
        with load_weights(model, weights):
            return export_module(model, example_inputs, arguments=arguments, dims=dims, batch=batch, name=name)
    kind = f"{type(model).__module__}.{type(model).__qualname__}".removeprefix("builtins.")
    if kind.startswith(("tf_keras", "tensorflow")):
        raise LoadError(f"the model is a {kind}, of Keras 2", accepted=ACCEPTED, next_step="save it as .h5 or .keras and give the file")
    raise LoadError(f"{name or 'the model'} is of type {kind}", accepted=ACCEPTED)


def is_keras(model: Any) -> bool:
    """Whether `model` is a Keras 3 model or layer, without importing keras."""
    keras = sys.modules.get("keras")
    return keras is not None and hasattr(keras, "Layer") and isinstance(model, keras.Layer)
