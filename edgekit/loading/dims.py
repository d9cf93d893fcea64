"""Dynamic dimensions: an artifact has static shapes, so each one gets a size, and nobody is left guessing which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.errors import LoadError

Dims = Mapping[Any, Mapping[int, Any]]
"""Input name (or position) to dimension to size."""


def static_shape(
    name: str, position: int, shape: Sequence[int | None], *, dims: Dims | None, batch: int, example: Sequence[int] | None = None
) -> tuple[int, ...]:
    """The sizes of an input whose dynamic dimensions are None.

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
        if size is None and example is not None and len(example) == len(shape):
            size = example[dim]
        sizes.append(_checked(name, dim, declared, size))
    return tuple(sizes)


def check_names(names: Sequence[str], dims: Dims | None) -> None:
    """Raise a `LoadError` if `dims` speaks of an input that is not there."""
    for key in dims or {}:
        if key not in names and not (str(key).isdigit() and int(key) < len(names)):
            raise LoadError(f"the model has no input {key!r}, whose dimensions were given", accepted=names)


def _given(name: str, position: int, dims: Dims | None) -> Mapping[int, Any]:
    for key in (name, position, str(position)):
        if dims and key in dims:
            return dims[key]
    return {}


def _checked(name: str, dim: int, declared: int | None, size: Any) -> int:
    if size is None:
        raise LoadError(
            f"dimension {dim} of input {name!r} is dynamic, and an artifact has static shapes",
            next_step=f"choose its size: --dim {name}:{dim}=100, or dims={{{name!r}: {{{dim}: 100}}}}",
        )
    if isinstance(size, (tuple, list)):
        raise LoadError(
            f"dimension {dim} of input {name!r} was given the range {size[0]}..{size[-1]}",
            accepted="one size: an artifact has static shapes",
        )
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise LoadError(f"dimension {dim} of input {name!r} was given the size {size!r}", accepted="a positive integer")
    if declared is not None and size != declared:
        raise LoadError(f"dimension {dim} of input {name!r} is {declared} in the model, and {size} was asked for", accepted=str(declared))
    return size
