"""From a graph to a written file: one pass over the nodes, then the model's edges."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
from torch import fx

from edgekit.graph import Graph, module_path
from edgekit.plugins import Emitted, EmittedOp, Encoding
from edgekit_converters.onnx.constants import constants
from edgekit_converters.onnx.edges import read_inputs, write_outputs
from edgekit_converters.onnx.emission import MODULE, Emission, static
from edgekit_converters.onnx.half import in_half
from edgekit_converters.onnx.registry import EMITTERS

MODEL_FILE = "model.onnx"
IR_VERSION = {19: 9, 20: 9, 21: 10}
"""Of the file format, by opset: the oldest that has it, for the sake of old readers."""
_PROPERTIES = {"author": "model_author", "licence": "model_license", "version": "edgekit.version"}
"""Names of texts about the model; ONNX's own where it has one (its ``model_version`` is a number)."""


def emit(graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
    """Write `graph` as ``model.onnx`` in `folder`."""
    return emit_named(graph, folder, encoding)[0]


def emit_named(graph: Graph, folder: Path, encoding: Encoding) -> tuple[Emitted, dict[str, str]]:
    """Write `graph` as ``model.onnx`` in `folder`; also the name of the file's value for each of the graph's nodes, by its name."""
    emission = Emission(half=encoding.compute == "float16")
    for spec in (*graph.inputs, *graph.outputs):
        emission.reserve(spec.name)
    inputs = read_inputs(emission, graph, encoding)
    for node in graph.nodes:
        if node.op == "call_function" and node.users and node not in emission.values:
            _write(emission, node)
    outputs = write_outputs(emission, graph, encoding)
    if emission.half:
        in_half(emission, (*inputs.values(), *outputs.values()))
    model = _model(emission, list(inputs.values()), list(outputs.values()), encoding)
    proto = ir.serde.serialize_model(model)
    del proto.graph.value_info[:]  # every reader infers them
    (folder / MODEL_FILE).write_bytes(proto.SerializeToString(deterministic=True))
    ops = tuple(_described(node) for node in model.graph)
    weights = tuple(constants(emission, model.graph))
    emitted = Emitted(MODEL_FILE, tuple(inputs), tuple(outputs), ops, tuple(emission.notes), weights=weights)
    return emitted, {node.name: str(value.name) for node, value in emission.values.items()}


def _write(emission: Emission, node: fx.Node) -> None:
    emitter = EMITTERS.entries.get(node.target)
    if emitter is None:
        raise emission.refusal(node, "it has no emitter", accepted=EMITTERS.nearest(node), next_step="lower it to operators that ONNX has")
    emission.path = module_path(node)
    written = emitter(emission, node)
    if isinstance(written, tuple):
        emission.results[node] = written
    else:
        emission.values[node] = written


def _model(emission: Emission, inputs: list[ir.Value], outputs: list[ir.Value], encoding: Encoding) -> ir.Model:
    """The live part of what was emitted."""
    nodes = _live(emission.nodes, outputs)
    used = {x.name for node in nodes for x in node.inputs if x is not None} | {x.name for x in outputs}
    constants = [v for name, v in emission.initializers.items() if name in used]
    body = ir.Graph(inputs, outputs, nodes=nodes, initializers=constants, opset_imports={"": emission.opset}, name="edgekit")
    properties = {_PROPERTIES[name]: text for name, text in encoding.texts.items() if name != "description"}
    properties |= {"edgekit.labels": "\n".join(encoding.labels)} if encoding.labels else {}
    return ir.Model(
        body, ir_version=IR_VERSION[emission.opset], producer_name="edgekit", doc_string=encoding.description, metadata_props=properties
    )


def _live(nodes: list[ir.Node], outputs: list[ir.Value]) -> list[ir.Node]:
    needed, kept = {id(v) for v in outputs}, []
    for node in reversed(nodes):
        if any(id(v) in needed for v in node.outputs):
            kept.append(node)
            needed.update(id(v) for v in node.inputs if v is not None)
    return kept[::-1]


_MOVES = ("QuantizeLinear", "DequantizeLinear")


def _described(node: ir.Node) -> EmittedOp:
    inputs = [x for x in node.inputs if x is not None]
    shapes = tuple(static(x) for x in inputs)
    return EmittedOp(node.op_type, node.metadata_props.get(MODULE, ""), _computes(node, inputs), shapes)


def _computes(node: ir.Node, inputs: list[ir.Value]) -> str:
    """What a node computes in: integers where all the reals it combines were dequantized from them."""
    if node.op_type in _MOVES:
        return _name(inputs[0] if node.op_type == "DequantizeLinear" else node.outputs[0])
    reals = [x for x in inputs if _name(x).startswith("float")]
    sources = {_name(p.inputs[0]) for x in reals[:2] if (p := x.producer()) is not None and p.op_type == "DequantizeLinear"}  # type: ignore[arg-type]
    rounded = [x for x in reals[:2] if (p := x.producer()) is not None and p.op_type == "DequantizeLinear"]
    if reals and len(rounded) == len(reals[:2]) and sources:
        return sorted(sources)[-1]
    return _name(reals[0]) if reals else _name(node.outputs[0])


def _name(value: ir.Value) -> str:
    assert value.dtype is not None
    return {"float": "float32"}.get(value.dtype.name.lower(), value.dtype.name.lower())
