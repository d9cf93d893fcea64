"""A counted profile whose every figure is written here."""

from __future__ import annotations

from edgekit.counting import InstructionCount
from edgekit.devices.machine import Machine
from edgekit.profiling.counted import CountedProfile, Counts, Estimate, judge_counts
from edgekit.profiling.profiles import Memory, OpRow, Ops, Runner


def counted_profile(total: int = 1_000_000, *, runs: tuple[int, ...] = (), estimate: Estimate | None = None) -> CountedProfile:
    """Of a small model on an emulated Cortex-M4."""
    invokes = tuple(InstructionCount(n, {"load": n // 4, "store": n // 8}) for n in runs or (total, total, total))
    counts = Counts(sorted(invokes, key=lambda c: c.total)[len(invokes) // 2], invokes, "scripted 1.0, cortex-m4")
    rows = (
        OpRow(0, "CONV_2D", "features.conv", "", False, None, 0.9, instructions=9 * total // 10),
        OpRow(1, "SOFTMAX", "", "", False, None, 0.1, instructions=total // 10),
    )
    return CountedProfile(
        model={"name": "small.tflite", "format": "litert", "bytes": 1000, "sha256": "0" * 64},
        runner=Runner("scripted", "scripted 1.0", "qemu:cortex-m4", 1, "none", "random, seed 0"),
        counts=counts,
        estimate=estimate,
        memory=Memory(1000, 5000, None, None, None),
        ops=Ops(rows, len(invokes), "scripted", None, "counted"),
        machine=Machine("cortex-m4", "armv7e-m", 1, 1, 4_194_304, "none", True, emulator="scripted 1.0, cortex-m4"),
        validity=judge_counts(counts),
        started="2026-01-01T00:00:00+00:00",
        tools={"edgekit": "0"},
    )
