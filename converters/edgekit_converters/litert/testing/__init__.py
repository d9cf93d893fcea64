"""For tests: round a small graph by the target's rules, write it, run it on every set of kernels, compare it with torch.

`check_float` and `check_integer` are what every emitter's test calls.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from torch import Tensor, fx

from edgekit.graph import Graph, argument, aten, call, constant, constant_value, dtype_of, finish, is_call, op_name
from edgekit.plugins import Emitted, Encoding
from edgekit.targets import load_rules
from edgekit_converters._integers import limits
from edgekit_converters.litert import CONVERTER

KERNELS = {
    "xnnpack": OpResolverType.AUTO,
    "built-in": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}
_RULES = load_rules("litert")


def write(graph: Graph, encoding: Encoding = Encoding()) -> tuple[Emitted, bytes]:  # noqa: B008 - frozen
    """The file's bytes and what was written."""
    with tempfile.TemporaryDirectory() as folder:
        emitted = CONVERTER.emit(graph, Path(folder), encoding)
        return emitted, (Path(folder) / emitted.model_file).read_bytes()


def run(model: bytes, inputs: Sequence[np.ndarray], kernels: str) -> list[np.ndarray]:
    """Outputs in the signature's order."""
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=KERNELS[kernels], num_threads=1)
    interpreter.allocate_tensors()
    names = interpreter.get_signature_list()["serving_default"]
    runner = interpreter.get_signature_runner("serving_default")
    results = runner(**dict(zip(sorted(names["inputs"]), inputs, strict=True)))
    return [np.array(results[name]) for name in sorted(names["outputs"])]


def check_float(graph: Graph, inputs: Sequence[Tensor], kernels: Sequence[str] = tuple(KERNELS), tolerance: float = 1e-5) -> Emitted:
    """Write the float graph and hold every output to torch's, relative to the output's largest value."""
    emitted, model = write(graph)
    expected = graph(*inputs)
    for name in kernels:
        for got, want in zip(run(model, [i.numpy() for i in inputs], name), expected, strict=True):
            assert got.shape == tuple(want.shape), (name, got.shape, tuple(want.shape))
            reference = want.to(torch.float64).numpy()
            error = float(np.max(np.abs(got - reference), initial=0))
            assert error <= tolerance * max(1.0, float(np.max(np.abs(reference), initial=0))), (name, error)
    return emitted


def check_integer(
    graph: Graph,
    inputs: Sequence[Tensor],
    kernels: Sequence[str] = tuple(KERNELS),
    *,
    bits: int = 8,
    steps: int = 1,
    all_integer: bool = True,
) -> Emitted:
    """Round the graph by the rules, write it with integer inputs and outputs, and hold every output to the rounded graph's."""
    rounded = fake_quantized(graph, inputs, bits)
    dtype = _RULES.activations[bits].dtype
    emitted, model = write(rounded, Encoding(dtype, dtype))
    if all_integer:
        floats = [op.name for op in emitted.ops if op.dtype == "float32"]
        assert not floats, floats
    expected = rounded(*inputs)
    feed = [to_grid(i.numpy(), spec) for i, spec in zip(inputs, emitted.inputs, strict=True)]
    for name in kernels:
        for got, want, spec in zip(run(model, feed, name), expected, emitted.outputs, strict=True):
            assert got.shape == tuple(want.shape), (name, got.shape, tuple(want.shape))
            difference = np.abs(got.astype(np.int64) - to_grid(want.numpy(), spec).astype(np.int64))
            assert difference.max(initial=0) <= steps, (name, int(difference.max()), float((difference > steps).mean()))
    return emitted


def to_grid(array: np.ndarray, spec: Any) -> np.ndarray:
    """`array` as the integers of `spec`'s grid; unchanged if it has none."""
    if spec.grid is None:
        return array.astype(spec.dtype)
    low, high = limits(spec.dtype)
    steps = np.rint(array / np.float32(spec.grid.scale[0])) + spec.grid.zero_point[0]
    return np.asarray(np.clip(steps, low, high), spec.dtype)


def fake_quantized(graph: Graph, inputs: Sequence[Tensor], bits: int = 8) -> Graph:
    """`graph` with a min-max grid on every value the rules allow one: enough for graphs of a few operators, and no more."""
    graph = graph.copy()
    ranges = _ranges(graph, inputs)
    rules = _RULES.activations[bits]
    merged: dict[fx.Node, list[fx.Node]] = {n: [n] for n in graph.nodes}
    rounded = [n for n in graph.nodes if n.op == "placeholder" or (is_call(n) and op_name(n) in rules.kernels)]
    rounded = [n for n in rounded if isinstance(n.meta["val"], Tensor) and dtype_of(n).is_floating_point]
    fused: dict[fx.Node, fx.Node] = {}
    for node in rounded:
        user = next(iter(node.users)) if len(node.users) == 1 else None
        if user is not None and is_call(node) and is_call(user) and op_name(user) in _RULES.fuse.get(op_name(node), ()):
            fused[node] = user
    for node in rounded:
        if is_call(node) and op_name(node) in rules.shared and node not in fused.values():
            for operand in [n for n in node.all_input_nodes if dtype_of(n).is_floating_point]:
                union = list(dict.fromkeys([*merged[node], *merged[operand]]))
                for member in union:
                    merged[member] = union
    for node in rounded:
        low = min(ranges[m][0] for m in merged[node])
        high = max(ranges[m][1] for m in merged[node])
        if is_call(node):
            _round_constants(node, rules.symmetric, bits, (low, high) if op_name(node) in rules.shared else None)
        if node in fused or (is_call(node) and op_name(node) in ("argmax",)):
            continue
        name = op_name(node) if is_call(node) else ""
        if name in rules.fixed:
            scale, zero = rules.fixed[name].scale[0], rules.fixed[name].zero_point[0]
        else:
            symmetric = rules.symmetric or any(is_call(u, aten.matmul.default) and u.args[1] is m for m in merged[node] for u in m.users)
            scale, zero = _grid(low, high, symmetric, bits)
        _round(node, scale, zero, bits)
    finish(graph.module)
    return graph


def _ranges(graph: Graph, inputs: Sequence[Tensor]) -> dict[fx.Node, tuple[float, float]]:
    found: dict[fx.Node, tuple[float, float]] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
                found[n] = (min(value.min().item(), 0.0), max(value.max().item(), 0.0))
            return value

    Recorder(graph.module).run(*inputs)
    return found


def _grid(low: float, high: float, symmetric: bool, bits: int) -> tuple[float, int]:
    top = 2 ** (bits - 1) - 1
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        return float(np.float32(max(-low, high, 1e-2) / top)), 0
    scale = float(np.float32(max(high - low, 1e-2) / (2 * top + 1)))
    return scale, int(np.clip(round(-top - 1 - low / scale), -top - 1, top))


def _round(node: fx.Node, scale: float, zero: int, bits: int) -> None:
    top = 2 ** (bits - 1)
    rounded = call(node.next, aten.fake_quantize_per_tensor_affine.default, node, scale, zero, -top, top - 1, like=node)
    node.replace_all_uses_with(rounded, delete_user_cb=lambda user: user is not rounded)


def _round_constants(node: fx.Node, symmetric: bool, bits: int, shared: tuple[float, float] | None) -> None:
    for operand in node.all_input_nodes:
        value = constant_value(operand)
        if value is None or not value.is_floating_point():
            continue
        if is_call(node, aten.convolution.default, aten.linear.default):
            if operand is node.args[1]:
                _round_weight(node, operand, value)
            continue
        low, high = shared or (value.min().item(), value.max().item())
        scale, zero = _grid(low, high, symmetric or is_call(node, aten.matmul.default), bits)
        top = 2 ** (bits - 1)
        rounded = call(node, aten.fake_quantize_per_tensor_affine.default, operand, scale, zero, -top, top - 1)
        node.replace_input_with(operand, rounded)


def _round_weight(node: fx.Node, operand: fx.Node, value: Tensor) -> None:
    axis = 1 if is_call(node, aten.convolution.default) and argument(node, "transposed") else 0
    scales = value.abs().amax([d for d in range(value.ndim) if d != axis]).clamp_min(1e-6) / 127
    scale_node, zero_node = constant(node, scales, "scale"), constant(node, torch.zeros(len(scales), dtype=torch.int32), "zero")
    node.update_arg(1, call(node, aten.fake_quantize_per_channel_affine.default, operand, scale_node, zero_node, axis, -127, 127))
