"""What emitters' tests do: write a graph, evaluate the package, compare with the graph; all in this process, to be quick."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.conversion.expected import distance
from edgekit.graph import Graph
from edgekit.plugins import Emitted, Encoding
from edgekit.targets import load_target
from edgekit_converters.coreml.walk import emit_with
from edgekit_converters.coreml.writer import write as write_program
from edgekit_runtimes._coreml.constants import constants
from edgekit_runtimes._coreml.package import Package, open_package
from edgekit_runtimes._coreml.program import read_program
from edgekit_runtimes._coreml.session import CoreMLSession

ROUNDING = {"float32": 1e-5, "float16": 4e-3}
"""What a few operators' roundings come to, as a share of a result."""


@dataclass(frozen=True)
class Written:
    """A package that was written and evaluated.

    Attributes:
        emitted: What the converter says.
        outputs: By name, what the evaluator answers.
        weights: By name, the constants of the package.
        forms: Operators that decompress constants.
        package: The package itself, read.
        bytes: Size of its weight file.
    """

    emitted: Emitted
    outputs: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    forms: list[str]
    package: Package
    bytes: int

    @property
    def kinds(self) -> list[str]:
        """Operators, in execution order."""
        return [op.name for op in self.emitted.ops]


def encoding(ios: str = "18", compute: str = "float32", **options: Any) -> Encoding:
    """An encoding for a version of iOS."""
    return Encoding(compute=compute, platform=load_target("ios").at(ios).platform, **options)


def write(graph: Graph, inputs: Sequence[Tensor] = (), how: Encoding | None = None) -> Written:
    """Write `graph`, and evaluate it on `inputs` (in the graph's order and with its batch) if there are any."""
    how = how or encoding()
    _settle()
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        emitted = emit_with(write_program, graph, Path(name), how)
        path = Path(name) / emitted.model_file
        package = open_package(path)
        feed = {s.name: x.numpy().astype(s.dtype) for s, x in zip(emitted.inputs, inputs, strict=True)} if inputs else {}
        outputs = _evaluated(path, feed) if inputs else {}
        blob = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
        size = blob.stat().st_size if blob.exists() else 0
        program = read_program(package)
        found = {name: c.array for name, c in constants(program).items()}
        forms = [o.kind for o in program.operations if o.kind.startswith("constexpr")]
        return Written(emitted, outputs, found, forms, package, size)


@cache
def _settle() -> None:
    """Take what is loaded by now out of garbage collection: `coremltools.convert` collects everything each time, a second with torch."""
    import coremltools  # noqa: F401, PLC0415

    gc.freeze()


def _evaluated(path: Path, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The package's outputs on one batch, whose inputs need not agree in their first dimension."""
    session = CoreMLSession(path)
    group = {edge.port.name: torch.from_numpy(feed[edge.name])[None] for edge in session.interface.inputs}
    return {name: value[0] for name, value in session._computed(group).items()}


def check(graph: Graph, *inputs: Tensor, ios: str = "18", compute: str = "float32", **options: Any) -> Written:
    """Write `graph`, and hold the package's answers to the graph's and its constants to what the converter says they are."""
    how = encoding(ios, compute, **options)
    written = write(graph, inputs, how)
    for spec, predicted in zip(graph.outputs, graph(*inputs), strict=True):
        got, want = written.outputs[spec.name], predicted.numpy()
        assert got.shape == want.shape, (spec.name, got.shape, want.shape)
        size = distance(want, np.zeros_like(want))
        assert distance(got.astype(want.dtype), want) <= ROUNDING[compute] * (size + 0.1), (spec.name, written.kinds)
    check_weights(written)
    return written


def check_weights(written: Written) -> None:
    """Hold the package's constants to what the converter says they are, bit for bit."""
    found: Mapping[str, np.ndarray] = written.weights
    for weight in written.emitted.weights:
        got = found[weight.name]
        assert got.dtype == weight.values.dtype and got.shape == weight.values.shape, (weight.name, got.dtype, got.shape)
        assert got.tobytes() == np.ascontiguousarray(weight.values).tobytes(), weight.name


def calling(target: Any) -> Any:
    """A function for `graph_of` that calls `target` on its inputs and constants, by position."""
    return lambda *inputs, **constants: target(*inputs, *constants.values())


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
