"""Picking elements by index."""

from __future__ import annotations

import operator

import ai_edge_litert.schema_py_generated as schema
import numpy as np
from torch import fx

from edgekit.graph import argument, aten
from edgekit_converters.litert.emission import OP, Emission, Form, Outcome
from edgekit_converters.litert.registry import INT8, INT16, emits
from edgekit_converters.litert.storage import stand
from edgekit_converters.litert.values import Value


@emits(operator.getitem, view=True)
def getitem(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """One result of an operator that has several."""
    source, index = node.args
    return emission.results[source][index]  # type: ignore[index]


def gathered(emission: Emission, out: Outcome, value: Value, dim: int, index: Value) -> Value:
    """The slices along `dim` that the vector `index` names."""
    at = stand(emission, out, value, [dim], share=True)
    shape = (*value.shape[:dim], index.shape[0], *value.shape[dim + 1 :])
    options = schema.GatherOptionsT(axis=at.place(dim), batchDims=0)
    return emission.op(OP.GATHER, [at.tensor, emission.stored(index, (0,))], out, at.form(shape), options)


@emits(aten.index_select.default, integers=(INT8, INT16))
def index_select(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """GATHER."""
    value, index = emission.value(node.args[0]), emission.value(node.args[2])
    return gathered(emission, out, value, argument(node, "dim") % value.rank, index.reshape((index.layout.size,)) or index)


@emits(aten.gather.default, integers=(INT8, INT16))
def gather(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """GATHER_ND: PyTorch's gather names an element by its own place and one index, GATHER_ND by all its coordinates."""
    value, index = emission.value(node.args[0]), emission.value(node.args[2])
    dim = argument(node, "dim") % value.rank
    order = emission.near_order(value)
    places = np.indices(index.shape, np.int32)
    rows = [places[d][..., None] for d in order]
    if index.data is not None:
        rows[order.index(dim)] = index.data[..., None]
        coordinates = emission.builder.constant(np.concatenate(rows, -1, dtype=np.int32))
    else:
        coordinates = _coordinates(emission, index, rows, order.index(dim))
    tensor = emission.operand(out, value, order, share=True)
    return emission.op(OP.GATHER_ND, [tensor, coordinates], out, Form.of(out.shape), schema.GatherNdOptionsT())


def _coordinates(emission: Emission, index: Value, rows: list[np.ndarray], place: int) -> int:
    column = emission.reshaped(emission.stored(index, range(index.rank)), (*index.shape, 1))
    parts = [emission.builder.constant(np.concatenate(part, -1)) for part in (rows[:place], rows[place + 1 :]) if part]
    parts.insert(1 if place else 0, column)
    shape = (*index.shape, len(rows))
    found = emission.builder.tensor(shape, "int32")
    options = schema.ConcatenationOptionsT(axis=index.rank)
    emission.builder.operator(OP.CONCATENATION, parts, [found], options, emission.path)
    return found


@emits(aten.embedding.default, integers=(INT8, INT16))
def embedding(emission: Emission, node: fx.Node, out: Outcome) -> Value:
    """GATHER of rows; EMBEDDING_LOOKUP where rows are stored in integers of their own scale and wanted as float."""
    table, index = emission.value(node.args[0]), emission.value(node.args[1])
    rows = emission.stored(index, range(index.rank))
    if out.integer or table.grid is None or table.data is None:
        tensor = emission.operand(out, table, (0, 1), share=True)
        options = schema.GatherOptionsT(axis=0, batchDims=0)
        return emission.op(OP.GATHER, [tensor, rows], out, Form.of(out.shape), options)
    vector = emission.reshaped(rows, (index.layout.size,))
    form = Form.of((index.layout.size, out.shape[-1]))
    found = emission.op(OP.EMBEDDING_LOOKUP, [vector, emission.stored(table, (0, 1))], out, form)
    return Value(Form.of(out.shape).layout, found.dtype, found.grid, emission.reshaped(found.tensor, out.shape))
