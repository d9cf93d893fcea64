"""From a graph to a written file: one pass over the nodes, then the model's edges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import fx

from edgekit.graph import Graph, module_path
from edgekit.plugins import Emitted, EmittedOp, Encoding
from edgekit.resizing import resized
from edgekit.sizes import corners, typical
from edgekit.tensors import TensorSpec
from edgekit_converters.litert.builder import Builder, Operator
from edgekit_converters.litert.edges import read_inputs, write_outputs
from edgekit_converters.litert.emission import Emission
from edgekit_converters.litert.fusion import outcome
from edgekit_converters.litert.metadata import append_labels, metadata
from edgekit_converters.litert.registry import EMITTERS
from edgekit_converters.litert.sizes import Walked, changes_of, merged

MODEL_FILE = "model.tflite"


def emit(graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
    """Write `graph` as ``model.tflite`` in `folder`."""
    walked = _walk(graph, encoding) if not graph.open_sizes else _walk_sizes(graph, encoding)
    builder, inputs, outputs = walked.builder, walked.inputs, walked.outputs
    model = builder.serialize(inputs, outputs, encoding.description or "", metadata(encoding, tuple(inputs), _specs(builder, outputs)))
    path = folder / MODEL_FILE
    with path.open("wb") as file:
        file.write(model)
    append_labels(path, encoding)
    live = builder.live(tuple(outputs.values()))
    ops = tuple(EmittedOp(op.name, op.module, _dtype(builder, op), _shapes(builder, op)) for op in live)
    notes = (*walked.notes, *_concessions(builder, live, inputs, outputs))
    return Emitted(MODEL_FILE, _specs(builder, inputs), _specs(builder, outputs), ops, notes)


def _walk(graph: Graph, encoding: Encoding, changes: Mapping[str, tuple[int, ...]] | None = None) -> Walked:
    emission = Emission(changes=changes or {})
    inputs = read_inputs(emission, graph, encoding)
    for node in graph.nodes:
        if node.op == "call_function" and node not in emission.values:
            _write(emission, node)
    outputs = write_outputs(emission, graph, encoding)
    return Walked(emission.builder, inputs, outputs, tuple(emission.notes))


def _walk_sizes(graph: Graph, encoding: Encoding) -> Walked:
    """One file for all sizes: written at the typical ones and at the corners, and merged."""
    changes = changes_of(graph)
    points = dict.fromkeys([typical(graph.open_sizes), *corners(graph.open_sizes)])
    return merged([_walk(resized(graph, sizes), encoding, changes) for sizes in points])


def _write(emission: Emission, node: fx.Node) -> None:
    """Write one node, with what it fuses, and bind its value to the last node fused."""
    if not node.users:
        return
    emitter = EMITTERS.entries.get(node.target)
    if emitter is None:
        raise emission.refusal(
            node, "it has no emitter", accepted=EMITTERS.nearest(node), next_step="edgekit targets, or lower it to operators the format has"
        )
    emission.path = module_path(node)
    out, last = outcome(emission, node, emitter)
    value = emitter.emit(emission, node, out)
    emission.values[node] = emission.values[last] = value
    for between in _between(node, last):
        emission.values[between] = value


def _between(node: fx.Node, last: fx.Node) -> list[fx.Node]:
    chain = []
    while node is not last:
        node = next(iter(node.users))
        chain.append(node)
    return chain


def _specs(builder: Builder, names: Mapping[str, int]) -> tuple[TensorSpec, ...]:
    tensors = {name: builder.tensors[index] for name, index in names.items()}
    return tuple(TensorSpec(name, t.shape, t.dtype, t.grid) for name, t in tensors.items())


def _shapes(builder: Builder, op: Operator) -> tuple[tuple[int, ...], ...]:
    return tuple(builder.tensors[i].shape for i in op.inputs if i >= 0)


def _dtype(builder: Builder, op: Operator) -> str:
    """What an operator computes in: its result's dtype, or its first input's where the result is a choice or a count."""
    result = builder.tensors[op.outputs[0]].dtype
    if result in ("int32", "int64", "bool") and op.inputs and op.inputs[0] >= 0:
        return builder.tensors[op.inputs[0]].dtype
    return result


_MOVES = ("QUANTIZE", "DEQUANTIZE")


def _concessions(builder: Builder, live: list[Operator], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> list[str]:
    """Transposes, and in an integer model what stayed float."""
    notes = []
    integer = any(_dtype(builder, op) in ("int8", "int16") for op in live if op.name not in _MOVES)
    for op in live:
        source, result = op.inputs[0], op.outputs[0]
        where = f" in {op.module}" if op.module else ""
        edge = source in inputs.values() or result in outputs.values()
        if op.name == "TRANSPOSE":
            notes.append(f"TRANSPOSE at the model's edge{where}" if edge else f"TRANSPOSE{where}")
        elif integer and op.name not in _MOVES and _dtype(builder, op) in ("float32", "float16"):
            notes.append(f"{op.name}{where} stays in float")
        elif integer and op.name in _MOVES and not edge and builder.tensors[source].data is None:
            between = "float32" in (builder.tensors[source].dtype, builder.tensors[result].dtype)
            notes.append(f"{op.name}{where} between integer and float" if between else f"requantized: {op.name}{where}")
    return list(dict.fromkeys(notes))
