"""Dynamic dimensions: each one gets a size, or a range of sizes that stays open, and nobody is left guessing which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.errors import LoadError
from edgekit.sizes import OpenSize, range_of, together
from edgekit.tensors import TensorSpec

Dims = Mapping[Any, Mapping[int, Any]]
"""Input name (or position) to dimension to size, or to a range of sizes (see `edgekit.sizes.range_of`)."""


def static_shape(
    name: str, position: int, shape: Sequence[int | None], *, dims: Dims | None, batch: int, example: Sequence[int] | None = None
) -> tuple[int, ...]:
    """The sizes of an input whose dynamic dimensions are None; of one that stays open, the typical size.

    Args:
        name: The input's name.
        position: Its position among the inputs.
        shape: Declared sizes.
        dims: Sizes the user chose.
        batch: Size of a dynamic dimension 0 that `dims` does not mention.
        example: Shape of an example the user gave, whose sizes count as chosen too.

    Raises:
        LoadError: A dimension other than the batch has no size, or a size contradicts the declared one.
    """
    chosen = {int(dim) % len(shape): size for dim, size in _given(name, position, dims).items()} if shape else {}
    sizes = []
    for dim, declared in enumerate(shape):
        size = chosen.get(dim, batch if declared is None and dim == 0 else declared)
        given = example[dim] if example is not None and len(example) == len(shape) else None
        if declared is None and (limits := range_of(size, f"dimension {dim} of input {name!r}", given)) is not None:
            size = limits.typical
        size = given if size is None else size
        sizes.append(_checked(name, dim, declared, size))
    return tuple(sizes)


def check_names(names: Sequence[str], dims: Dims | None) -> None:
    """Raise a `LoadError` if `dims` speaks of an input that is not there."""
    for key in dims or {}:
        if key not in names and not (str(key).isdigit() and int(key) < len(names)):
            raise LoadError(f"the model has no input {key!r}, whose dimensions were given", accepted=names)


def open_sizes(inputs: Sequence[TensorSpec], dims: Dims | None) -> tuple[OpenSize, ...]:
    """The sizes that stay open.

    Args:
        inputs: Of the model as it was traced: at the typical sizes.
        dims: What the user gave.

    Raises:
        LoadError: A range is none, or too many vary independently.
    """
    found = []
    for position, spec in enumerate(inputs):
        for dim, size in _given(spec.name, position, dims).items():
            axis = int(dim) % len(spec.shape)
            limits = range_of(size, f"dimension {axis} of input {spec.name!r}", spec.shape[axis])
            if limits is not None:
                found.append((spec.name, axis, limits))
    return together(found)


def example_shape(name: str, position: int, shape: Sequence[int], dims: Dims | None) -> tuple[int, ...]:
    """The shape an example of this `shape` must get, to be traced at the typical sizes of its open dimensions.

    Raises:
        LoadError: A range is none, or a size contradicts the example.
    """
    sizes = list(shape)
    for dim, size in _given(name, position, dims).items():
        axis = int(dim) % len(shape)
        limits = range_of(size, f"dimension {axis} of input {name!r}", shape[axis])
        sizes[axis] = _checked(name, axis, shape[axis], size) if limits is None else limits.typical
    return tuple(sizes)


def _given(name: str, position: int, dims: Dims | None) -> Mapping[int, Any]:
    for key in (name, position, str(position)):
        if dims and key in dims:
            return dims[key]
    return {}


def _checked(name: str, dim: int, declared: int | None, size: Any) -> int:
    if size is None:
        raise LoadError(
            f"dimension {dim} of input {name!r} is dynamic, and no size is given",
            next_step=f"choose its size: --dim {name}:{dim}=100, or a range of sizes: --dim {name}:{dim}=16..100",
        )
    if declared is not None and range_of(size, f"dimension {dim} of input {name!r}") is not None:
        raise LoadError(f"dimension {dim} of input {name!r} is {declared} in the model, and a range was asked for", accepted=str(declared))
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise LoadError(f"dimension {dim} of input {name!r} was given the size {size!r}", accepted="a positive integer")
    if declared is not None and size != declared:
        raise LoadError(f"dimension {dim} of input {name!r} is {declared} in the model, and {size} was asked for", accepted=str(declared))
    return size
