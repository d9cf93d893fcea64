"""A MIL program as a Core AI program, and running it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from coreai import authoring as ai
from coreai.runtime import NDArray
from torch import Tensor

from edgekit.errors import ConversionError
from edgekit_runtimes._coreai.call import Call
from edgekit_runtimes._coreai.translate import OPERATORS
from edgekit_runtimes._coreml.constants import constants
from edgekit_runtimes._coreml.program import Operation, Port, Program

_TYPES = {"fp16": np.float16, "fp32": np.float32, "int32": np.int32, "bool": np.bool_}


class CoreAIEvaluator:
    """A program translated, compiled by Core AI for this machine's processor, and ready to run.

    Raises:
        LoadError: A constant cannot be read.
        ConversionError: The program has an operator that is not translated, or an open shape.
    """

    def __init__(self, program: Program, wanted: Sequence[str]) -> None:
        self.program = program
        self.constants = constants(program)
        self._wanted = tuple(wanted)
        self._ports = {port.name: port for port in (*program.inputs, *(p for op in program.operations for p in op.outputs))}
        self._runner, self._stack = asyncio.Runner(), AsyncExitStack()
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-")
        asset = ai.AIProgram(self._module()).save_asset(Path(self._folder.name) / "model.aimodel")
        model = self._runner.run(self._stack.enter_async_context(asset.executable()))
        self._function = model.load_function("main")

    def __call__(self, inputs: Mapping[str, Tensor], wanted: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Run once; see `edgekit_runtimes._coreml.evaluate.Evaluator`."""
        given: dict[str, Any] = {
            f"in{i}": NDArray(np.ascontiguousarray(inputs[p.name].numpy().astype(_TYPES[p.dtype])))
            for i, p in enumerate(self.program.inputs)
        }
        found: dict[str, Any] = self._runner.run(self._function(given))
        return {name: torch.from_numpy(found[f"out{i}"].numpy().astype(np.float32)) for i, name in enumerate(self._wanted)}

    def _module(self) -> Any:
        module = ai.Module.create()

        def body(*given: Any) -> Any:
            values: dict[str, Any] = {port.name: value for port, value in zip(self.program.inputs, given, strict=True)}
            values |= {name: constant.array for name, constant in self.constants.items()}
            for operation in self.program.operations:
                if not operation.constant and operation.kind != "classify":
                    values[operation.outputs[0].name] = self._translated(operation, values)
            results = [values[name] for name in self._wanted]
            return results[0] if len(results) == 1 else tuple(results)

        with module:
            ai.graph(_signed(body, self.program.inputs, [self._ports[name] for name in self._wanted]), provided_name="main")
        return module

    def _translated(self, operation: Operation, values: Mapping[str, Any]) -> Any:
        if operation.kind not in OPERATORS or len(operation.outputs) != 1:
            raise ConversionError(
                f"{operation.label} is not translated for Core AI", op=operation.kind, accepted=sorted(OPERATORS),
                next_step="the evaluator of the runtime coreml has more operators",
            )  # fmt: skip
        if -1 in operation.outputs[0].shape:
            raise ConversionError(f"{operation.label} has an open shape", op=operation.kind, accepted="static shapes")
        given = {n: [_given(a, values) for a in arguments] for n, arguments in operation.inputs.items()}
        arguments = {n: found if n == "values" else found[0] for n, found in given.items()}
        try:
            return OPERATORS[operation.kind](Call(operation, arguments, self._ports))
        except (ValueError, TypeError, KeyError, RuntimeError, AttributeError) as error:
            raise ConversionError(f"{operation.label} cannot be translated for Core AI: {error}", op=operation.kind) from error


def _given(argument: Any, values: Mapping[str, Any]) -> Any:
    return values[argument] if isinstance(argument, str) else argument.array


def _signed(body: Any, inputs: Sequence[Port], outputs: Sequence[Port]) -> Any:
    """The function with a parameter for each input, annotated as Core AI reads signatures."""

    def function(*given: Any) -> Any:
        return body(*given)

    kinds = {f"in{i}": Annotated[ai.Value, _spec(port)] for i, port in enumerate(inputs)}
    results = [Annotated[ai.Value, _spec(port, f"out{i}")] for i, port in enumerate(outputs)]
    returned: Any = results[0] if len(results) == 1 else tuple.__class_getitem__(tuple(results))
    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=kind) for name, kind in kinds.items()]
    function.__signature__ = Signature(parameters, return_annotation=returned)  # type: ignore[attr-defined]
    function.__annotations__ = {**kinds, "return": returned}
    return function


def _spec(port: Port, name: str | None = None) -> Any:
    if port.dtype not in _TYPES or -1 in port.shape:
        raise ConversionError(f"{port.name!r} is {port.dtype}{list(port.shape)}", accepted=f"{', '.join(_TYPES)} of static shapes")
    return ai.TensorSpec(port.shape, _TYPES[port.dtype]) if name is None else ai.TensorSpec(port.shape, _TYPES[port.dtype], name=name)
