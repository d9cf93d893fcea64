"""Why a layer loses what it loses, and which knob addresses that.

A layer's loss is first traced to its weight or its result, whichever costs the outputs more; then what that tensor looks like, beside the
grid it is rounded to, names the cause. A sign says what could be better about a layer, not that the layer is bad: how much it costs is
measured (`edgekit.debugging.losses`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from edgekit.compress.quantize.grids import ends
from edgekit.compress.roundings import unrounded
from edgekit.debugging.losses import Loss, Losses
from edgekit.debugging.switches import WEIGHT, Layer
from edgekit.graph import grid_of
from edgekit.tensors import Grid

SPREAD = 8.0
"""Largest over median channel from which on channels of one grid are said to differ in size."""
OUTLYING = 4.0
"""Largest value over the value that one in a thousand exceeds, from which on it is called an outlier."""
TAIL = 0.999
SATURATED = 0.5
"""Share of a result's squared error that values beyond the grid's ends make, from which on it is said to saturate."""
SAMPLED = 1 << 22
"""Elements that a quantile is taken of, at most."""
FEW_BITS = 4

OF_ACTIVATIONS = ("calibration", "int16", "data")
"""Knobs that do nothing for a weight."""
OF_WEIGHTS = ("bias_correction", "adaround")
"""Knobs that do nothing for an input of the model."""

CAUSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "degenerate range": ("the value varies by less than a step of its grid, so nothing of it is left", ("data", "float")),
    "saturating activation": ("the grid ends inside of the data, and what is beyond is cut off", ("calibration", "int16", "float")),
    "per-channel spread": ("channels of very different size share one grid, so small ones get few steps", ("equalize", "int16", "float")),
    "range outlier": ("a few large values stretch the grid, so all others get few steps", ("calibration", "int16", "float")),
    "few bits": ("a weight of few bits has coarse steps", ("adaround", "int8", "float")),
    "unquantized neighbour": ("the layer beside it is computed in float, so the value is rounded for no integer kernel", ("float",)),
    "coarse grid": (
        "nothing stands out: so many steps are too few for what the outputs make of it",
        ("bias_correction", "adaround", "int16", "float"),
    ),
}
"""Cause to what it means and the knobs that address it, the cheapest first."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a layer.

    Attributes:
        module: Path of the user's module.
        op: Its operator.
        tensor: ``weight``, ``result`` or ``input``.
        cause: A key of `CAUSES`.
        evidence: What was seen, in figures.
        knobs: What addresses it, the cheapest first; names of `edgekit.debugging.knobs.KNOBS`, or ``data``: better calibration data.
    """

    module: str
    op: str
    tensor: str
    cause: str
    evidence: str
    knobs: tuple[str, ...]


def explain(losses: Losses, loss: Loss, floats: Collection[str]) -> Finding:
    """Name the cause of a layer's loss.

    Args:
        losses: All of them.
        loss: The layer's.
        floats: Names of the calls that a static scheme left in float for want of a kernel.
    """
    layer = loss.layer
    roles = dict.fromkeys(layer.switches.values())
    noise = {role: losses.alone(_of(layer, role)).noise for role in roles}
    worst = max(noise, key=noise.__getitem__)
    name = next(n for n, role in layer.switches.items() if role == worst)
    with torch.inference_mode():
        cause, evidence = _weight(losses, name) if worst == WEIGHT else _result(losses, name, floats)
    tensor = "input" if layer.op == "input" else worst
    useless = OF_ACTIVATIONS if tensor == WEIGHT else OF_WEIGHTS if tensor == "input" else ()
    knobs = tuple(knob for knob in CAUSES[cause][1] if knob not in useless)
    return Finding(layer.module, layer.op, tensor, cause, evidence, knobs)


def _of(layer: Layer, role: str) -> list[str]:
    """The layer's switches of a role; a corrected bias goes with the weight."""
    return [*(name for name, of in layer.switches.items() if of == role), *(layer.corrections if role == WEIGHT else ())]


def _weight(losses: Losses, name: str) -> tuple[str, str]:
    node, exact = losses.board.rounding(name), losses.board.constant(name)
    grid = grid_of(node)
    spread, largest = _input_spread(exact)
    if spread >= SPREAD:
        return "per-channel spread", f"within an output channel, input channel {largest} spans {spread:.0f} times the median one"
    if grid is not None and grid.dtype == "int4":
        return "few bits", f"{grid.dtype}, a step for each {_share(grid)}"
    if grid is None:
        return "few bits", "stored as entries of a table" if unrounded(node) is node else "stored in half precision"
    reach = _reach(exact)
    if reach >= OUTLYING and grid.axis is None:
        return "range outlier", f"the largest weight is {reach:.1f} times the 99.9th percentile"
    return "coarse grid", f"{grid.dtype}, a step for each {_share(grid)}"


@dataclass(frozen=True)
class _Seen:
    """A rounded value on the data.

    Attributes:
        node: The rounding.
        value: Before it.
        error: Squared, of each element.
        grid: What it is rounded to.
        floats: Names of the calls that no integer kernel computes.
    """

    node: fx.Node
    value: Tensor
    error: Tensor
    grid: Grid
    floats: Collection[str]

    @property
    def steps(self) -> str:
        """The grid in words."""
        low, high = ends(self.grid)
        return f"a step of {self.grid.scale[0]:.3g} from {low:.3g} to {high:.3g}"


def _result(losses: Losses, name: str, floats: Collection[str]) -> tuple[str, str]:
    node = losses.board.rounding(name)
    grid, value = grid_of(node), losses.values[unrounded(node).name].float()
    if grid is None:
        return "coarse grid", "rounded at run time to each sample's own range"
    given = losses.board.thrown(losses.values, [name], [name])[name]
    seen = _Seen(node, value, (given - value).square(), grid, floats)
    return next((cause, evidence) for cause, sign in _SIGNS.items() if (evidence := sign(seen)) is not None)


def _degenerate(seen: _Seen) -> str | None:
    low, high = float(seen.value.min()), float(seen.value.max())
    return f"the data span {low:.4g} to {high:.4g}, less than {seen.steps}" if high - low < seen.grid.scale[0] else None


def _saturating(seen: _Seen) -> str | None:
    low, high = ends(seen.grid)
    step = seen.grid.scale[0]
    beyond = (seen.value < low - step) | (seen.value > high + step)
    part = float(seen.error.where(beyond, 0.0).sum()) / max(float(seen.error.sum()), 1e-30)
    if part <= SATURATED:
        return None
    return f"{float(beyond.float().mean()):.2%} of the values are beyond {low:.3g} to {high:.3g} and make {part:.0%} of the error"


def _spreading(seen: _Seen) -> str | None:
    axis = -1 if seen.value.dim() == 3 else 1
    if seen.value.dim() < 2:
        return None
    spread, largest = _over_median(seen.value.movedim(axis, 0).flatten(1).abs().amax(1))
    return f"channel {largest} spans {spread:.0f} times the median one; {seen.steps}" if spread >= SPREAD else None


def _outlying(seen: _Seen) -> str | None:
    reach = _reach(seen.value)
    return f"the largest magnitude is {reach:.1f} times the 99.9th percentile; {seen.steps}" if reach >= OUTLYING else None


def _beside_float(seen: _Seen) -> str | None:
    neighbours = sorted({n.name for n in (*seen.node.users, unrounded(seen.node)) if n.name in seen.floats})
    return f"float: {', '.join(neighbours)}; {seen.steps}" if neighbours else None


_SIGNS: Mapping[str, Callable[[_Seen], str | None]] = {
    "degenerate range": _degenerate,
    "saturating activation": _saturating,
    "per-channel spread": _spreading,
    "range outlier": _outlying,
    "unquantized neighbour": _beside_float,
    "coarse grid": lambda seen: f"{seen.grid.dtype}, {seen.steps}",
}
"""Cause of a result's loss to the evidence for it, or None; the first that has any is named."""


def _input_spread(weight: Tensor) -> tuple[float, int]:
    """The largest input channel over the median one, each counted by the share it has in an output channel's range; and which it is."""
    if weight.dim() < 2:
        return 1.0, 0
    largest = weight.flatten(2).abs().amax(2) if weight.dim() > 2 else weight.abs()
    share = (largest / largest.amax(1, keepdim=True).clamp_min(1e-30)).amax(0)
    return _over_median(share)


def _over_median(sizes: Tensor) -> tuple[float, int]:
    live = sizes[sizes > 0]
    if len(live) < 4:
        return 1.0, 0
    return float(live.max() / live.median()), int(sizes.argmax())


def _reach(value: Tensor) -> float:
    """The largest magnitude over the one that a thousandth of the nonzero values exceeds."""
    sizes = value.abs().flatten()
    sizes = sizes[sizes > 0]
    if len(sizes) < 4 / (1 - TAIL):
        return 1.0
    some = sizes[:: max(1, len(sizes) // SAMPLED)]
    tail = float(some.kthvalue(int(TAIL * len(some))).values)
    return float(sizes.max()) / max(tail, 1e-30)


def _share(grid: Grid) -> str:
    return (
        "tensor" if grid.axis is None and grid.block is None else "output channel" if grid.block is None else f"{grid.block} input channels"
    )
