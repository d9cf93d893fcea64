"""The reference set, written in float and in int8 by TensorRT's rules, against the graph it was written from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
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
from edgekit.recipe import Context
from edgekit.testing.reference import REFERENCE, ReferenceModel
from edgekit_converters.onnx.testing import RULES, run, write
from edgekit_converters.tensorrt.rules import violations


@dataclass(frozen=True)
class Case:
    reference: ReferenceModel
    canonical: Graph
    lowered: Graph

    def named(self, inputs: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
        return {s.name: x.numpy().astype(s.dtype) for s, x in zip(self.lowered.inputs, inputs, strict=True)}


@pytest.fixture(scope="module", params=[name for name, model in REFERENCE.items() if not model.slow])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Built once for all tests of a model, then let go. The large ones are in the table of the documentation."""
    reference = REFERENCE[request.param]()
    canonical = canonicalize(export(reference.model, reference.example_inputs))
    yield Case(reference, canonical, lower(canonical, RULES))


def test_float(case):
    inputs = case.reference.example_inputs
    _, content = write(case.lowered)
    feed = case.named(inputs)
    wanted = case.canonical(*(torch.from_numpy(x) for x in feed.values()))
    for got, want in zip(run(content, feed), wanted, strict=True):
        assert np.linalg.norm((got - want.numpy()).astype(np.float64)) <= 1e-4 * np.linalg.norm(want.numpy().astype(np.float64))


def test_int8_breaks_no_rule_and_is_what_the_graph_predicts(case):
    samples = Samples(case.named(case.reference.inputs(1, 4)))
    rounded = Quantize("w8a8", calibration="minmax", batch_size=1)(case.lowered, Context(RULES, samples))
    emitted, content = write(rounded)
    model = onnx.load_from_string(content)
    assert violations(model) == ()
    feed = case.named(case.reference.example_inputs)
    expected = expect(rounded, feed)
    for got, spec in zip(run(content, feed), emitted.outputs, strict=True):
        assert distance(got, expected.outputs[spec.name]) <= expected.tolerance[spec.name], spec.name
    if case.reference.kind in ("conv", "dense"):
        integers = [op for op in emitted.ops if op.name in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
        assert {op.dtype for op in integers} == {"int8"}
