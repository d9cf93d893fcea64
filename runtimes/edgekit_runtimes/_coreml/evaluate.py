"""Running a program: each operation in torch, each result rounded to the type the program declares for it.

A half-precision value is kept as float32 that fits half precision. Operators compute in float32 and the evaluator rounds their result
once. What a device accumulates in half precision inside of one operation, and what its compiler fuses, is not modelled: these are
the program's numerics, not a device's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgekit.errors import ConversionError
from edgekit_runtimes._coreml.constants import Constant, constants
from edgekit_runtimes._coreml.program import Argument, Operation, Port, Program
from edgekit_runtimes._coreml.registry import Op, operators

Value = Tensor | str | np.ndarray

_TORCH = {
    "bool": torch.bool, "fp32": torch.float32, "fp64": torch.float32, "int4": torch.int8, "int8": torch.int8, "int16": torch.int16,
    "int32": torch.int32, "int64": torch.int64, "uint1": torch.uint8, "uint2": torch.uint8, "uint3": torch.uint8, "uint4": torch.uint8,
    "uint6": torch.uint8, "uint8": torch.uint8, "uint16": torch.int32, "uint32": torch.int64, "uint64": torch.int64,
}  # fmt: skip
"""What holds a value of each type; fp16 is rounded float32."""


class Evaluator:
    """A program ready to run.

    Raises:
        LoadError: A constant cannot be read.
        ConversionError: The program has an operator that the evaluator lacks, or a parameter the operator has not.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.constants = constants(program)
        self._fixed = {name: _held(constant) for name, constant in self.constants.items()}
        self._steps = [(operation, operator_of(operation)) for operation in program.operations if not operation.constant]
        self._last = {name: index for index, (operation, _) in enumerate(self._steps) for name in operation.references}
        self._last |= dict.fromkeys(program.outputs, len(self._steps))

    def __call__(self, inputs: Mapping[str, Tensor], wanted: Sequence[str] | None = None) -> dict[str, Value]:
        """Run once.

        Args:
            inputs: By name, tensors of the function's shapes.
            wanted: Names of values to give back; the program's outputs by default.

        Raises:
            ConversionError: An operation cannot be computed.
        """
        names = tuple(self.program.outputs if wanted is None else wanted)
        values: dict[str, Value] = {**self._fixed}
        for port in self.program.inputs:
            values[port.name] = settled(inputs[port.name], port.dtype)
        for index, (operation, operator) in enumerate(self._steps):
            values.update(_computed(operation, operator, values))
            for name in operation.references:
                if self._last[name] == index and name not in self._fixed and name not in names:
                    values.pop(name, None)
        return {name: values[name] for name in names}


def settled(value: Tensor, dtype: str) -> Tensor:
    """A value as the program's type holds it: rounded to half precision, wrapped around an integer's range."""
    if dtype == "fp16":
        return value.to(torch.float16).to(torch.float32)
    if dtype == "uint16":
        return value.to(torch.int32) & 0xFFFF
    return value.to(_TORCH[dtype]) if dtype in _TORCH else value


def operator_of(operation: Operation) -> Op:
    """The evaluator's operator for an operation.

    Raises:
        ConversionError: There is none, or it does not take these parameters.
    """
    known = operators()
    if operation.kind not in known or operation.blocks:
        raise ConversionError(
            f"the Core ML evaluator has no operator {operation.kind!r} (in {operation.label})",
            op=operation.kind,
            accepted=f"the {len(known)} operators listed in docs/coreml-evaluator.md",
            next_step="run the file on a Mac, or report the operator as missing",
        )
    found, given = known[operation.kind], set(operation.inputs)
    if strange := sorted(given - found.parameters):
        raise ConversionError(f"{operation.label} has the parameter {strange[0]!r}", op=operation.kind, accepted=sorted(found.parameters))
    if missing := sorted(found.required - given):
        raise ConversionError(f"{operation.label} lacks the parameter {missing[0]!r}", op=operation.kind)
    return found


def _computed(operation: Operation, operator: Op, values: Mapping[str, Value]) -> dict[str, Value]:
    try:
        given = {name: _given(arguments, name in operator.variadic, values) for name, arguments in operation.inputs.items()}
        result = operator.compute(**given)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, ZeroDivisionError, OverflowError, MemoryError) as error:
        raise _failed(operation, error, values) from error
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(operation.outputs):
        raise ConversionError(f"{operation.label} declares {len(operation.outputs)} results, and has {len(results)}", op=operation.kind)
    return {port.name: _declared(operation, port, value) for port, value in zip(operation.outputs, results, strict=True)}


def _declared(operation: Operation, port: Port, value: Value) -> Value:
    """A result in its declared type; its shape must be the declared one too."""
    if not isinstance(value, Tensor) or port.dtype in ("dictionary", "string"):
        return value
    if -1 not in port.shape and tuple(value.shape) != port.shape:
        raise ConversionError(
            f"{operation.label} gives the shape {list(value.shape)}",
            op=operation.kind,
            accepted=f"{list(port.shape)}, as the file declares",
        )
    return settled(value, port.dtype)


def _given(arguments: tuple[Argument, ...], several: bool, values: Mapping[str, Value]) -> Any:
    found = [values[a] if isinstance(a, str) else _literal(a.dtype, a.array) for a in arguments]
    if not several and len(found) != 1:
        raise ValueError(f"{len(found)} values for one parameter")
    return found if several else found[0]


def _held(constant: Constant) -> Value:
    return _literal(constant.port.dtype, constant.array)


def _literal(dtype: str, array: np.ndarray) -> Value:
    if array.dtype.kind in "US":
        return str(array.item()) if array.ndim == 0 else array
    wide = array.astype(np.int64) if array.dtype.kind == "u" and array.dtype.itemsize > 1 else array
    plain = torch.from_numpy(np.array(wide, np.float32 if wide.dtype.kind == "f" else wide.dtype, order="C"))
    return plain if dtype == "fp16" else settled(plain, dtype)


def _failed(operation: Operation, error: Exception, values: Mapping[str, Value]) -> ConversionError:
    if isinstance(error, KeyError):
        return ConversionError(f"{operation.label} uses the value {error}, which nothing made before it", op=operation.kind)
    found = [values[n] for n in operation.references if n in values]
    shapes = [tuple(v.shape) for v in found if isinstance(v, Tensor)]
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ConversionError(f"{operation.label} cannot be computed: {reason}", op=operation.kind, shapes=shapes)
