"""What a device's kernels take for a layer, besides its multiply-accumulates: the ``kernels`` table of a target's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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

    @classmethod
    def from_table(cls, table: Mapping[str, Any], origin: str) -> Kernels:
        """Read the table of a target's file, `origin`.

        Raises:
            UsageError: An unknown key, or a value that is no number of at least 0 (a tile: no whole number of at least 1).
        """
        if unknown := set(table) - set(cls.__dataclass_fields__):
            raise UsageError(f"{origin}: [kernels] has unknown keys {sorted(unknown)}", accepted=list(cls.__dataclass_fields__))
        for key, value in table.items():
            kind, least = (int, 1) if key == "tile" else ((int, float), 0)
            if not isinstance(value, kind) or isinstance(value, bool) or value < least:
                raise UsageError(f"{origin}: {key} of [kernels] is {value!r}", accepted=f"a number, {least} or more")
        return cls(**table)


ONLY_MACS = Kernels()
"""Of a device whose kernels nobody measured."""
