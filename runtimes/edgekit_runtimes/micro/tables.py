"""Operators that map each int8 element by itself, as tables of 256 values. Imported in workers only."""

from __future__ import annotations

from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np

from edgekit_runtimes.micro.modelfile import Operator, Tensor

TABLES = ("ELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "TANH")


NO_REFERENCE = ("ELU",)
"""Those LiteRT has no reference kernel for: its own makes a table too, by the same formula."""


def table(op: Operator) -> np.ndarray:
    """What becomes of -128, -127, … 127: LiteRT's reference kernel run on all of them, int8, shape (256,)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415 - loads LiteRT itself

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if op.name in NO_REFERENCE else OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=_alone(op), experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], np.arange(-128, 128, dtype=np.int8)[None])
    interpreter.invoke()
    values: np.ndarray = interpreter.get_tensor(result["index"])[0]
    return values


def _alone(op: Operator) -> bytes:
    """A model of this operator alone, on the same grids, for 256 elements."""
    code, options = getattr(schema.BuiltinOperator, op.name), op.options
    kind = 0 if options is None else getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    graph = schema.SubGraphT(
        tensors=[_tensor(op.given(0)), _tensor(op.output)],
        inputs=[0],
        outputs=[1],
        operators=[schema.OperatorT(opcodeIndex=0, inputs=[0], outputs=[1], builtinOptionsType=kind, builtinOptions=options)],
    )
    codes = [schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=op.version)]
    model = schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=[schema.BufferT()])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(tensor: Tensor) -> Any:
    grid = schema.QuantizationParametersT(scale=list(tensor.scale), zeroPoint=[tensor.zero])
    return schema.TensorT(shape=[1, 256], type=schema.TensorType.INT8, buffer=0, quantization=grid)
