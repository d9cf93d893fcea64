"""One MNN interpreter with a model in it. Imported in workers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import MNN
import numpy as np

from edgekit.errors import ConversionError, LoadError
from edgekit_runtimes._sessions import Port, check_request

_TYPES = {"float32": MNN.Halide_Type_Float, "int32": MNN.Halide_Type_Int, "uint8": MNN.Halide_Type_Uint8, "int64": MNN.Halide_Type_Int64}
DELEGATES = ("xnnpack", "none", "reference")
_MEMORY = 0
"""What `getSessionInfo` tells: megabytes."""


class Session:
    """A loaded model, ready to be fed.

    Args:
        model: The ``.mnn`` file.
        delegate: ``xnnpack`` means MNN's default here: it has one set of kernels for a CPU.
        threads: CPU threads.

    Raises:
        LoadError: MNN cannot read the file.
        ConversionError: It can read it and not run it.
    """

    def __init__(self, model: Path, delegate: str = "xnnpack", threads: int = 1) -> None:
        check_request("MNN", model, delegate, threads, DELEGATES)
        self.model = model
        try:
            self._interpreter = MNN.Interpreter(str(model))
        except Exception as error:  # its classes have no base of their own
            raise LoadError(f"MNN cannot read {model.name}: {_first_line(error)}", accepted="a whole .mnn file") from None
        try:
            self._session = self._interpreter.createSession({"numThread": threads, "backend": "CPU", "precision": "high"})
            self._given = dict(self._interpreter.getSessionInputAll(self._session))
            self._made = dict(self._interpreter.getSessionOutputAll(self._session))
        except Exception as error:
            raise ConversionError(f"MNN cannot prepare {model.name} to run: {_first_line(error)}") from None
        if not self._given or not self._made:
            raise LoadError(f"{model.name} has no inputs or no outputs", accepted="a whole .mnn file")
        self.inputs, self.outputs = (tuple(_port(n, t) for n, t in side.items()) for side in (self._given, self._made))

    def fit(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Nothing: converted files have fixed shapes."""

    def feed(self, name: str, value: np.ndarray) -> None:
        """Copy `value` into an input."""
        host = MNN.Tensor(value.shape, _TYPES[value.dtype.name], np.ascontiguousarray(value), MNN.Tensor_DimensionType_Caffe)
        self._given[name].copyFrom(host)

    def invoke(self) -> None:
        """Run once.

        Raises:
            ConversionError: A kernel refused.
        """
        code = self._interpreter.runSession(self._session)
        if code:
            raise ConversionError(f"MNN failed while it ran {self.model.name}: error {code}")

    def fetch(self) -> dict[str, np.ndarray]:
        """Copies of all outputs, by name."""
        return {p.name: copied(self._made[p.name], p.dtype) for p in self.outputs}

    def reset(self) -> None:
        """Nothing: the converted models keep no variables."""

    def watch(self, after: Callable[[list[Any], str], bool]) -> None:
        """Run once, and call `after` with the results and the name of every operator that ran."""
        self._interpreter.runSessionWithCallBack(self._session, lambda tensors, name: True, after)

    def bare_call(self) -> Callable[[], object]:
        """`invoke` without anything around it."""
        return partial(self._interpreter.runSession, self._session)

    def idle_call(self) -> Callable[[], object]:
        """A call into the same library that runs nothing."""
        return partial(self._interpreter.getModelVersion)

    def arena_bytes(self) -> int | None:
        """What the session planned, which MNN counts in MB."""
        megabytes = self._interpreter.getSessionInfo(self._session, _MEMORY)
        return int(megabytes * 2**20) if megabytes is not None else None


def copied(tensor: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """A tensor's content in the order of its dimensions, as its own array."""
    shape = tuple(tensor.getShape())
    host = MNN.Tensor(shape, _TYPES[dtype.name], np.zeros(shape, dtype), MNN.Tensor_DimensionType_Caffe)
    tensor.copyToHostTensor(host)
    return np.array(host.getNumpyData(), dtype).reshape(shape)


def dtype_of(tensor: Any) -> np.dtype[Any]:
    """A tensor's dtype."""
    code = tensor.getDataType()
    return next((np.dtype(name) for name, known in _TYPES.items() if known == code), np.dtype("float32"))


def _port(name: str, tensor: Any) -> Port:
    shape = tuple(int(d) for d in tensor.getShape())
    return Port(name, shape, (False,) * len(shape), dtype_of(tensor))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
