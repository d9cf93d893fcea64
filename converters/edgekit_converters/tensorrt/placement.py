"""Rules about where Q/DQ pairs go, so that kernels fuse with what surrounds them."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto

from edgekit_converters.tensorrt.index import Index
from edgekit_converters.tensorrt.violation import Violation, at, check

KERNELS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish")
COMMUTING = ("MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Pad")
_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool")


def integer_kernel(index: Index, node: NodeProto) -> bool:
    """Whether a node reads integers on both sides."""
    return node.op_type in KERNELS and index.dequantized(node, 0) is not None and index.dequantized(node, 1) is not None


@check
def half_quantized(index: Index) -> Iterator[Violation]:
    """A kernel reads integers on both sides or on none."""
    for node in index.nodes:
        sides = [index.dequantized(node, i) for i in (0, 1)] if node.op_type in KERNELS else []
        if not sides or (sides[0] is None) == (sides[1] is None):
            continue
        if sides[0] is None:
            yield at(
                index, node, "weights only", "its weight is rounded and its input is not, so it computes in floats",
                "quantize its input too; weights alone only make the file smaller", refused=False,
            )  # fmt: skip
        else:
            yield at(
                index, node, "input only", "its input is rounded and its weight is not, so it computes in floats",
                "quantize the weight too, or neither", refused=False,
            )  # fmt: skip


@check
def bias(index: Index) -> Iterator[Violation]:
    """Biases stay float."""
    for node in index.nodes:
        if node.op_type in ("Conv", "ConvTranspose", "Gemm") and index.dequantized(node, 2) is not None:
            yield at(index, node, "bias", "its bias is quantized", "keep the bias in float")


@check
def residual(index: Index) -> Iterator[Violation]:
    """The other term of a sum that an int8 convolution fuses is rounded, if the sum is."""
    for node, terms, kernels in _sums(index):
        if any(terms) or not any(kernels) or not _rounded_behind(index, node.output[0]):
            continue
        other = node.input[0 if kernels[0] is None else 1]
        if other not in index.constants:
            yield at(
                index, node, "residual", "one term comes from an int8 convolution, the other is not rounded, so their sum is not int8",
                f"put a Q/DQ pair on {other!r}", refused=False,
            )  # fmt: skip


@check
def separated(index: Index) -> Iterator[Violation]:
    """The result of the convolution that fuses a sum is not rounded before it."""
    for node, terms, kernels in _sums(index):
        fused = next((k for k in kernels if k is not None), None)
        if all(terms) and fused is not None and terms[0] is not terms[1]:
            name = fused.name or "a convolution"
            yield at(
                index, node, "fusion", f"a Q/DQ pair lies between {name} and the sum, which keeps them from fusing",
                "remove that pair; round the other term only", refused=False,
            )  # fmt: skip


@check
def activation(index: Index) -> Iterator[Violation]:
    """Nothing lies between a kernel and its activation."""
    for node in index.nodes:
        if node.op_type not in ACTIVATIONS or not node.input:
            continue
        quantize = _quantize_before(index, node.input[0])
        kernel = index.maker(quantize.input[0], *KERNELS) if quantize is not None else None
        if kernel is not None and index.only_reader(kernel.output[0], "QuantizeLinear"):
            yield at(
                index, node, "fusion", f"a Q/DQ pair lies between {kernel.name or kernel.op_type} and its activation",
                "round behind the activation", refused=False,
            )  # fmt: skip


@check
def pooling(index: Index) -> Iterator[Violation]:
    """A pool that reads integers gives integers: what has no weight takes and gives the same."""
    for node in index.nodes:
        reads = node.op_type in _POOLS and index.dequantized(node, 0) is not None
        if reads and not _rounded_behind(index, node.output[0]):
            yield at(
                index, node, "pooling", "it reads integers and its result is not rounded",
                "round its result on the same grid, or do not round its input", refused=False,
            )  # fmt: skip


@check
def lonely(index: Index) -> Iterator[Violation]:
    """Q comes before DQ: integers are read by DequantizeLinear alone."""
    for node in (n for n in index.nodes if n.op_type == "QuantizeLinear"):
        others = [r.op_type for r in index.readers(node.output[0]) if r.op_type != "DequantizeLinear"]
        if others:
            yield at(index, node, "unpaired", f"{others[0]} reads its integers", "let a DequantizeLinear follow it")


def _sums(index: Index) -> Iterator[tuple[NodeProto, list[NodeProto | None], list[NodeProto | None]]]:
    """Each sum, the DequantizeLinear behind each term, and the int8 convolution behind each."""
    for node in index.nodes:
        if node.op_type == "Add" and len(node.input) == 2:
            terms = [index.dequantized(node, i) for i in (0, 1)]
            yield node, terms, [_convolution(index, name, term) for name, term in zip(node.input, terms, strict=True)]


def _quantize_before(index: Index, name: str) -> NodeProto | None:
    dequantize = index.maker(name, "DequantizeLinear")
    return None if dequantize is None else index.maker(dequantize.input[0], "QuantizeLinear")


def _convolution(index: Index, name: str, dequantize: NodeProto | None) -> NodeProto | None:
    """The int8 convolution behind a term of a sum, if nothing else reads its result."""
    if dequantize is not None:
        quantize = index.maker(dequantize.input[0], "QuantizeLinear")
        if quantize is None:
            return None
        name = quantize.input[0]
    node = index.maker(name, "Conv")
    return node if node is not None and len(index.readers(name)) == 1 and integer_kernel(index, node) else None


def _rounded_behind(index: Index, name: str) -> bool:
    """Whether a value is rounded, directly or behind what a Q moves or is fused across."""
    pending, seen = [name], set[str]()
    while pending:
        for reader in index.readers(pending.pop()):
            if reader.op_type == "QuantizeLinear":
                return True
            if reader.op_type in (*ACTIVATIONS, *COMMUTING) and reader.output[0] not in seen:
                seen.add(reader.output[0])
                pending.append(reader.output[0])
    return False
