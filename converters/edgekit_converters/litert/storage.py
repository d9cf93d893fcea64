"""Where the logical dimensions of a value stand in its stored tensor: for kernels that work along axes wherever these lie.

Slicing, padding or reducing a channels-last image needs no transpose: only the numbers of the axes change. `stand` finds them,
and `Stand.form` says how a result lies whose dimensions stand where the operand's did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit_converters.litert.emission import Emission, Form, Outcome
from edgekit_converters.litert.layout import Layout
from edgekit_converters.litert.values import Value


@dataclass(frozen=True)
class Stand:
    """A stored tensor, and the position in its shape of each logical dimension.

    Attributes:
        tensor: The stored tensor.
        shape: Its shape.
        places: For each logical dimension its position in `shape`; None for a dimension of size 1 that stands nowhere.
    """

    tensor: int
    shape: tuple[int, ...]
    places: tuple[int | None, ...]

    def place(self, dim: int) -> int:
        """Position of a dimension that was asked for."""
        found = self.places[dim]
        assert found is not None
        return found

    def spread(self, numbers: Mapping[int, int], default: int) -> list[int]:
        """One number for each stored axis, given those of some logical dimensions."""
        row = [default] * len(self.shape)
        for dim, number in numbers.items():
            row[self.place(dim)] = number
        return row

    def form(self, shape: Sequence[int]) -> Form:
        """How a result of logical `shape` lies whose dimensions stand alike."""
        stored = [1] * len(self.shape)
        for size, place in zip(shape, self.places, strict=True):
            if place is not None:
                stored[place] = size
            else:
                assert size == 1
        axis = {place: i for i, place in enumerate(p for p, size in enumerate(stored) if size != 1)}
        dims = tuple(() if place is None or size == 1 else (axis[place],) for size, place in zip(shape, self.places, strict=True))
        return Form(Layout(tuple(s for s in stored if s != 1), dims), tuple(stored))


def stand(emission: Emission, out: Outcome, value: Value, dims: Sequence[int], *, share: bool = False) -> Stand:
    """Bring an operand to where each of `dims` is one stored axis; nothing is written where that is so already.

    Args:
        emission: The walk.
        out: Decides the dtype, as for `Emission.operand`.
        value: The operand.
        dims: Logical dimensions the kernel will work along.
        share: Requantize to the result's grid, for kernels that move integers without looking at scales.
    """
    places = None if value.data is not None else _places(value, emission.shape(value), dims)
    if places is not None:
        tensor = emission.operand(out, value, share=share)
        return Stand(tensor, emission.builder.tensors[tensor].shape, places)
    order = tuple(range(value.rank)) if value.data is not None else emission.near_order(value)
    tensor = emission.operand(out, value, order, share=share)
    return Stand(tensor, emission.builder.tensors[tensor].shape, tuple(order.index(d) for d in range(value.rank)))


def without_last_ones(emission: Emission, at: Stand, dims: Sequence[int]) -> Stand:
    """The same operand without innermost axes of size 1 that a kernel does not work along.

    XNNPACK copies an innermost axis at a time: one image of one channel, kept channels-last, pixel by pixel.
    """
    used = {at.place(d) for d in dims}
    rank = len(at.shape)
    while rank > 1 and at.shape[rank - 1] == 1 and rank - 1 not in used:
        rank -= 1
    if rank == len(at.shape):
        return at
    shape = at.shape[:rank]
    return Stand(emission.reshaped(at.tensor, shape), shape, tuple(p if p is not None and p < rank else None for p in at.places))


def axes(emission: Emission, out: Outcome, value: Value, dims: Sequence[int], *, share: bool = False) -> tuple[int, list[int], Layout]:
    """An operand as a reduction over `dims` reads it: its stored tensor, the axes to reduce, and how it lies."""
    have = emission.shape(value)
    if value.data is None and tuple(s for s in have if s != 1) == value.layout.axes:
        standing = [i for i, size in enumerate(have) if size != 1]
        return emission.operand(out, value, share=share), sorted(standing[a] for d in dims for a in value.layout.dims[d]), value.layout
    at = stand(emission, out, value, dims, share=share)
    return at.tensor, sorted(at.place(d) for d in dims if value.shape[d] != 1), at.form(value.shape).layout


def unchanged(emission: Emission, out: Outcome, value: Value) -> Value:
    """The operand itself as the result of an operator that has nothing to do, in the dtype the result must have."""
    if out.integer and out.grid is not None:
        return emission.on_grid(value, out.grid)
    return emission.real(value)


def _places(value: Value, have: tuple[int, ...], dims: Sequence[int]) -> tuple[int | None, ...] | None:
    layout = value.layout
    if tuple(s for s in have if s != 1) != layout.axes or any(len(dim) > 1 for dim in layout.dims):
        return None
    standing = [i for i, size in enumerate(have) if size != 1]
    places = [standing[dim[0]] if dim else None for dim in layout.dims]
    order = layout.order(have)
    if order is not None and len(order) == len(have) and all(places[d] in (None, i) for i, d in enumerate(order)):
        return tuple(order.index(d) for d in range(len(order)))
    spare = [i for i, size in enumerate(have) if size == 1]
    for dim in dims:
        if places[dim] is None:
            if not spare:
                return None
            places[dim] = spare.pop(0)
    return tuple(places)
