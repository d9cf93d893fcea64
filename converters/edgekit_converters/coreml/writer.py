"""The worker's side: builds an ML Program with coremltools and writes it as a package."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import ConversionError
from edgekit_converters.coreml.program import Argument, Input, Narrow, Operation, Program, Ref

_UNUSED = ("torch", "tensorflow", "keras", "sklearn", "scipy", "pandas", "transformers", "xgboost", "libsvm", "executorch")
"""Packages coremltools imports only for its frontends and its optimizer, which write nothing here: five seconds."""


def serve(arguments: dict[str, Any], arrays: Mapping[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Write ``arguments["program"]`` as the package ``arguments["path"]``; say which operators and constants it has."""
    for package in _UNUSED:
        sys.modules.setdefault(package, None)  # type: ignore[arg-type] # what Python takes for a package that is not there
    warnings.simplefilter("ignore")
    return write(Program.unpack(arguments["program"], arrays), Path(arguments["path"])), {}


def write(program: Program, path: Path) -> dict[str, Any]:
    """Write a program as the package `path`; say which operators (``ops``) and constants (``constants``) it has.

    Raises:
        ConversionError: coremltools refuses an operation.
    """
    from edgekit_converters.coreml.package import write_package  # noqa: PLC0415

    model = converted(program, build(program))
    write_package(model, path, program)
    return _described(model._mil_program, {op.name: op.module for op in program.operations})


def build(program: Program) -> Any:
    """The same as a ``coremltools`` program.

    Raises:
        ConversionError: The builder refuses an operation.
    """
    import coremltools as ct  # noqa: PLC0415
    from coremltools.converters.mil import Builder as mb  # noqa: PLC0415
    from coremltools.converters.mil import mil  # noqa: PLC0415

    placeholders = {i.name: mb.placeholder(shape=i.shape, dtype=_type(i.dtype)) for i in program.inputs}
    with mil.Function(placeholders, opset_version=getattr(ct.target, f"iOS{program.version}")) as function:
        made: dict[str, Any] = dict(function.inputs)
        literals = _Literals(mb)
        for operation in program.operations:
            made[operation.name] = _called(mb, operation, made, literals)
        function.set_outputs([made[name] for name in program.outputs])
    whole = mil.Program()
    whole.add_function("main", function)
    return whole


@dataclass
class _Literals:
    """Numbers and words that operators take, each written once: the builder alone would write them again for every operator."""

    builder: Any
    known: dict[str, Any] = field(default_factory=dict)

    def __call__(self, value: Any) -> Any:
        """The constant for a number, a word or a list of numbers."""
        key = f"{type(value).__name__} {value!r}"
        if key not in self.known:
            given = np.array(value, np.int32) if isinstance(value, list) and not isinstance(value[0], bool) else value
            self.known[key] = self.builder.const(val=given, name=f"literal_{len(self.known)}")
        return self.known[key]


def _called(builder: Any, operation: Operation, made: Mapping[str, Any], literals: _Literals) -> Any:
    arguments = {name: _argument(value, made) for name, value in operation.arguments.items()}
    if not operation.kind.startswith("const"):
        shared = {
            n: v for n, v in arguments.items() if isinstance(v, (bool, int, str)) or (isinstance(v, list) and v and isinstance(v[0], int))
        }
        arguments |= {name: literals(value) for name, value in shared.items()}
    try:
        return getattr(builder, operation.kind)(**arguments, name=operation.name)
    except Exception as error:  # whatever the builder raises, the operation and the user's module are what matters
        shapes = [list(v.shape) for v in arguments.values() if hasattr(v, "shape") and hasattr(v, "op")]
        raise ConversionError(
            f"coremltools refuses the operator {operation.kind}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            op=operation.kind,
            shapes=shapes,
            module=operation.module or None,
            next_step="report this as a defect",
        ) from None


def _argument(argument: Argument, made: Mapping[str, Any]) -> Any:
    if isinstance(argument, Ref):
        return _result(argument, made)
    if isinstance(argument, (list, tuple)) and argument and isinstance(argument[0], Ref):
        return [_result(r, made) for r in argument]
    if isinstance(argument, Narrow):
        from coremltools.converters.mil.mil import types  # noqa: PLC0415

        return argument.values.astype(types.nptype_from_builtin(types.string_to_builtin(argument.dtype)))
    if isinstance(argument, np.ndarray) and argument.ndim == 0:
        return argument[()]
    return argument


def _result(ref: Ref, made: Mapping[str, Any]) -> Any:
    return made[ref.name] if ref.index is None else made[ref.name][ref.index]


def _type(dtype: str) -> Any:
    from coremltools.converters.mil.mil import types  # noqa: PLC0415

    return {"float16": types.fp16, "float32": types.fp32, "int32": types.int32}[dtype]


def converted(program: Program, built: Any) -> Any:
    """The model of a built program: clean-up passes, edges, labels. Not more: other passes rewrite scales and precisions."""
    import coremltools as ct  # noqa: PLC0415

    classes = program.classes
    config = None
    if classes is not None:
        config = ct.ClassifierConfig(list(classes.labels), "classLabel", predicted_probabilities_output=classes.output)
    return ct.convert(
        built,
        convert_to="mlprogram",
        inputs=[_input_type(i) for i in program.inputs],
        classifier_config=config,
        minimum_deployment_target=getattr(ct.target, f"iOS{program.version}"),
        compute_precision=ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.CLEANUP,
        skip_model_load=True,
    )


def _input_type(given: Input) -> Any:
    import coremltools as ct  # noqa: PLC0415

    if given.image is None:
        return ct.TensorType(name=given.name, shape=given.shape, dtype=_type(given.dtype))
    layout = {"RGB": ct.colorlayout.RGB, "BGR": ct.colorlayout.BGR, "GRAY": ct.colorlayout.GRAYSCALE}[given.image]
    return ct.ImageType(name=given.name, shape=given.shape, color_layout=layout)


def _described(written: Any, modules: Mapping[str, str]) -> dict[str, Any]:
    """Operators in execution order, and the names of constants."""
    ops, constants = [], []
    for op in written.functions["main"].operations:
        if op.op_type == "const" or op.op_type.startswith("constexpr_"):
            constants += [v.name for v in op.outputs]
            continue
        operands = [v for v in _tensors(op.inputs.values()) if v.val is None]
        dtype = _dtype([*_tensors(op.outputs), *operands])
        ops.append({"name": op.op_type, "module": modules.get(op.name, ""), "dtype": dtype, "shapes": [list(v.shape) for v in operands]})
    return {"ops": ops, "constants": constants}


def _tensors(variables: Iterable[Any]) -> list[Any]:
    """Those that are tensors or scalars; labels, tuples and dictionaries are not."""
    from coremltools.converters.mil.mil import types  # noqa: PLC0415

    known = [v for v in variables if hasattr(v, "sym_type")]
    return [v for v in known if types.is_tensor(v.sym_type) or types.is_scalar(v.sym_type)]


def _dtype(tensors: Sequence[Any]) -> str:
    """What an operator computes in: its result's dtype, or its first operand's where the result is a choice or a count."""
    from coremltools.converters.mil.mil import types  # noqa: PLC0415

    found = [types.builtin_to_string(v.dtype) for v in tensors]
    chosen = next((d for d in found if d.startswith("fp")), found[0] if found else "str")
    return {"fp16": "float16", "fp32": "float32"}.get(chosen, chosen)
