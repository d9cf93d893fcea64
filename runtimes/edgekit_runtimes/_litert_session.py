"""One LiteRT interpreter with a model in it, addressed by the names of its signature. Imported in workers only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgekit.errors import ConversionError, LoadError
from edgekit.tensors import Grid
from edgekit_runtimes import _litert_nodes as nodes
from edgekit_runtimes import _sessions
from edgekit_runtimes._litert_nodes import Node

RESOLVERS = {
    "xnnpack": OpResolverType.BUILTIN,
    "none": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "reference": OpResolverType.BUILTIN_REF,
}


@dataclass(frozen=True)
class Port(_sessions.Port):
    """An input or output tensor, with its index in the subgraph."""

    index: int = -1


class Session:
    """A loaded model, ready to be fed.

    Args:
        model: The ``.tflite`` file.
        delegate: A key of `RESOLVERS`.
        threads: CPU threads.
        allocate: Plan the tensors at once. Otherwise call `allocate`.
        keep: Keep every operator's result, for `read`; without delegates, which keep theirs to themselves.

    Raises:
        LoadError: LiteRT cannot read the file.
        ConversionError: It can read it and not run it.
    """

    def __init__(self, model: Path, delegate: str = "xnnpack", threads: int = 1, *, allocate: bool = True, keep: bool = False) -> None:
        _sessions.check_request("LiteRT", model, delegate, threads, RESOLVERS)
        self.model = model
        try:
            self.interpreter = Interpreter(
                model_path=str(model),
                num_threads=threads,
                experimental_op_resolver_type=RESOLVERS[delegate],
                experimental_preserve_all_tensors=keep,
            )
        except (ValueError, RuntimeError) as error:
            raise LoadError(f"LiteRT cannot read {model.name}: {_first_line(error)}", accepted="a .tflite flatbuffer") from None
        self._native = self.interpreter._interpreter
        if allocate:
            self.allocate()

    def allocate(self) -> None:
        """Plan and allocate all tensors, delegates applied."""
        self.signature, self.subgraph = self._main_signature()
        try:
            self._native.AllocateTensors(self.subgraph)
        except (ValueError, RuntimeError) as error:
            raise ConversionError(f"LiteRT cannot prepare {self.model.name} to run: {_first_line(error)}") from None
        self._read_ports()

    def _main_signature(self) -> tuple[dict[str, Any] | None, int]:
        signatures = self._native.GetSignatureDefs()
        if not signatures:
            return None, 0
        key = "serving_default" if "serving_default" in signatures else next(iter(signatures))
        return signatures[key], int(self._native.GetSubgraphIndexFromSignature(key))

    def _read_ports(self) -> None:
        self.inputs = self._ports("inputs", self._native.InputIndices())
        self.outputs = self._ports("outputs", self._native.OutputIndices())

    def _ports(self, side: str, indices: Any) -> tuple[Port, ...]:
        """Named by the signature, ordered as the subgraph has them."""
        if self.signature is None:
            return tuple(self._port(self._native.TensorName(int(i), 0), int(i)) for i in indices)
        order = {int(index): position for position, index in enumerate(indices)} if self.subgraph == 0 else {}
        named = sorted(self.signature[side].items(), key=lambda item: order.get(int(item[1]), 0))
        return tuple(self._port(name, int(index)) for name, index in named)

    def _port(self, name: str, index: int) -> Port:
        details = self.interpreter._get_tensor_details(index, self.subgraph)
        quantization = details["quantization_parameters"]
        grid = (
            tuple(map(float, quantization["scales"])),
            tuple(map(int, quantization["zero_points"])),
            int(quantization["quantized_dimension"]),
        )
        shape = tuple(map(int, details["shape"]))
        signature = details["shape_signature"]
        flexible = tuple(bool(d < 0) for d in signature) if len(signature) == len(shape) else (False,) * len(shape)
        return Port(name, shape, flexible, np.dtype(details["dtype"]), grid, index)

    def fit(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Resize the inputs whose open dimensions differ from these shapes."""
        wrong = [p for p in self.inputs if p.name in shapes and p.shape != shapes[p.name]]
        for port in wrong:
            self._native.ResizeInputTensor(port.index, np.array(shapes[port.name], np.int32), False, self.subgraph)
        if wrong:
            self._native.AllocateTensors(self.subgraph)
            self._read_ports()

    def feed(self, name: str, value: np.ndarray) -> None:
        """Copy `value` into an input. Shape and dtype must be the port's."""
        port = next(p for p in self.inputs if p.name == name)
        self._native.SetTensor(port.index, value, self.subgraph)

    def invoke(self) -> None:
        """Run once.

        Raises:
            ConversionError: A kernel refused.
        """
        try:
            self._native.Invoke(self.subgraph)
        except (ValueError, RuntimeError) as error:
            raise ConversionError(f"LiteRT failed while it ran {self.model.name}: {_first_line(error)}") from None

    def fetch(self) -> dict[str, np.ndarray]:
        """Copies of all outputs, by name."""
        return {p.name: self._native.GetTensor(p.index, self.subgraph) for p in self.outputs}

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The real values of tensors as the last run left them, by name or, where that is empty, by ``#number``; no others."""
        count = self._native.NumTensors(self.subgraph)
        numbers = {self._native.TensorName(i, self.subgraph): i for i in range(count)} | {f"#{i}": i for i in range(count)}
        found = {}
        for name in (n for n in names if n in numbers):
            value = self._native.GetTensor(numbers[name], self.subgraph)
            scales, zeros, axis = self._port(name, numbers[name]).grid
            found[name] = Grid(value.dtype.name, scales, zeros, axis if len(scales) > 1 else None).to_reals(value) if scales else value
        return found

    def ops(self) -> tuple[Node, ...]:
        """The file's operators and who runs them."""
        return nodes.describe(self._native)

    def arena_bytes(self) -> int | None:
        """See `_litert_nodes.arena_bytes`."""
        return nodes.arena_bytes(self._native, self.subgraph)

    def bare_call(self) -> Callable[[], object]:
        """`invoke` without anything around it, to be timed."""
        return partial(self._native.Invoke, self.subgraph)

    def idle_call(self) -> Callable[[], object]:
        """A call into the same library that does nothing: what timing itself costs."""
        return partial(self._native.NumTensors, self.subgraph)

    def reset(self) -> None:
        """Zero the model's variables, so that one sample does not remember another."""
        self._native.ResetVariableTensors()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
