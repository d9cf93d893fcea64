"""Rules about the operator set, and operators TensorRT does not import."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit_converters.tensorrt.index import Index
from edgekit_converters.tensorrt.violation import Violation, at, check

OLDEST = 19
_DYNAMIC = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")
_INTEGER = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm", "QLinearAdd", "QLinearMul", "QLinearGlobalAveragePool",
            "QLinearAveragePool", "QLinearConcat", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax")  # fmt: skip


@check
def opset(index: Index) -> Iterator[Violation]:
    """A quantized file is of opset 19 or newer: before that a Q/DQ takes no half-precision scales, before 13 no axis."""
    rounds = any(n.op_type in ("QuantizeLinear", "DequantizeLinear") for n in index.nodes)
    if rounds and index.opset < OLDEST:
        wrong = f"the file is of opset {index.opset}"
        yield Violation("opset", "", "", wrong, f"export it with opset {OLDEST} or newer", index.opset < 13)


@check
def dynamic(index: Index) -> Iterator[Violation]:
    """Ranges are known when an engine is built."""
    for node in index.nodes:
        if node.op_type in _DYNAMIC:
            yield at(index, node, "dynamic", f"{node.op_type} finds its range at run time", "calibrate static ranges, with Q/DQ pairs")


@check
def integer_operators(index: Index) -> Iterator[Violation]:
    """Integer arithmetic is said by Q/DQ pairs around float operators."""
    for node in index.nodes:
        if node.op_type in _INTEGER:
            fix = "export Q/DQ pairs (QDQ format) in place of integer operators"
            yield at(index, node, "integer operator", f"TensorRT has no {node.op_type}", fix)


@check
def foreign(index: Index) -> Iterator[Violation]:
    """Operators of other domains need a plug-in."""
    for node in index.nodes:
        if node.domain not in ("", "ai.onnx") and node.op_type not in (*_INTEGER, *_DYNAMIC):
            wrong = f"{node.op_type} is an operator of {node.domain}"
            yield at(index, node, "domain", wrong, "export it with operators of ONNX, or load a TensorRT plug-in for it")
