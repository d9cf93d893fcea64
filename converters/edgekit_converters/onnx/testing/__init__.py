"""Emit small graphs, hold the files to onnx' own checker, and run them against the graphs they were made of."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from edgekit.compress.quantize import Quantize
from edgekit.conversion.lowering import lower
from edgekit.conversion.readback import compare_weights
from edgekit.conversion.running import run_graph
from edgekit.data.samples import Samples
from edgekit.graph import Graph
from edgekit.plugins import Emitted, Encoding
from edgekit.recipe import Context
from edgekit.targets import load_rules
from edgekit_converters.onnx.walk import emit
from edgekit_converters.tensorrt.rules import violations
from edgekit_runtimes._onnx_constants import constants

RULES = load_rules("tensorrt")


def write(graph: Graph, encoding: Encoding | None = None) -> tuple[Emitted, bytes]:
    """Emit a graph; the file's content has passed onnx' checker with full, strict shape inference."""
    with tempfile.TemporaryDirectory() as name:
        emitted = emit(graph, Path(name), encoding or Encoding())
        content = (Path(name) / emitted.model_file).read_bytes()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    compare_weights(emitted.weights, constants(model))
    return emitted, content


def run(content: bytes, feed: dict[str, np.ndarray], *, plain: bool = False) -> list[np.ndarray]:
    """Run a file in this process, with ONNX Runtime's optimizations or without."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # floats stay floats
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    found: list[np.ndarray] = onnxruntime.InferenceSession(content, options).run(None, feed)
    return found


def check_float(graph: Graph, inputs: Sequence[Tensor], tolerance: float = 1e-5) -> Emitted:
    """Emit and run a float graph; it must compute what the graph does, to `tolerance` of the largest value."""
    emitted, content = write(graph)
    feed = {s.name: x.numpy() for s, x in zip(graph.inputs, inputs, strict=True)}
    for plain in (False, True):
        for got, want in zip(run(content, feed, plain=plain), graph(*inputs), strict=True):
            expected = want.numpy()
            assert got.dtype == expected.dtype
            assert got.shape == expected.shape
            scale = max(1.0, float(np.abs(expected, dtype=np.float64).max(initial=0))) if expected.dtype != bool else 1.0
            np.testing.assert_allclose(got.astype(np.float64), expected.astype(np.float64), rtol=0, atol=tolerance * scale)
    return emitted


def quantized(graph: Graph, samples: Samples, scheme: str = "w8a8") -> Graph:
    """Lowered and quantized by TensorRT's rules."""
    return Quantize(scheme, calibration="minmax")(lower(graph, RULES), Context(RULES, samples))


def check_integer(graph: Graph, count: int = 4, scale: float = 1.0) -> tuple[Emitted, onnx.ModelProto]:
    """Quantize by TensorRT's rules, emit, find no rule broken, and run against the quantized graph's prediction."""
    rng = np.random.default_rng(0)
    samples = Samples({s.name: (rng.standard_normal((count, *s.shape[1:])) * scale).astype(np.float32) for s in graph.inputs})
    final = quantized(graph, samples)
    emitted, content = write(final)
    model = onnx.load_from_string(content)
    assert violations(model) == ()
    expected = run_graph(final, samples.inputs)
    for i in range(count):
        found = run(content, {name: value[i : i + 1] for name, value in samples.inputs.items()})
        for spec, got in zip(emitted.outputs, found, strict=True):
            want = expected[spec.name][i : i + 1]
            assert float(np.linalg.norm(got - want)) <= 0.02 * max(float(np.linalg.norm(want)), 1e-6)
    return emitted, model


def names(model: onnx.ModelProto) -> list[str]:
    """Operators in order."""
    return [n.op_type for n in model.graph.node]


def module_weights(*shape: int) -> Tensor:
    """Random weights that depend on their shape only."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * 0.3
