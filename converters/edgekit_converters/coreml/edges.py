"""The model's edges: inputs and outputs in the dtypes the user asked for, under the user's names; labels and texts for apps."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import fx

from edgekit.errors import ConversionError
from edgekit.graph import Graph, aten, is_call, module_path
from edgekit.plugins import Encoding
from edgekit.tensors import TensorSpec
from edgekit_converters.coreml.emission import Emission, Result, identifier
from edgekit_converters.coreml.program import Classes, Input, renamed
from edgekit_converters.coreml.values import Variable

_FLOATS = ("float32", "float16")


def checked_dtype(side: str, dtype: str) -> str:
    """A dtype for the model's float inputs or outputs.

    Raises:
        ConversionError: Core ML has none of that dtype.
    """
    if dtype not in _FLOATS:
        raise ConversionError(
            f"{side}s were asked for as {dtype}, but Core ML's are real numbers or images",
            accepted=_FLOATS,
            next_step=f"ask for {side}_dtype float32; Core ML quantizes inside",
        )
    return dtype


def edge_spec(spec: TensorSpec, dtype: str) -> TensorSpec:
    """An input or output as the file has it: floats as asked, integers and truths as int32."""
    return TensorSpec(spec.name, spec.shape, dtype if spec.dtype.startswith("float") else "int32")


def read_inputs(emission: Emission, graph: Graph, encoding: Encoding) -> tuple[Input, ...]:
    """Declare the inputs, and cast them to what the program computes in."""
    dtype = checked_dtype("input", encoding.input_dtype)
    placeholders = [n for n in graph.nodes if n.op == "placeholder"]
    specs = [TensorSpec(s.name, s.shape, "float32") if s.name in encoding.images else edge_spec(s, dtype) for s in graph.inputs]
    names = [emission.unused(spec.name) for spec in specs]
    for node, spec, name in zip(placeholders, specs, names, strict=True):
        emission.values[node] = Variable(name, spec.shape, spec.dtype)
    for node in placeholders:
        emission.node = node
        emission.values[node] = emission.cast(emission.values[node], emission.dtype(node))
    return tuple(Input(n, s.shape, s.dtype, encoding.images.get(s.name)) for s, n in zip(specs, names, strict=True))


def write_outputs(emission: Emission, graph: Graph, encoding: Encoding, names: Sequence[str]) -> None:
    """Bring the results into the dtypes asked for, under `names`."""
    dtype = checked_dtype("output", encoding.output_dtype)
    made = {op.name for op in emission.operations if op.kind != "const"}
    taken: dict[str, str] = {}
    for node, spec, name in zip(flat_outputs(graph), graph.outputs, names, strict=True):
        emission.node = node
        value, wanted = emission.written(node), edge_spec(spec, dtype).dtype
        if value.dtype != wanted:
            emission.cast(value, wanted, name)
        elif value.name in made - set(taken) and value.index is None:
            taken[value.name] = name
        else:  # an input, a constant, or a second output of the same value
            emission.op("identity", Result(value.shape, wanted, name), x=value)
    emission.operations = renamed(emission.operations, taken)


def flat_outputs(graph: Graph) -> list[fx.Node]:
    """The nodes that are the model's outputs."""
    (output,) = [n for n in graph.nodes if n.op == "output"]
    results = output.args[0]
    return list(results) if isinstance(results, (list, tuple)) else [results]  # type: ignore[arg-type,list-item]


def foreign_names(graph: Graph) -> dict[str, str]:
    """By the name in the file, the user's, for inputs and outputs whose name Core ML does not allow."""
    return {identifier(s.name): s.name for s in (*graph.inputs, *graph.outputs) if identifier(s.name) != s.name}


def classes(emission: Emission, graph: Graph, encoding: Encoding, names: Sequence[str]) -> Classes | None:
    """The output that the labels name the scores of.

    Raises:
        ConversionError: No output has as many scores, or it holds those of several samples.
    """
    if not encoding.labels:
        return None
    count = len(encoding.labels)
    found = [i for i, s in enumerate(graph.outputs) if s.shape and s.shape[-1] == count and s.dtype.startswith("float")]
    if not found:
        shapes = ", ".join(f"{s.name}: {list(s.shape)}" for s in graph.outputs)
        raise ConversionError(
            f"{count} labels were given, but no output has {count} classes ({shapes})",
            next_step="give one label for each value of an output's last dimension",
        )
    spec, node = graph.outputs[found[0]], flat_outputs(graph)[found[0]]
    if torch.Size(spec.shape).numel() != count:
        raise ConversionError(
            f"output {spec.name!r} of shape {list(spec.shape)} has scores of more than one sample, and Core ML labels one",
            module=module_path(node) or None,
            next_step="convert with a batch of 1",
        )
    if not is_call(node, aten.softmax.int, aten.sigmoid.default):
        emission.note(f"output {spec.name!r} has labels, but no softmax makes its scores: the app sees the model's own numbers")
    return Classes(names[found[0]], encoding.labels)


def texts(encoding: Encoding) -> dict[str, str]:
    """What Core ML keeps as the model's metadata, by its names for it."""
    names = {"author": "author", "licence": "license", "description": "shortDescription", "version": "versionString"}
    return {names[name]: text for name, text in encoding.texts.items()}


def user_texts(emission: Emission, graph: Graph) -> dict[str, str]:
    """Further metadata: the user's own names, and the module each operator came from."""
    modules = {op.name: op.module for op in emission.operations if op.module and not op.kind.startswith("const")}
    found = {"edgekit.modules": json.dumps(modules, sort_keys=True)}
    names = foreign_names(graph)
    return found | ({"edgekit.names": json.dumps(names, sort_keys=True)} if names else {})
