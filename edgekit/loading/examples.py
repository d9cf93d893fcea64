"""Example inputs: whatever the user has at hand, as float32 or integer tensors of the artifact's batch size."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.errors import LoadError
from edgekit.loading import naming
from edgekit.tensors import TensorSpec

EXAMPLE = "example_inputs=(torch.randn(1, 3, 224, 224),), of the shapes the model takes"


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a model."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Flat:
    """A call as flat named tensors.

    Attributes:
        names: One a tensor, in the order of the parameters of ``forward``.
        tensors: In the same order.
        call: The call they were taken from.
        notes: Arguments that are no tensors and so become part of the graph.
    """

    names: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    call: Call
    notes: tuple[str, ...]

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Names, shapes and dtypes."""
        return tuple(naming.spec(name, tensor) for name, tensor in zip(self.names, self.tensors, strict=True))

    def calling(self, model: Callable[..., Any]) -> Callable[..., Any]:
        """A function of the flat tensors that calls `model` with the structure of the original call."""
        positions = {id(tensor): index for index, tensor in enumerate(self.tensors)}

        def call(*tensors: Tensor) -> Any:
            put = lambda leaf: tensors[positions[id(leaf)]] if isinstance(leaf, Tensor) else leaf  # noqa: E731
            args, kwargs = naming.replace_leaves(list(self.call.args), put), naming.replace_leaves(self.call.kwargs, put)
            return model(*args, **kwargs)

        return call


def flatten(forward: Callable[..., Any], call: Call) -> Flat:
    """The named tensors of a call.

    Raises:
        LoadError: It holds no tensor, or a value that can be neither traced nor frozen.
    """
    found = named(forward, call)
    for path, leaf in found:
        if not isinstance(leaf, (Tensor, bool, int, float, str)):
            raise LoadError(
                f"input {naming.joined(path)!r} is a {type(leaf).__name__}", accepted="tensors and arrays, in tuples, dicts or dataclasses"
            )
    inputs = [(naming.joined(path), leaf) for path, leaf in found if isinstance(leaf, Tensor)]
    if not inputs:
        raise LoadError("the example inputs hold no tensor", next_step=f"give {EXAMPLE}")
    frozen = tuple(f"argument {naming.joined(path)!r} fixed at {leaf!r}" for path, leaf in found if not isinstance(leaf, Tensor))
    return Flat(naming.unique([name for name, _ in inputs]), tuple(leaf for _, leaf in inputs), call, frozen)


def tensors(call: Call) -> Call:
    """The call with every array as a tensor of its own."""
    seeds = itertools.count()

    def convert(leaf: Any) -> Any:
        value = tensor(leaf, next(seeds))
        return value.view_as(value) if value is leaf and isinstance(value, Tensor) else value

    return Call(tuple(naming.replace_leaves(list(call.args), convert)), naming.replace_leaves(call.kwargs, convert))


def as_call(forward: Callable[..., Any], example: Any, arguments: Mapping[str, Any] | None = None) -> Call:
    """The call of `forward` that `example` means.

    A tuple or list holds positional arguments; a mapping keyword arguments, unless `forward` has no such parameter and takes
    a mapping itself; anything else is the only argument.

    Raises:
        LoadError: `forward` does not take these arguments.
    """
    signature = inspect.signature(forward)
    if isinstance(example, Mapping):
        call = Call((), dict(example)) if _takes(signature, example) else Call((example,), {})
    elif isinstance(example, (tuple, list)) and not hasattr(example, "_fields"):
        call = Call(tuple(example), {})
    else:
        call = Call((example,), {})
    call = Call(call.args, {**call.kwargs, **(arguments or {})})
    try:
        signature.bind(*call.args, **call.kwargs)
    except TypeError as error:
        raise LoadError(
            f"the example inputs do not fit forward{signature}: {error}", accepted="its arguments as a tuple, or by name as a dict"
        ) from None
    return call


def _takes(signature: inspect.Signature, example: Mapping[Any, Any]) -> bool:
    parameters = signature.parameters.values()
    names = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY)}
    return set(example) <= names or any(p.kind is p.VAR_KEYWORD for p in parameters)


def named(forward: Callable[..., Any], call: Call) -> list[tuple[naming.Path, Any]]:
    """The leaves of a call, each with its parameter's name at the head of its path."""
    signature = inspect.signature(forward)
    found: list[tuple[naming.Path, Any]] = []
    for name, value in signature.bind(*call.args, **call.kwargs).arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            found += [leaf for key, item in value.items() for leaf in naming.leaves(item, (key,))]
        else:
            found += naming.leaves(value, (name,))
    return found


def tensor(value: Any, seed: int = 0) -> Any:
    """An array, tensor or `TensorSpec` (random data) as a CPU tensor, floats as float32; a scalar or string as it is."""
    if isinstance(value, TensorSpec):
        return random(value.shape, getattr(torch, value.dtype), seed)
    if not isinstance(value, Tensor):
        if isinstance(value, (bool, int, float, str)) or not hasattr(value, "__array__"):
            return value
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            return value
        value = torch.from_numpy(np.ascontiguousarray(array))
    value = value.detach().to("cpu")
    return value.to(torch.float32) if value.is_floating_point() else value


def random(shape: Sequence[int], dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Normal floats; zeros for integers, which are valid ids of any embedding."""
    if not dtype.is_floating_point:
        return torch.zeros(tuple(shape), dtype=dtype)
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed)).to(dtype)


def resize(value: Tensor, shape: Sequence[int]) -> Tensor:
    """`value` cut or repeated along every dimension to `shape`; the values stay ones the model has seen."""
    for dim, size in enumerate(shape):
        if value.shape[dim] != size:
            value = value.index_select(dim, torch.arange(size) % value.shape[dim])
    return value


def rebatch(call: Call, batch: int) -> tuple[Call, tuple[str, ...]]:
    """The call with `batch` examples, and notes to say so.

    The batch is the first dimension, if all inputs of at least two dimensions share it.
    """
    tensors = [leaf for _, leaf in naming.leaves((call.args, call.kwargs)) if isinstance(leaf, Tensor)]
    sizes = {t.shape[0] for t in tensors if t.dim() > 1}
    if len(sizes) != 1 or 0 in sizes:
        return call, ()
    (given,) = sizes

    def cut(leaf: Any) -> Any:
        batched = isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == given
        return resize(leaf, (batch, *leaf.shape[1:])) if batched else leaf

    note = f"batch dimension fixed at {batch}" + (f" (the example inputs had {given})" if given != batch else "")
    if given == batch:
        return call, (note,)
    return Call(tuple(naming.replace_leaves(list(call.args), cut)), naming.replace_leaves(call.kwargs, cut)), (note,)
