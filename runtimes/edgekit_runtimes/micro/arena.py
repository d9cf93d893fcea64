"""Where activations lie in one block of memory, so that those that are needed at the same time do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 16


@dataclass(frozen=True)
class Tenant:
    """A tensor in the arena.

    Attributes:
        name: What to call it.
        size: Bytes.
        first: The step that writes it.
        last: The last step that reads it.
    """

    name: int
    size: int
    first: int
    last: int

    def meets(self, other: Tenant) -> bool:
        """Whether both are needed at one step."""
        return self.first <= other.last and other.first <= self.last


def placed(tenants: Sequence[Tenant]) -> tuple[dict[int, int], int]:
    """Offsets by name, and the arena's size.

    Greedy by size: the largest first, each into the lowest gap among those already placed that it meets (Pisarchyk and Lee,
    "Efficient memory management for deep neural net inference", MLSys 2020).
    """
    offsets: dict[int, int] = {}
    done: list[Tenant] = []
    total = 0
    for tenant in sorted(tenants, key=lambda t: (-t.size, t.first, t.name)):
        at = 0
        for other in sorted((o for o in done if o.meets(tenant)), key=lambda o: offsets[o.name]):
            if offsets[other.name] - at >= tenant.size:
                break
            at = max(at, -(-(offsets[other.name] + other.size) // ALIGNMENT) * ALIGNMENT)
        offsets[tenant.name] = at
        done.append(tenant)
        total = max(total, at + tenant.size)
    return offsets, -(-total // ALIGNMENT) * ALIGNMENT
