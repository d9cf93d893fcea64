"""PyTorch modules: any `nn.Module` with example inputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import LoadError
from edgekit.loading import dims as dimensions
from edgekit.loading import examples, naming
from edgekit.loading.digest import digest
from edgekit.loading.exported import Exported
from edgekit.loading.paths import put_paths
from edgekit.loading.trace import failing_module, trace
from edgekit.source import Source
from edgekit.tensors import TensorSpec


def export_module(
    model: nn.Module,
    example_inputs: Any,
    *,
    arguments: Mapping[str, Any] | None = None,
    dims: dimensions.Dims | None = None,
    batch: int = 1,
    name: str | None = None,
) -> Exported:
    """Trace a module.

    Args:
        model: It is put in eval mode for the trace and restored; one on another device or in another precision is copied
            to the CPU in float32.
        example_inputs: A tensor, array or `TensorSpec`; a tuple of positional arguments; or a dict of named ones.
        arguments: Further keyword arguments.
        dims: Sizes that must agree with the example's, or ranges of sizes, to whose typical one the example is cut or repeated.
        batch: Size of the batch dimension.
        name: What the user calls the model.

    Raises:
        LoadError: The model cannot be traced as given.
    """
    model, notes = _plain(model)
    if example_inputs is None:
        raise LoadError("a PyTorch module does not say what it is called with", next_step=f"give {examples.EXAMPLE}")
    call, batch_notes = examples.rebatch(examples.tensors(examples.as_call(model.forward, example_inputs, arguments)), batch)
    flat = _at_typical_sizes(model, examples.flatten(model.forward, call), dims)
    with evaluating(model):
        try:
            traced = trace(model, flat.calling(model), flat.tensors)
        except LoadError as error:
            raise _diagnose(model, flat.call, error) from error.__cause__
    put_paths(traced.program)
    return Exported(
        program=traced.program,
        inputs=flat.specs,
        outputs=output_specs(traced.program, naming.output_names(traced.outputs)),
        source=Source("pytorch", name or type(model).__name__, digest(traced.program)),
        notes=(*notes, *batch_notes, *flat.notes, *traced.notes),
    )


def output_specs(program: torch.export.ExportedProgram, names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """Specs of a program's flat outputs under these names."""
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    return tuple(naming.spec(name, node.meta["val"]) for name, node in zip(names, output.args[0], strict=True))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for the block; each submodule gets its own mode back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _plain(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """The module itself, out of its wrappers, on the CPU, in float32."""
    if isinstance(model, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        raise LoadError(
            "the model is TorchScript",
            accepted="the module it was scripted from",
            next_step="give that module and load_state_dict the weights",
        )
    model = getattr(model, "_orig_mod", model)
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        model = model.module
    tensors = [*model.parameters(), *model.buffers()]
    if any(t.is_meta for t in tensors):
        raise LoadError("the model's weights are on the meta device: it has no values yet", next_step="load its weights first")
    odd = {str(t.dtype).removeprefix("torch.") for t in tensors if t.is_floating_point() and t.dtype != torch.float32}
    away = {t.device.type for t in tensors if t.device.type != "cpu"}
    if not odd and not away:
        return model, ()
    try:
        model = copy.deepcopy(model).to("cpu").float()
    except Exception as error:
        raise LoadError(f"the model could not be copied to the CPU in float32: {error}", next_step="give model.cpu().float()") from error
    return model, tuple(f"weights in {dtype} converted to float32; the recipe chooses the precision" for dtype in sorted(odd))


def _at_typical_sizes(model: nn.Module, flat: examples.Flat, dims: dimensions.Dims | None) -> examples.Flat:
    """The example with its open dimensions at their typical sizes."""
    dimensions.check_names(flat.names, dims)
    named = enumerate(zip(flat.names, flat.tensors, strict=True))
    shapes = [dimensions.example_shape(name, position, tensor.shape, dims) for position, (name, tensor) in named]
    if all(tuple(t.shape) == shape for t, shape in zip(flat.tensors, shapes, strict=True)):
        return flat
    resized = {id(t): examples.resize(t, shape) for t, shape in zip(flat.tensors, shapes, strict=True)}
    put = lambda leaf: resized[id(leaf)] if isinstance(leaf, Tensor) else leaf  # noqa: E731
    call = examples.Call(tuple(naming.replace_leaves(list(flat.call.args), put)), naming.replace_leaves(flat.call.kwargs, put))
    return examples.flatten(model.forward, call)


def _diagnose(model: nn.Module, call: examples.Call, error: LoadError) -> LoadError:
    """Tell a model that fails on its example from one that runs but cannot be traced."""
    try:
        with torch.no_grad():
            model(*call.args, **call.kwargs)
    except Exception as failure:
        shapes = ", ".join(f"{list(t.shape)}" for _, t in naming.leaves((call.args, call.kwargs)) if isinstance(t, Tensor))
        return LoadError(
            f"the model itself fails on example inputs of shape {shapes}: {str(failure).partition(chr(10))[0]}",
            module=failing_module(failure, model),
            next_step="give example inputs the model runs on; if their first dimension is no batch, pass its size as the batch",
        )
    return error
