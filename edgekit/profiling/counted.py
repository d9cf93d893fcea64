"""A profile without time: what an emulator counted of a model, or a compiler estimated. Document ``edgekit.profile/1`` too.

Its ``basis`` is ``counted`` or ``estimate``, its ``latency`` null: how long an emulator takes says nothing about a device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgekit import schemas
from edgekit.counting import CountedRun, InstructionCount
from edgekit.devices.machine import Machine
from edgekit.errors import UsageError
from edgekit.profiling.profiles import SCHEMA, Memory, Ops, Runner
from edgekit.profiling.validity import Finding, Validity


@dataclass(frozen=True)
class Counts:
    """Instructions a run takes.

    Attributes:
        run: Of one run: the median of `invokes` by their totals.
        invokes: Of every run after the first, in order.
        source: Who counted, on which processor.
    """

    run: InstructionCount
    invokes: tuple[InstructionCount, ...]
    source: str

    @classmethod
    def of(cls, counted: CountedRun) -> Counts:
        """From what an emulated process did."""
        ordered = sorted(counted.invokes, key=lambda count: count.total)
        return cls(ordered[len(ordered) // 2], counted.invokes, counted.source)

    @property
    def deterministic(self) -> bool:
        """Whether all runs took the same."""
        return len({count.total for count in self.invokes}) == 1

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"run": self.run.to_json(), "invokes": [c.to_json() for c in self.invokes], "source": self.source}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Counts:
        """Inverse of `to_json`."""
        invokes = tuple(InstructionCount.from_json(c) for c in data["invokes"])
        return cls(InstructionCount.from_json(data["run"]), invokes, data["source"])


@dataclass(frozen=True)
class Estimate:
    """A time that nobody measured.

    Attributes:
        milliseconds: Of one run.
        low_ms: Where the model of the device gives a range, from here
        high_ms: to here.
        cycles: Of one run, where the model counts cycles.
        clock_mhz: Assumed.
        device: Name of the device file, or of the compiler's own configuration.
        basis: What it rests on and where that came from, in one sentence.
    """

    milliseconds: float
    low_ms: float | None
    high_ms: float | None
    cycles: int | None
    clock_mhz: float
    device: str
    basis: str


@dataclass(frozen=True)
class CountedProfile:
    """A model that was run in an emulator or looked at by a compiler.

    Attributes:
        model: Name, format, bytes and sha256.
        runner: What ran it.
        counts: Instructions, or None where nothing counts them.
        estimate: Time, only if it was asked for, or None.
        memory: Of file and arena.
        ops: Per operator.
        machine: What is emulated.
        validity: Doubts.
        started: ISO 8601, UTC.
        tools: Package to version.
    """

    model: Mapping[str, Any]
    runner: Runner
    counts: Counts | None
    estimate: Estimate | None
    memory: Memory
    ops: Ops
    machine: Machine
    validity: Validity
    started: str
    tools: Mapping[str, str]

    @property
    def basis(self) -> str:
        """``counted``, or ``estimate`` where nothing was counted."""
        return "counted" if self.counts else "estimate"

    @property
    def valid(self) -> bool:
        """Whether it can be trusted."""
        return self.validity.valid

    @property
    def partial(self) -> bool:
        """Whether it was interrupted: an emulated run is whole or not at all."""
        return False

    def require(self) -> CountedProfile:
        """Return itself if it can be trusted.

        Raises:
            InvalidMeasurement: It says why not.
        """
        self.validity.require(f"the counts of {self.model['name']}", "count again")
        return self

    def to_json(self) -> dict[str, Any]:
        """The document, valid under ``schemas/profile-1.json``."""
        return {
            "schema": SCHEMA,
            "basis": self.basis,
            "started": self.started,
            "partial": self.partial,
            "validity": self.validity.to_json(),
            "model": dict(self.model),
            "runner": asdict(self.runner),
            "latency": None,
            "startup": None,
            "memory": asdict(self.memory),
            "ops": self.ops.to_json(),
            "machine": self.machine.to_json(),
            "before": None,
            "after": None,
            "pace": None,
            "launches_asked": 0,
            "launches": [],
            "tools": dict(self.tools),
            "counts": self.counts.to_json() if self.counts else None,
            "estimate": asdict(self.estimate) if self.estimate else None,
        }

    @classmethod
    def from_json(cls, data: Any, origin: str = "the profile") -> CountedProfile:
        """Inverse of `to_json`.

        Raises:
            UsageError: Not such a document.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA or data.get("basis") == "measured":
            raise UsageError(
                f"{origin} is not a counted profile", accepted=f"a document of schema {SCHEMA} whose basis is counted or estimate"
            )
        schemas.validate(data, "profile-1", origin)
        return cls(
            model=data["model"],
            runner=Runner(**data["runner"]),
            counts=Counts.from_json(data["counts"]) if data["counts"] else None,
            estimate=Estimate(**data["estimate"]) if data["estimate"] else None,
            memory=Memory(**data["memory"]),
            ops=Ops.from_json(data["ops"]),
            machine=Machine.from_json(data["machine"]),
            validity=Validity.from_json(data["validity"]),
            started=data["started"],
            tools=data["tools"],
        )


def judge_counts(counts: Counts) -> Validity:
    """Counts are right or wrong, never noisy: the same program takes the same instructions every time."""
    if counts.deterministic:
        return Validity()
    totals = np.array([count.total for count in counts.invokes])
    spread = f"{totals.min():,} to {totals.max():,}"
    return Validity(
        (Finding("not-deterministic", f"runs of the same input took {spread} instructions: something else ran between the marks"),)
    )
