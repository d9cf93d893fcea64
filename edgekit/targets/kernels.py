"""What a device's kernels take for a layer, besides its multiply-accumulates: the ``kernels`` table of a target's file."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import UsageError


@dataclass(frozen=True)
class Kernels:
    """Work in units of one multiply-accumulate of a convolution whose kernel is fully used. As it stands, only those count.

    It tells which channels are worth removing, and nothing about how long a model takes: that is measured.

    Attributes:
        tile: Output channels that a convolution or linear layer computes at once; fewer take as long as all of them.
        output: Writing one output of such a layer (its sum set up, rounded, bounded, stored).
        depthwise: A multiply-accumulate of a depthwise convolution, which has another kernel.
        element: One output of a sum or product of two tensors.
    """

    tile: int = 1
    output: float = 0.0
    depthwise: float = 1.0
    element: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no kernel does.

        Raises:
            UsageError: A tile below 1, or work below 0.
        """
        if self.tile < 1:
            raise UsageError(f"tile of [kernels] is {self.tile}", accepted="1 or more channels")
        for name in ("output", "depthwise", "element"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} of [kernels] is {getattr(self, name):g}", accepted="0 or more multiply-accumulates")


ONLY_MACS = Kernels()
"""Of a device whose kernels nobody measured."""
