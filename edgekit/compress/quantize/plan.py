"""What the quantizer decides before it touches the graph.

A `Slot` is a place where a fake-quantize node will go, a `Group` the slots that must have one grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import fx

from edgekit.schemes import Scheme
from edgekit.tensors import Grid


@dataclass(frozen=True)
class Slot:
    """A place for a fake-quantize node.

    Attributes:
        value: The node whose result is rounded.
        bits: Width of the integers, 8 or 16.
        reader: None: after `value`, for all its integer readers of that width. Else only on the edge to this
            reader, which needs another grid than the kernel of `value` gives (or than a constant's own).
    """

    value: fx.Node
    bits: int
    reader: fx.Node | None = None


@dataclass
class Group:
    """Slots that share one grid.

    Attributes:
        slots: The members, in execution order.
        bits: Width of the integers.
        symmetric: Whether a reader demands zero point 0.
        fixed: The grid, where the producing kernel fixes it.
    """

    slots: list[Slot]
    bits: int
    symmetric: bool = False
    fixed: Grid | None = None


@dataclass
class Plan:
    """Which operators become integer kernels, and which values share grids.

    Attributes:
        schemes: Scheme of every call node.
        integer: Nodes computed by integer kernels.
        fused: Producer to what its kernel applies: an activation, or a sum; the producer's own result is never rounded.
        operands: For each integer node, the slot each of its float operands is read through.
        groups: All groups, in execution order.
        floats: Operators of a static scheme that have no integer kernel, and why.
        float_results: Whether integer kernels give floats; see `edgekit.targets.ActivationRules`.
    """

    schemes: dict[fx.Node, Scheme]
    integer: set[fx.Node]
    fused: dict[fx.Node, fx.Node]
    operands: dict[fx.Node, dict[fx.Node, Slot]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    floats: dict[fx.Node, str] = field(default_factory=dict)
    float_results: bool = False
