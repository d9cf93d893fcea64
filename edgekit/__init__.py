"""Make a PyTorch or Keras model small and fast for one named device, and prove it still answers the same.

    import edgekit

    artifact = edgekit.convert(model, target="android", calibration=samples)
    edgekit.verify(artifact, model, data=held_out)
    edgekit.profile(artifact)

Importing this package costs milliseconds: a public name is imported when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.artifact import Artifact
    from edgekit.conversion import convert, convert_all, explain
    from edgekit.data import Samples
    from edgekit.debugging import debug, fix
    from edgekit.errors import (
        ConversionError,
        DataError,
        DeviceUnavailable,
        EdgekitError,
        GateFailed,
        InvalidMeasurement,
        LoadError,
        UsageError,
    )
    from edgekit.graph import Graph
    from edgekit.loading import Dims
    from edgekit.packing import pack, unpack
    from edgekit.preprocess import Preprocess
    from edgekit.profiling import compare, measure_gains, profile
    from edgekit.recipe import Recipe
    from edgekit.targets import Target, load_target
    from edgekit.verification import verify, verify_all

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "ConversionError",
    "DataError",
    "DeviceUnavailable",
    "EdgekitError",
    "GateFailed",
    "Graph",
    "InvalidMeasurement",
    "LoadError",
    "Preprocess",
    "Recipe",
    "Samples",
    "Target",
    "UsageError",
    "compare",
    "convert",
    "convert_all",
    "debug",
    "explain",
    "fix",
    "load",
    "load_target",
    "measure_gains",
    "pack",
    "profile",
    "unpack",
    "verify",
    "verify_all",
]

_HOMES = {
    "Artifact": "artifact",
    "Graph": "graph",
    "Preprocess": "preprocess",
    "Recipe": "recipe",
    "Samples": "data",
    "Target": "targets",
    "compare": "profiling",
    "convert": "conversion",
    "convert_all": "conversion",
    "debug": "debugging",
    "explain": "conversion",
    "fix": "debugging",
    "load_target": "targets",
    "pack": "packing",
    "measure_gains": "profiling",
    "profile": "profiling",
    "unpack": "packing",
    "verify": "verification",
    "verify_all": "verification",
}
"""Public name to the module that defines it; errors live in `edgekit.errors`."""


def load(
    model: Any,
    example_inputs: Any = None,
    *,
    dims: Dims | None = None,
    batch: int = 1,
    trust: bool = False,
    weights: str | Path | None = None,
) -> Graph:
    """Read a PyTorch or Keras model into a canonical `Graph`.

    Args:
        model: A module, a Keras model, an ``ExportedProgram``, a file, or ``file.py:callable``.
        example_inputs: What a PyTorch module is called with.
        dims: Sizes of dynamic dimensions other than the batch: ``{"input": {1: 100}}``; or ranges of sizes that stay open:
            ``{"input": {1: (16, 64, 128)}}`` is from 16 to 128, typically 64 (see `edgekit.sizes.range_of`).
        batch: Size of the batch dimension.
        trust: Run code that a Keras file brings along (Lambda layers) or names (custom layers).
        weights: A state dict or safetensors file to load into a PyTorch module first.

    Raises:
        LoadError: It cannot be read or traced as given.
    """
    from edgekit.canonicalize.opening import read

    return read(model, example_inputs, dims=dims, batch=batch, trust=trust, weights=weights)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"edgekit.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
