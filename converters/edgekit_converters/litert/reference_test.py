"""Every architecture of the reference set, written in float and in int8, against the graph it was written from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from edgekit.canonicalize import canonicalize
from edgekit.compress.quantize import Quantize
from edgekit.conversion.lowering import lower
from edgekit.conversion.tolerance import distance, expect
from edgekit.data.samples import Samples
from edgekit.graph import Graph
from edgekit.loading import export
from edgekit.plugins import Emitted, Encoding
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit.testing.reference import REFERENCE, ReferenceModel, names
from edgekit_converters._integers import dequantized
from edgekit_converters.litert.testing import run, to_grid, write

RULES = load_rules("litert")


@dataclass(frozen=True)
class Case:
    reference: ReferenceModel
    canonical: Graph
    lowered: Graph

    def calibration(self) -> Samples:
        return Samples({spec.name: _array(x) for spec, x in zip(self.lowered.inputs, self.reference.inputs(1, 4), strict=True)})


@pytest.fixture(scope="module", params=names())
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Built once for all tests of a model, then let go."""
    reference = REFERENCE[request.param]()
    canonical = canonicalize(export(reference.model, reference.example_inputs))
    yield Case(reference, canonical, lower(canonical, RULES))


def test_float(case):
    inputs = case.reference.example_inputs
    emitted, model = write(case.lowered)
    for kernels in ("xnnpack", "built-in"):
        for got, want in zip(_outputs(emitted, model, inputs, kernels), case.canonical(*inputs), strict=True):
            assert _norm(got - want.numpy()) <= 1e-4 * _norm(want.numpy())
    assert "QUANTIZE" not in {op.name for op in emitted.ops}
    if case.reference.kind == "conv":
        assert not _interior_transposes(emitted)


def test_int8(case):
    inputs = case.reference.example_inputs
    rounded = Quantize("w8a8", calibration="minmax", batch_size=1)(case.lowered, Context(RULES, case.calibration()))
    emitted, model = write(rounded, Encoding("int8", "int8"))
    assert not [op for op in emitted.ops if op.dtype == "float32"]
    _check_nothing_changes_grids(rounded, emitted)
    if case.reference.kind == "conv":
        assert not _interior_transposes(emitted)
    named = {s.name: _array(x) for s, x in zip(rounded.inputs, inputs, strict=True)}
    expected = expect(rounded, named)
    for kernels in ("xnnpack", "built-in"):
        for got, spec in zip(_outputs(emitted, model, inputs, kernels), emitted.outputs, strict=True):
            assert distance(got, expected.outputs[spec.name]) <= expected.tolerance[spec.name], (spec.name, kernels)


def _check_nothing_changes_grids(rounded: Graph, emitted: Emitted) -> None:
    """No operator only changes a grid, but where the quantizer said that two grids are fixed by kernels."""
    changes = [op.module for op in emitted.ops if op.name in ("QUANTIZE", "DEQUANTIZE")]
    explained = [note for note in rounded.notes if note.startswith("requantized")]
    assert len(changes) <= len(explained), (changes, rounded.notes)


def _interior_transposes(emitted: Emitted) -> list[str]:
    return [note for note in emitted.notes if note.startswith("TRANSPOSE") and "edge" not in note]


def _outputs(emitted: Emitted, model: bytes, inputs: tuple[Tensor, ...], kernels: str) -> list[np.ndarray]:
    """Real numbers, in the order of the graph's outputs."""
    feed = {spec.name: to_grid(_array(x), spec) for spec, x in zip(emitted.inputs, inputs, strict=True)}
    found = run(model, [feed[name] for name in sorted(feed)], kernels)
    by_name = dict(zip(sorted(spec.name for spec in emitted.outputs), found, strict=True))
    return [by_name[s.name] if s.grid is None else dequantized(by_name[s.name], s.grid) for s in emitted.outputs]


def _array(x: Tensor) -> np.ndarray:
    return x.numpy().astype(np.int32) if x.dtype == torch.int64 else x.numpy()


def _norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(x.astype(np.float64)))
