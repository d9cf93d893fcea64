"""What an emulator counts of a run, whichever emulator counts: instructions, never time.

A count is a property of the program and the processor's instruction set: the same on any machine, at any load, every time.
How long a real processor takes for them is another question, which only `edgekit.profiling.estimating` answers, and calls
an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from edgekit.plugins import RunRequest, Runtime

CLASSES = ("load", "store", "branch", "simd", "dot_product", "multiply", "divide")
"""Names of the classes a counter may tell apart. Classes may overlap: a SIMD load is both."""


@dataclass(frozen=True)
class InstructionCount:
    """Guest instructions executed between two marks.

    Attributes:
        total: All of them.
        classes: Of these, how many are of each class in `CLASSES` that the counter tells apart.
    """

    total: int
    classes: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Both."""
        return {"total": self.total, "classes": dict(self.classes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InstructionCount:
        """Inverse of `to_json`."""
        return cls(data["total"], dict(data["classes"]))


@dataclass(frozen=True)
class OpCount:
    """One operator's share of a run.

    Attributes:
        index: Its position in the model file.
        name: Its name in the format.
        instructions: Executed for it.
    """

    index: int
    name: str
    instructions: int


@dataclass(frozen=True)
class CountedRun:
    """What one emulated process did.

    Attributes:
        invokes: A count for every run of the model after the first, in order: equal, if the program is deterministic.
        source: Who counted, and on which processor (``qemu-aarch64 7.2.22, cortex-a76``).
        ops: Per operator, in execution order; empty if the runner cannot mark them.
        ops_reason: Why there are none, or None.
        arena_bytes: Room the runner needs for activations, or None where it does not tell.
        outputs: Of the run, by output name, as the model file has them; empty if the program gives none back.
    """

    invokes: tuple[InstructionCount, ...]
    source: str
    ops: tuple[OpCount, ...] = ()
    ops_reason: str | None = None
    arena_bytes: int | None = None
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)


class CountedRuntime(Runtime, Protocol):
    """A runtime whose instructions can be counted."""

    def version(self) -> str:
        """Name and version of the engine."""

    def count(self, request: RunRequest, inputs: Mapping[str, np.ndarray], invokes: int) -> CountedRun:
        """Run the model `invokes` times on one sample (without its batch dimension), after one run that does not count."""


@dataclass(frozen=True)
class EstimatedOp:
    """One operator in a compiler's model of a device.

    Attributes:
        index: Its position in the model file.
        name: Its name in the format.
        cycles: Estimated, or None for one that the compiler leaves to the CPU.
        placed: Where it runs: ``npu`` or ``cpu``.
    """

    index: int
    name: str
    cycles: int | None
    placed: str


@dataclass(frozen=True)
class EstimatedRun:
    """What a compiler estimates of a run.

    Attributes:
        cycles: Of the accelerator; what the CPU takes is not in it.
        clock_mhz: Assumed.
        ops: In execution order.
        device: The compiler's name of what it estimates for.
        basis: What the estimate rests on.
        ram_bytes: For activations on the accelerator.
        flash_bytes: For what it reads: the compressed weights.
    """

    cycles: int
    clock_mhz: float
    ops: tuple[EstimatedOp, ...]
    device: str
    basis: str
    ram_bytes: int | None = None
    flash_bytes: int | None = None


class EstimatingRuntime(Runtime, Protocol):
    """A compiler that estimates what a run takes on a device it knows."""

    def version(self) -> str:
        """Name and version of the compiler."""

    def estimate(self, request: RunRequest) -> EstimatedRun:
        """Compile the file and estimate; ``request.options["target"]`` names the target the model was made for, or is None."""
