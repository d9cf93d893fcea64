"""Times that nobody measured: from counts by a device file, or from a compiler's model. Each is called an estimate wherever it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edgekit import documents
from edgekit.counting import EstimatingRuntime
from edgekit.devices import Machine
from edgekit.errors import UsageError
from edgekit.plugins import RunRequest
from edgekit.profiling.counted import CountedProfile, Estimate
from edgekit.profiling.profiles import Memory, OpRow, Ops, Runner
from edgekit.profiling.subject import Subject
from edgekit.profiling.validity import Finding, Validity

SCHEMA = "edgekit.device/1"
FOLDER = Path(__file__).parent / "clocks"


@dataclass(frozen=True)
class DeviceFile:
    """A device's speed, and where that is known from.

    Attributes:
        name: ``nrf52840``.
        cpu: The core whose counts it converts.
        clock_mhz: Of the core.
        clock_source: Where that came from.
        instructions_per_cycle: On average.
        ipc_source: Where that came from.
        low: The least that is plausible, or None.
        high: The most, or None.
    """

    name: str
    cpu: str
    clock_mhz: float
    clock_source: str
    instructions_per_cycle: float
    ipc_source: str
    low: float | None = None
    high: float | None = None

    def milliseconds(self, instructions: int) -> Estimate:
        """What a run of so many instructions takes, if the file is right."""

        def at(ipc: float | None) -> float | None:
            return None if ipc is None else instructions / ipc / self.clock_mhz / 1e3

        basis = (
            f"{self.instructions_per_cycle:g} instructions a cycle ({self.ipc_source}) at {self.clock_mhz:g} MHz ({self.clock_source}); "
            "memories are assumed to keep up"
        )
        middle = instructions / self.instructions_per_cycle / self.clock_mhz / 1e3
        return Estimate(middle, at(self.high), at(self.low), None, self.clock_mhz, self.name, basis)


def device_file_names() -> tuple[str, ...]:
    """The device files that come with edgekit."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.toml")))


def load_device_file(name: str | Path) -> DeviceFile:
    """Read one that comes with edgekit, or the user's own (anything that ends in ``.toml``).

    Raises:
        UsageError: There is none, or it does not say where its figures came from.
    """
    own = str(name).endswith(".toml")
    if not own and name not in device_file_names():
        raise UsageError(f"no device file is called {str(name)!r}", accepted=[*device_file_names(), "a path to your own .toml"])
    path = Path(name) if own else FOLDER / f"{name}.toml"
    return _checked(documents.read_toml(path, SCHEMA), path)


def _checked(data: dict[str, object], path: Path) -> DeviceFile:
    texts, numbers = ("name", "cpu", "clock_source", "ipc_source"), ("clock_mhz", "instructions_per_cycle")
    wrong = [k for k in texts if not (isinstance(data.get(k), str) and str(data[k]).strip())]
    wrong += [k for k in numbers if not _positive(data.get(k))]
    wrong += [k for k in ("low", "high") if k in data and not _positive(data[k])]
    wrong += sorted(set(data) - set(DeviceFile.__dataclass_fields__))
    if wrong:
        accepted = f"texts {', '.join(texts)}; positive numbers {', '.join(numbers)} and, if you like, low and high"
        raise UsageError(f"{path} lacks or misstates {', '.join(wrong)}", accepted=accepted)
    return DeviceFile(**data)  # type: ignore[arg-type]  # checked above


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def with_estimate(found: CountedProfile, device: DeviceFile) -> CountedProfile:
    """A counted profile with the time its instructions might take.

    Raises:
        UsageError: There are no counts, or they are another core's.
    """
    if found.counts is None:
        raise UsageError("nothing was counted, so there is nothing to convert into an estimate")
    if device.cpu != found.machine.cpu:
        raise UsageError(
            f"{device.name} has a {device.cpu}, and the counts are of a {found.machine.cpu}", next_step=f"count with --on qemu:{device.cpu}"
        )
    return replace(found, estimate=device.milliseconds(found.counts.run.total))


def estimate_by_compiler(model: Subject, runtime: EstimatingRuntime, tools: Mapping[str, str]) -> CountedProfile:
    """What a compiler says of a model: cycles by operator, memory, and what it leaves to the CPU.

    Raises:
        ConversionError: The compiler refuses the file.
    """
    started = datetime.now(UTC)
    target = model.artifact.manifest.target if model.artifact else None
    run = runtime.estimate(RunRequest(model.file, options={"target": target}))
    total = sum(op.cycles or 0 for op in run.ops) or 1
    rows = tuple(
        OpRow(
            op.index,
            op.name,
            model.module(op.index, op.name),
            "",
            op.placed == "npu",
            None,
            None if op.cycles is None else op.cycles / total,
            cycles=op.cycles,
            placed=op.placed,
        )
        for op in run.ops
    )
    return CountedProfile(
        model=model.to_json(),
        runner=Runner(runtime.name, runtime.version(), run.device, 1, "none", "none"),
        counts=None,
        estimate=Estimate(run.cycles / run.clock_mhz / 1e3, None, None, run.cycles, run.clock_mhz, run.device, run.basis),
        memory=Memory(model.bytes, run.ram_bytes, None, None, None),
        ops=Ops(rows, 0, runtime.version(), None, "estimate"),
        machine=Machine(run.device, "ethos-u", 1, 1, 0, "none", None),
        validity=Validity((), tuple(_left(rows))),
        started=started.isoformat(timespec="seconds"),
        tools=tools,
    )


def _left(rows: tuple[OpRow, ...]) -> list[Finding]:
    """The operators the compiler leaves to the CPU, by the user's modules."""
    left = [row for row in rows if row.placed == "cpu"]
    if not left:
        return []
    named = ", ".join(f"{row.name} #{row.index}" + (f" of {row.module}" if row.module else "") for row in left)
    return [Finding("fallback", f"{len(left)} of {len(rows)} operators run on the CPU, which is not in the estimate: {named}")]
