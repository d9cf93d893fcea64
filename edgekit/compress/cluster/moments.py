"""Second moments of what a layer reads, and of that with what it should give: all that a least-squares fit needs of the data."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, fx
from torch.nn import functional

from edgekit.compress.channels import groups_of
from edgekit.compress.cluster.reconstruction import Seen
from edgekit.compress.roundings import unrounded
from edgekit.graph import argument, constant_value, is_call, op_name
from edgekit.graph import aten as _aten

WIDEST = 8192
"""Columns of a weight that can be fitted: the moments are a square of them."""

POSITIONS_PER_COLUMN, FEWEST_POSITIONS = 16, 8192
"""Positions of images (and samples) that moments are taken of, at most."""


def can_fit(node: fx.Node) -> bool:
    """Whether the layer's outputs are products of its weight with a matrix of inputs small enough to solve for."""
    weight = _weight(node)
    if weight is None or weight[0].numel() > WIDEST:
        return False
    if is_call(node, _aten.linear.default):
        return True
    return is_call(node, _aten.convolution.default) and not argument(node, "transposed") and weight.dim() in (3, 4)


def moments(node: fx.Node, seen: Seen) -> tuple[Tensor, Tensor]:
    """Means of (outputs times inputs) and of (inputs times inputs), both centred.

    Args:
        node: A layer that `can_fit`.
        seen: Its inputs and wanted outputs.

    Returns:
        Shapes (groups, rows, columns) and (groups, columns, columns), float64; the weight is (rows, columns) in each group.
    """
    weight, groups = _weight(node), groups_of(node)
    assert weight is not None
    rows, columns = weight.shape[0] // groups, weight[0].numel()
    square, cross = torch.zeros(groups, columns, columns), torch.zeros(groups, rows, columns)
    first_in, first_out, count = torch.zeros(groups, columns), torch.zeros(groups, rows), 0
    for x, y in positions(node, seen, max(FEWEST_POSITIONS, POSITIONS_PER_COLUMN * columns)):
        square += x @ x.mT
        cross += y @ x.mT
        first_in, first_out, count = first_in + x.sum(2), first_out + y.sum(2), count + x.shape[2]
    mean_in, mean_out = (first_in / count).double(), (first_out / count).double()
    centred = square.double() / count - mean_in[:, :, None] * mean_in[:, None]
    return cross.double() / count - mean_out[:, :, None] * mean_in[:, None], centred


def positions(node: fx.Node, seen: Seen, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """What the layer's weight multiplies and what should come out, some positions of images (or rows) at a time, at even distances.

    Args:
        node: A layer that `can_fit`.
        seen: Its inputs and wanted outputs.
        most: Positions in all, about.

    Yields:
        Shapes (groups, columns, positions) and (groups, rows, positions).
    """
    for part_in, part_out, share in _parts(node, seen, most):
        yield _matrices(node, part_in, part_out, groups_of(node), share)


def _weight(node: fx.Node) -> Tensor | None:
    return constant_value(unrounded(argument(node, "weight")))


def _parts(node: fx.Node, seen: Seen, most: int) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Inputs and outputs, an image of a convolution at a time, and how many positions to take of each."""
    share = max(1, most // len(seen.inputs))
    for batch_in, batch_out in zip(seen.inputs, seen.outputs, strict=True):
        if op_name(node) == "linear":
            yield batch_in, batch_out, share
        else:
            yield from ((x, y, max(1, share // len(batch_in))) for x, y in zip(batch_in, batch_out, strict=True))


def _matrices(node: fx.Node, given: Tensor, wanted: Tensor, groups: int, share: int) -> tuple[Tensor, Tensor]:
    """Inputs (groups, columns, positions) and outputs (groups, rows, positions), at `share` positions at most."""
    if op_name(node) == "linear":
        x, y = given.reshape(-1, given.shape[-1]).T, wanted.reshape(-1, wanted.shape[-1]).T
    else:
        weight = _weight(node)
        assert weight is not None
        x, y = _unfolded(node, given, tuple(weight.shape[2:])), wanted.flatten(1)
    if x.shape[1] > share:
        chosen = torch.linspace(0, x.shape[1] - 1, share).long()
        x, y = x[:, chosen], y[:, chosen]
    return x.reshape(groups, -1, x.shape[1]), y.reshape(groups, -1, y.shape[1])


def _unfolded(node: fx.Node, image: Tensor, kernel: tuple[int, ...]) -> Tensor:
    """The patches of an image (channels, *space) that a convolution multiplies, as columns; one spatial dimension as two."""
    options = {name: list(argument(node, name)) for name in ("dilation", "padding", "stride")}
    if len(kernel) == 1:
        image, kernel = image[:, None], (1, *kernel)
        options = {name: [0 if name == "padding" else 1, *value] for name, value in options.items()}
    return functional.unfold(image[None], kernel, **options)[0]  # type: ignore[arg-type]
