"""Picking elements by index."""

from __future__ import annotations

import onnx_ir as ir
from torch import fx

from edgekit.graph import argument, aten, shape_of
from edgekit_converters.onnx.emission import Emission
from edgekit_converters.onnx.registry import emits


@emits(aten.embedding.default)
def embedding(emission: Emission, node: fx.Node) -> ir.Value:
    """Gather of the table's rows."""
    return emission.op("Gather", [node.args[0], node.args[1]], shape_of(node), {"axis": 0})


@emits(aten.index_select.default)
def index_select(emission: Emission, node: fx.Node) -> ir.Value:
    """Gather along a dimension."""
    return emission.op("Gather", [node.args[0], argument(node, "index")], shape_of(node), {"axis": int(argument(node, "dim"))})


@emits(aten.gather.default)
def gather(emission: Emission, node: fx.Node) -> ir.Value:
    """GatherElements."""
    return emission.op("GatherElements", [node.args[0], argument(node, "index")], shape_of(node), {"axis": int(argument(node, "dim"))})
