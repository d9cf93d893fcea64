"""The command that measures an engine on the device. The one that builds it is the artifact's, in its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIMES, PROFILE, ENGINE = "times.json", "profile.json", "model.engine"


@dataclass(frozen=True)
class Measuring:
    """How an engine is timed.

    Attributes:
        warmup_ms: Of runs that are not counted.
        seconds: Of runs that are.
        iterations: Runs at least.
        transfers: Whether copying inputs and outputs counts; on a Jetson CPU and GPU share their memory.
        graph: Whether kernels are launched as one CUDA graph, as a tuned application does.
    """

    warmup_ms: int = 500
    seconds: int = 10
    iterations: int = 100
    transfers: bool = False
    graph: bool = True

    def command(self, shapes: Mapping[str, Sequence[int]] | None = None) -> tuple[str, ...]:
        """``trtexec`` and its arguments, to be run in the folder of the engine.

        Args:
            shapes: Of the inputs by name, where the engine takes several.
        """
        given = ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in (shapes or {}).items())
        return (
            "trtexec",
            f"--loadEngine={ENGINE}",
            *([f"--shapes={given}"] if given else []),
            f"--warmUp={self.warmup_ms}",
            f"--duration={self.seconds}",
            f"--iterations={self.iterations}",
            "--percentile=50,90,95,99",
            "--useSpinWait",
            *([] if self.transfers else ["--noDataTransfers"]),
            *(["--useCudaGraph"] if self.graph else []),
            f"--exportTimes={TIMES}",
        )


def layers(seconds: int = 3) -> tuple[str, ...]:
    """``trtexec`` taking the time of each layer: a run of its own, for profiling slows the whole down."""
    return ("trtexec", f"--loadEngine={ENGINE}", f"--duration={seconds}", "--separateProfileRun", f"--exportProfile={PROFILE}")
