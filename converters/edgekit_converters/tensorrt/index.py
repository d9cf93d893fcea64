"""A read-only index of any ONNX file's main graph: who makes a value, who reads it, what is constant, whose module it was."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cached_property

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

MODULE_KEYS = ("edgekit.module", "pkg.torch.onnx.name_scopes")


class Index:
    """Looks things up in a model.

    Args:
        model: Read; external data need not be loaded.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.outputs = {o.name for o in model.graph.output}

    @cached_property
    def opset(self) -> int:
        """Version of the default operator set."""
        return next((o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), 0)

    @cached_property
    def constants(self) -> dict[str, TensorProto]:
        """Initializers, and what Constant nodes hold."""
        found = {t.name: t for t in self.model.graph.initializer}
        held = ((n.output[0], a) for n in self.nodes if n.op_type == "Constant" for a in n.attribute)
        return found | {name: a.t for name, a in held if a.name == "value"}

    @cached_property
    def _makers(self) -> dict[str, NodeProto]:
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def _readers(self) -> dict[str, list[NodeProto]]:
        found: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                found[name].append(node)
        return found

    def maker(self, name: str, *op_types: str) -> NodeProto | None:
        """The node that makes a value, if it is of one of `op_types` (any, if none is given)."""
        node = self._makers.get(name)
        return node if node is not None and (not op_types or node.op_type in op_types) else None

    def readers(self, name: str) -> list[NodeProto]:
        """The nodes that read a value."""
        return self._readers.get(name, [])

    def only_reader(self, name: str, *op_types: str) -> NodeProto | None:
        """The only node that reads a value, if it is of one of `op_types` and the value is no output of the model."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and name not in self.outputs and readers[0].op_type in op_types else None

    def dequantized(self, node: NodeProto, position: int) -> NodeProto | None:
        """The DequantizeLinear behind an input of a node, seen through transposes."""
        if position >= len(node.input):
            return None
        maker = self.maker(node.input[position], "DequantizeLinear", "Transpose")
        while maker is not None and maker.op_type == "Transpose":
            maker = self.maker(maker.input[0], "DequantizeLinear", "Transpose")
        return maker

    def stored(self, dequantize: NodeProto) -> TensorProto | None:
        """The constant that a DequantizeLinear reads, directly or through a QuantizeLinear."""
        source = dequantize.input[0]
        quantize = self.maker(source, "QuantizeLinear")
        return self.constants.get(quantize.input[0] if quantize is not None else source)

    def sizes(self, name: str) -> tuple[int, ...] | None:
        """Shape of a constant."""
        tensor = self.constants.get(name)
        return None if tensor is None else tuple(tensor.dims)

    def is_zero(self, name: str) -> bool:
        """Whether a constant is all zeros; true for a missing one, whose default that is."""
        if not name:
            return True
        values = self.array(name)
        return values is not None and not values.any()

    def array(self, name: str) -> np.ndarray | None:
        """A constant's values, if they are in the file."""
        tensor = self.constants.get(name)
        return None if tensor is None or tensor.data_location == TensorProto.EXTERNAL else numpy_helper.to_array(tensor)

    def dtype(self, name: str) -> int | None:
        """Element type of a constant."""
        tensor = self.constants.get(name)
        return None if tensor is None else tensor.data_type

    def module(self, node: NodeProto) -> str:
        """Path of the user's module that a node came from, as far as its exporter told."""
        properties = {p.key: p.value for p in node.metadata_props}
        if MODULE_KEYS[0] in properties:
            return str(properties[MODULE_KEYS[0]])
        if MODULE_KEYS[1] in properties:
            return _last_scope(str(properties[MODULE_KEYS[1]]))
        return _path_of_name(node.name)


def attribute(node: NodeProto, name: str, default: int) -> int:
    """An integer attribute of a node."""
    return next((a.i for a in node.attribute if a.name == name), default)


def _last_scope(scopes: str) -> str:
    """``layer1.0.conv1`` of torch.onnx' ``['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d']``."""
    try:
        names = ast.literal_eval(scopes)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return ""
    return str(names[-2]) if isinstance(names, list) and len(names) > 1 else ""


def _path_of_name(name: str) -> str:
    """``layer1.0.conv1`` of the name ``/layer1/layer1.0/conv1/Conv`` that torch's older exporter gives."""
    path = ""
    for part in name.strip("/").split("/")[:-1]:
        path = part if path and part.startswith(f"{path}.") else f"{path}.{part}" if path else part
    return path
