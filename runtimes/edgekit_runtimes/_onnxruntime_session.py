"""One ONNX Runtime session with a model in it. Imported in workers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

from edgekit.errors import ConversionError, LoadError
from edgekit.onnxfile import read_model
from edgekit_runtimes._sessions import Port, check_request

LEVELS = {
    "xnnpack": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "reference": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
_FATAL = 4
_UNREADABLE = (
    ort.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    ort.capi.onnxruntime_pybind11_state.NoSuchFile,
    ort.capi.onnxruntime_pybind11_state.InvalidGraph,
)


class Session:
    """A loaded model, ready to be fed.

    Args:
        model: The ``.onnx`` file.
        delegate: A key of `LEVELS`.
        threads: CPU threads.
        profile: Prefix of the profile to write, or None.

    Raises:
        LoadError: It is no ONNX file, or a damaged one.
        ConversionError: ONNX Runtime can read it and not run it.
    """

    def __init__(self, model: Path, delegate: str = "xnnpack", threads: int = 1, *, profile: Path | None = None) -> None:
        check_request("ONNX Runtime", model, delegate, threads, LEVELS)
        self.model, self._values, self._results = model, dict[str, np.ndarray](), list[np.ndarray]()
        self._proto = read_model(model)
        self._session = _opened(model, delegate, threads, profile)
        self.inputs = tuple(_port(x) for x in self._session.get_inputs())
        self.outputs = tuple(_port(x) for x in self._session.get_outputs())
        self._call: Callable[..., Any] = self._session.run if delegate != "reference" else ReferenceEvaluator(str(model)).run

    def fit(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take these shapes for the inputs; ONNX Runtime infers all others as it runs."""
        self.inputs = tuple(replace(p, shape=shapes.get(p.name, p.shape)) for p in self.inputs)

    def feed(self, name: str, value: np.ndarray) -> None:
        """Give an input its value."""
        self._values[name] = value

    def invoke(self) -> None:
        """Run once.

        Raises:
            ConversionError: A kernel refused.
        """
        try:
            self._results = self._call(None, self._values)
        except Exception as error:  # pybind's classes have no common base of their own
            raise ConversionError(f"ONNX Runtime failed while it ran {self.model.name}: {_first_line(error)}") from None

    def fetch(self) -> dict[str, np.ndarray]:
        """All outputs of the last run, by name."""
        return {p.name: np.asarray(v) for p, v in zip(self.outputs, self._results, strict=True)}

    def reset(self) -> None:
        """Nothing: an ONNX model keeps no variables."""

    def bare_call(self) -> Callable[[], object]:
        """A run with inputs and outputs bound beforehand, as an application would."""
        if self._call != self._session.run:
            return partial(self._call, None, self._values)
        binding = self._session.io_binding()
        for name, value in self._values.items():
            binding.bind_cpu_input(name, value)
        for port in self.outputs:
            binding.bind_output(port.name)
        return lambda: self._session.run_with_iobinding(binding)

    def idle_call(self) -> Callable[[], object]:
        """A call into the same library that runs nothing."""
        return partial(self._session.get_provider_options)

    def arena_bytes(self) -> int | None:
        """Unknown: ONNX Runtime does not tell."""
        return None

    def ops(self) -> list[dict[str, Any]]:
        """The file's nodes in order."""
        return [
            {"index": i, "name": n.op_type, "node": n.name, "outputs": list(n.output), "delegated": False}
            for i, n in enumerate(self._proto.graph.node)
        ]

    def end_profiling(self) -> Path:
        """Write the profile; its path."""
        return Path(self._session.end_profiling())


def with_outputs(model: Path, names: Sequence[str], out: Path) -> set[str]:
    """Write the model to `out` with values of it for outputs, too.

    Args:
        model: The file.
        names: The values wanted.
        out: The file to write.

    Returns:
        Those of `names` that a node of the model makes.
    """
    proto = read_model(model)
    made = {name for node in proto.graph.node for name in node.output if name}
    found = [name for name in dict.fromkeys(names) if name in made]
    already = {output.name for output in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in found if name not in already)
    out.write_bytes(proto.SerializeToString())
    return set(found)


def _opened(model: Path, delegate: str, threads: int, profile: Path | None) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level, options.log_severity_level = LEVELS[delegate], _FATAL
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # else float operands of int4 weights are rounded
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except _UNREADABLE as error:
        raise LoadError(f"ONNX Runtime cannot read {model.name}: {_first_line(error)}", accepted="a whole .onnx file") from None
    except Exception as error:  # pybind's classes have no common base of their own
        raise ConversionError(f"ONNX Runtime cannot prepare {model.name} to run: {_first_line(error)}") from None


def _port(argument: Any) -> Port:
    open_ = tuple(not isinstance(d, int) for d in argument.shape)
    shape = tuple(d if isinstance(d, int) else 1 for d in argument.shape)
    dtype = _DTYPES.get(argument.type, argument.type.removeprefix("tensor(").removesuffix(")"))
    return Port(argument.name, shape, open_, np.dtype(dtype))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rpartition("ONNXRuntimeError] : ")[2][:300] if lines else type(error).__name__
