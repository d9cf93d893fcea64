"""Every architecture of the reference set, written in both precisions, against the graph it was written from."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.canonicalize import canonicalize
from edgekit.conversion.lowering import lower
from edgekit.conversion.tolerance import distance, expect
from edgekit.graph import is_call, op_name
from edgekit.loading import export
from edgekit.targets import load_target
from edgekit.testing.reference import REFERENCE, names
from edgekit_converters.coreml.testing import check_weights, encoding, write


@pytest.fixture(scope="module", params=names())
def case(request):
    """Kind, inputs and canonical graph of a model: made once for both precisions, then let go."""
    reference = REFERENCE[request.param]()
    return reference.kind, reference.example_inputs, canonicalize(export(reference.model, reference.example_inputs))


@pytest.mark.parametrize("ios, compute", [("18", "float16"), pytest.param("16", "float32", marks=pytest.mark.slow)])
def test_reference(case, ios, compute):
    kind, inputs, canonical = case
    graph = lower(canonical, load_target("ios").at(ios).rules)
    written = write(graph, inputs, encoding(ios, compute))
    arrays = {s.name: x.numpy().astype(s.dtype) for s, x in zip(graph.inputs, inputs, strict=True)}
    expected = expect(graph, arrays, compute)
    for spec in graph.outputs:
        got, want = written.outputs[spec.name], expected.outputs[spec.name]
        assert np.isfinite(got).all()
        assert distance(got, want) <= expected.tolerance[spec.name], spec.name
    check_weights(written)
    if kind == "conv":
        own = sum(op_name(n) == "permute" for n in graph.nodes if is_call(n))  # at the edges, or the model's own, as in ConvNeXt
        assert written.kinds.count("transpose") <= own
