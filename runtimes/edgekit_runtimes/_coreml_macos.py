"""What only a Mac does with a Core ML package: compile it, run it by Core ML, say what runs where, and time it.

Everything else of the ``ios`` target works on any machine. Nothing here has been run in this project's own tests, which have no Mac:
they hold its calls to a stand-in, labelled as such.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import DeviceUnavailable, UsageError
from edgekit.plugins import require

UNITS = {"all": "ALL", "cpu": "CPU_ONLY", "cpu+gpu": "CPU_AND_GPU", "cpu+ane": "CPU_AND_NE"}
"""Where Core ML may compute."""
_MODULES = "edgekit.modules"


@dataclass(frozen=True)
class Placement:
    """Where Core ML plans to run one operator.

    Attributes:
        operator: ``conv``.
        module: Path of the user's module it came from; empty where the package does not say.
        device: ``MLNeuralEngineComputeDevice`` and the like; None for a constant.
        supported: All devices that could run it.
        cost: Estimated share of the whole prediction, 0 to 1, or None.
    """

    operator: str
    module: str
    device: str | None
    supported: tuple[str, ...]
    cost: float | None


@dataclass(frozen=True)
class OnMac:
    """A package on a Mac.

    Attributes:
        package: The ``.mlpackage``.
        units: Where Core ML may compute, a key of `UNITS`.
    """

    package: Path
    units: str = "all"

    def __post_init__(self) -> None:
        """Refuse what cannot work here.

        Raises:
            UsageError: No such units, or coremltools is not installed.
            DeviceUnavailable: This is no Mac.
        """
        if self.units not in UNITS:
            raise UsageError(f"Core ML has no compute units called {self.units!r}", accepted=list(UNITS))
        if sys.platform != "darwin":
            raise DeviceUnavailable(
                f"Core ML runs on Apple's systems only, and this is {sys.platform}",
                accepted="macOS, for compiling, running, placement and time",
                next_step="copy the artifact to a Mac; edgekit verify checks its numbers here",
            )
        require("coremltools", "coreml")

    def compile(self, folder: Path) -> Path:
        """Compile to ``model.mlmodelc`` in `folder`, as an app carries it."""
        from coremltools.models.utils import compile_model  # noqa: PLC0415

        target = folder / f"{self.package.stem}.mlmodelc"
        return Path(compile_model(str(self.package), str(target)))

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """One prediction by Core ML, by the file's names of inputs and outputs."""
        return dict(self._model().predict(dict(inputs)))

    def placements(self, folder: Path) -> tuple[Placement, ...]:
        """Where Core ML plans to run each operator of the package, compiled into `folder`."""
        from coremltools.models.compute_plan import MLComputePlan  # noqa: PLC0415

        plan = MLComputePlan.load_from_path(path=str(self.compile(folder)), compute_units=self._compute_units())
        modules = self._modules()
        operations = plan.model_structure.program.functions["main"].block.operations
        return tuple(_placement(plan, op, modules) for op in operations if not op.operator_name.endswith("const"))

    def latencies(self, runs: int = 100) -> tuple[float, ...]:
        """Milliseconds of each of `runs` predictions on random inputs, after one that does not count."""
        from coremltools.models.ml_program.experimental.perf_utils import MLModelBenchmarker  # noqa: PLC0415

        benchmark = MLModelBenchmarker(self._model()).benchmark_predict(iterations=runs, warmup=True)
        return tuple(asyncio.run(benchmark).samples)

    def _model(self) -> Any:
        from coremltools.models import MLModel  # noqa: PLC0415

        return MLModel(str(self.package), compute_units=self._compute_units())

    def _compute_units(self) -> Any:
        import coremltools  # noqa: PLC0415

        return getattr(coremltools.ComputeUnit, UNITS[self.units])

    def _modules(self) -> dict[str, str]:
        """By operator's name, the user's module, as edgekit's converter keeps it in the package."""
        from coremltools.models import MLModel  # noqa: PLC0415

        metadata = MLModel(str(self.package), skip_model_load=True).get_spec().description.metadata.userDefined
        known: dict[str, str] = json.loads(metadata[_MODULES]) if _MODULES in metadata else {}
        return known


def _placement(plan: Any, operation: Any, modules: Mapping[str, str]) -> Placement:
    usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
    cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
    names = [output.name for output in operation.outputs]
    return Placement(
        operator=operation.operator_name,
        module=next((modules[name] for name in names if name in modules), ""),
        device=None if usage is None else type(usage.preferred_compute_device).__name__,
        supported=() if usage is None else tuple(type(d).__name__ for d in usage.supported_compute_devices),
        cost=None if cost is None else float(cost.weight),
    )
