"""Keras models in memory, on the torch backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import LoadError
from edgekit.loading import dims as dimensions
from edgekit.loading import examples, naming
from edgekit.loading.digest import digest
from edgekit.loading.exported import Exported
from edgekit.loading.keras_dtype import in_float32
from edgekit.loading.keras_trace import Layers, traceable
from edgekit.loading.lean import Folding
from edgekit.loading.paths import put_paths
from edgekit.loading.pytorch import evaluating, output_specs
from edgekit.loading.shared_constants import share_constants
from edgekit.loading.trace import Traced, explain, trace
from edgekit.source import Source


def export_keras(
    model: Any, example_inputs: Any = None, *, dims: dimensions.Dims | None = None, batch: int = 1, name: str | None = None
) -> Exported:
    """Trace a Keras model that runs on the torch backend.

    Args:
        model: Any ``keras.Model`` or layer. It is left as it was.
        example_inputs: Needed only where the model does not declare its inputs (subclassed and unbuilt models).
        dims: Sizes of dynamic dimensions other than the batch, by input name.
        batch: Size of the batch dimension.
        name: What the user calls the model.

    Raises:
        LoadError: The model cannot be traced as given.
    """
    _refuse_state(model)
    flat, notes = _inputs(model, example_inputs, dims, batch)
    if functional(model) is None:  # layers are built by the first call
        with evaluating(model), torch.no_grad():
            flat.calling(_inference(model))(*flat.tensors)
    with in_float32(model) as dtype_notes, evaluating(model):
        traced, layers = _trace(model, flat)
    share_constants(traced.program)
    put_paths(traced.program)
    return Exported(
        program=traced.program,
        inputs=flat.specs,
        outputs=output_specs(traced.program, _output_names(model, traced.outputs)),
        source=Source("keras", name or model.name, digest(traced.program)),
        notes=(*notes, *dtype_notes, *layers.notes, *traced.notes),
    )


def functional(model: Any) -> Any:
    """The functional model inside: the model itself, the one a built `Sequential` keeps, or None for other classes."""
    inner = getattr(model, "_functional", model)
    return inner if hasattr(inner, "_inputs_struct") else None


def _trace(model: Any, flat: examples.Flat) -> tuple[Traced, Layers]:
    root = nn.Module()  # without parameters: weights become constants, and nothing is traced for those that go unused
    with traceable(model) as layers:
        weights = [variable.value for variable in model.variables]
        try:
            return trace(root, flat.calling(_inference(model)), flat.tensors, Folding(weights)), layers
        except LoadError as error:
            if error.__cause__ is None:
                raise LoadError(
                    error.message, accepted=error.accepted, module=error.module or layers.failed, next_step=error.next_step
                ) from None
            raise _explained(error.__cause__, root, layers) from error.__cause__


def _inference(model: Any) -> Callable[..., Any]:
    """The call that `Model.predict` makes: layers that augment data do so by default, and pass it through here."""
    return partial(model, training=False)


def _explained(cause: BaseException, root: nn.Module, layers: Layers) -> LoadError:
    if _came_from("tensorflow", cause):
        return LoadError(
            "a layer calls TensorFlow, which edgekit does not run",
            module=layers.failed,
            accepted="layers written with keras.ops",
            next_step="rewrite the layer with keras.ops; the extra edgekit[tensorflow] brings TensorFlow itself, to compare with",
        )
    return explain(cause, root, layers.failed)


def _came_from(package: str, error: BaseException) -> bool:
    frame = error.__traceback__
    while frame is not None:
        if str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == package:
            return True
        frame = frame.tb_next
    return isinstance(error, ModuleNotFoundError) and error.name == package


def _refuse_state(model: Any) -> None:
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False) and hasattr(layer, "cell"):
            raise LoadError(
                "a recurrent layer keeps its state between calls, and an artifact cannot",
                module=layer.name,
                next_step="set stateful=False, and make the state an input and an output if the application needs it",
            )


def _inputs(model: Any, example: Any, dims: dimensions.Dims | None, batch: int) -> tuple[examples.Flat, tuple[str, ...]]:
    """The model's inputs as flat named tensors, and notes."""
    inner = functional(model)
    if inner is not None:
        return _declared_inputs(inner, example, dims, batch)
    if example is None:
        raise LoadError(f"the Keras model {model.name!r} does not declare its inputs", next_step=f"give {examples.EXAMPLE}")
    call = examples.Call(example, {}) if isinstance(example, tuple) else examples.Call((example,), {})
    call, notes = examples.rebatch(examples.tensors(call), batch)
    flat = examples.flatten(model.call, call)
    dimensions.check_names(flat.names, dims)
    return flat, (*notes, *flat.notes)


def _declared_inputs(model: Any, example: Any, dims: dimensions.Dims | None, batch: int) -> tuple[examples.Flat, tuple[str, ...]]:
    declared = [leaf for _, leaf in naming.leaves(model._inputs_struct)]
    names = [_name(leaf) for leaf in declared]
    dimensions.check_names(names, dims)
    given = _matched(names, example)
    tensors = []
    for position, leaf in enumerate(declared):
        shape = given[position].shape if given else None
        sizes = dimensions.static_shape(names[position], position, leaf.shape, dims=dims, batch=batch, example=shape)
        tensors.append(_example(names[position], leaf.dtype, sizes, position))
    fresh = iter(tensors)
    structure = naming.replace_leaves(model._inputs_struct, lambda _: next(fresh))
    batched = any(leaf.shape and leaf.shape[0] is None for leaf in declared)
    notes = (f"batch dimension fixed at {batch}",) if batched else ()
    return examples.Flat(naming.unique(names), tuple(tensors), examples.Call((structure,), {}), ()), notes


def _matched(names: list[str], example: Any) -> list[Tensor] | None:
    """The example's tensors in the order of the declared inputs."""
    if example is None:
        return None
    if isinstance(example, Mapping) and set(example) == set(names):
        example = [example[name] for name in names]
    tensors = [examples.tensor(leaf) for _, leaf in naming.leaves(example)]
    if len(tensors) != len(names) or not all(isinstance(t, Tensor) for t in tensors):
        raise LoadError(f"the model has {len(names)} inputs, and the example has {len(tensors)}", accepted=names)
    return tensors


def _name(declared: Any) -> str:
    """Name of the input layer a declared input comes from."""
    history = getattr(declared, "_keras_history", None)
    return str(history.operation.name if history else declared.name)


def _example(name: str, declared: str, shape: Sequence[int], seed: int) -> Tensor:
    dtype = getattr(torch, "float32" if declared in ("bfloat16", "float64", "float16") else declared, None)
    if dtype not in naming.DTYPE_NAMES:
        raise LoadError(
            f"input {name!r} has dtype {declared}",
            accepted=list(naming.DTYPE_NAMES.values()),
            next_step="leave text processing to the application: save the part of the model after it",
        )
    return examples.random(shape, dtype, seed)


def _output_names(model: Any, paths: Sequence[naming.Path]) -> tuple[str, ...]:
    """Keys of a dict of outputs; else the names of the layers they come from."""
    inner = functional(model)
    names = list(getattr(inner, "output_names", None) or ())
    if len(names) != len(paths) or any(isinstance(part, str) for path in paths for part in path):
        return naming.output_names(paths)
    return naming.unique(names)
