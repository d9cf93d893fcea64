"""A graph as a file: what hands it to another process without pickling anything.

One safetensors file. The constants are its tensors; the structure is JSON in its header, under ``graph``:

    {"schema": "edgekit.graph/1", "inputs": [spec], "outputs": [spec], "source": {...}, "notes": [...],
     "open_sizes": [{...}], "nodes": [{"name", "op", "target", "args": [argument], "kwargs": {}, "module", "sizes", "val"}],
     "aliases": {name: name}, "constraints": [{"kind", field: value}]}

An argument is JSON, or one of ``{"node": name}``, ``{"tuple": [...]}``, ``{"torch": "float32"}``,
``{"device": "cpu"}``, ``{"float": "inf"}``. Weights stay where they are in
memory on reading: the file is mapped.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, fx

import edgekit.ops  # noqa: F401 - defines torch.ops.edgekit
from edgekit.constraints import ORDER, Constraint
from edgekit.errors import LoadError, UsageError
from edgekit.graph import Graph
from edgekit.resizing import SIZES
from edgekit.sizes import OpenSize
from edgekit.source import Source
from edgekit.tensors import TensorSpec

SCHEMA = "edgekit.graph/1"
_IMPOSED = "constraint/"
_TORCH_WORDS = (torch.dtype, torch.layout, torch.memory_format)


def save_graph(graph: Graph, path: Path) -> None:
    """Write `graph` to `path`.

    Raises:
        UsageError: It holds something that has no form in the file.
    """
    constraints, theirs = _constraints(graph)
    tensors, aliases = _distinct(_constants(graph.module) | theirs)
    document = {
        "schema": SCHEMA,
        "inputs": [s.to_json() for s in graph.inputs],
        "outputs": [s.to_json() for s in graph.outputs],
        "source": vars(graph.source),
        "notes": list(graph.notes),
        "open_sizes": [o.to_json() for o in graph.open_sizes],
        "nodes": [_node(n) for n in graph.nodes],
        "aliases": aliases,
        "constraints": constraints,
    }
    save_file(tensors, path, {"graph": json.dumps(document)})


def load_graph(path: Path) -> Graph:
    """Inverse of `save_graph`.

    Raises:
        LoadError: The file is none of these.
    """
    try:
        with safe_open(path, "pt") as file:
            document = json.loads((file.metadata() or {})["graph"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise LoadError(f"{path.name} is not a saved graph: {error}") from None
    if document.get("schema") != SCHEMA:
        raise LoadError(f"{path.name} has schema {document.get('schema')!r}", accepted=SCHEMA)
    tensors |= {alias: tensors[name] for alias, name in document["aliases"].items()}
    imposed = tuple(_constraint(record, tensors) for record in document["constraints"])
    module = fx.GraphModule(_root({n: t for n, t in tensors.items() if not n.startswith(_IMPOSED)}), _structure(document["nodes"]))
    if imposed:
        module.meta["constraints"] = imposed
    sides = [tuple(TensorSpec.from_json(s) for s in document[side]) for side in ("inputs", "outputs")]
    open_sizes = tuple(OpenSize.from_json(o) for o in document["open_sizes"])
    return Graph(module, sides[0], sides[1], Source(**document["source"]), tuple(document["notes"]), open_sizes)


def _constants(module: fx.GraphModule) -> dict[str, Tensor]:
    return {
        name: t.detach() for name, t in (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
    }


def _constraints(graph: Graph) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """What passes imposed, as records, and the tensors these name."""
    records, tensors = [], dict[str, Tensor]()
    for number, constraint in enumerate(graph.constraints):
        record: dict[str, Any] = {"kind": constraint.kind}
        for field in fields(constraint):
            value = getattr(constraint, field.name)
            if isinstance(value, Tensor):
                record[field.name] = {"tensor": f"{_IMPOSED}{number}/{field.name}"}
                tensors[record[field.name]["tensor"]] = value
            else:
                record[field.name] = value
        records.append(record)
    return records, tensors


def _constraint(record: dict[str, Any], tensors: Mapping[str, Tensor]) -> Constraint:
    kinds = {kind.kind: kind for kind in ORDER}
    values: dict[str, Any] = {k: tensors[v["tensor"]] if isinstance(v, dict) else v for k, v in record.items() if k != "kind"}
    return kinds[record["kind"]](**values)


def _distinct(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor once, and the other names of those that have several; overlapping views become tensors of their own."""
    first: dict[tuple[Any, ...], str] = {}
    aliases = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and first.setdefault(place, name) != name:
            aliases[name] = first[place]
    storages: set[int] = set()
    kept = {}
    for name, tensor in tensors.items():
        if name not in aliases:
            storage = tensor.untyped_storage().data_ptr()
            kept[name] = tensor.clone() if storage in storages else tensor
            kept[name] = kept[name].contiguous()
            storages.add(storage)
    return kept, aliases


def _node(node: fx.Node) -> dict[str, Any]:
    record: dict[str, Any] = {"name": node.name, "op": node.op, "target": _target_name(node)}
    record |= {"args": [_argument(a) for a in node.args], "kwargs": {k: _argument(v) for k, v in node.kwargs.items()}}
    record["module"] = node.meta.get("module_path")
    if SIZES in node.meta:
        record["sizes"] = [[place, list(values)] for place, values in node.meta[SIZES].items()]
    return record | ({"val": _value(node.meta["val"])} if "val" in node.meta else {})


def _target_name(node: fx.Node) -> str:
    target = node.target
    if node.op != "call_function":
        return str(target)
    if target is operator.getitem:
        return "getitem"
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    raise UsageError(f"a graph that calls {target} cannot be saved", accepted="ATen overloads")


def _argument(value: Any) -> Any:
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, (list, tuple)):
        items = [_argument(v) for v in value]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, _TORCH_WORDS):
        return {"torch": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UsageError(f"a graph with the argument {value!r} cannot be saved", accepted="numbers, words and lists of them")


def _value(val: Any) -> Any:
    if isinstance(val, Tensor):
        return {
            "shape": [int(d) for d in val.shape],
            "stride": [int(d) for d in val.stride()],
            "dtype": str(val.dtype).removeprefix("torch."),
        }
    return [_value(v) for v in val] if isinstance(val, (list, tuple)) else None


def _root(tensors: Mapping[str, Tensor]) -> torch.nn.Module:
    """A module that holds the constants under their (dotted) names."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        owner, (*parents, leaf) = root, name.split(".")
        for part in parents:
            if not hasattr(owner, part):
                owner.add_module(part, torch.nn.Module())
            owner = getattr(owner, part)
        owner.register_buffer(leaf, tensor)
    return root


def _structure(records: list[dict[str, Any]]) -> fx.Graph:
    graph, nodes = fx.Graph(), dict[str, fx.Node]()
    for record in records:
        args, kwargs = tuple(_read(a, nodes) for a in record["args"]), {k: _read(v, nodes) for k, v in record["kwargs"].items()}
        target = _target(record["target"]) if record["op"] == "call_function" else record["target"]
        node = graph.create_node(record["op"], target, args, kwargs, name=record["name"])
        nodes[record["name"]] = node
        if record["module"] is not None:
            node.meta["module_path"] = record["module"]
        if "sizes" in record:
            node.meta[SIZES] = {place: tuple(values) for place, values in record["sizes"]}
        if "val" in record:
            node.meta["val"] = _meta(record["val"])
    return graph


def _target(name: str) -> Callable[..., Any]:
    """An operator by its name; nothing else is ever looked up."""
    if name == "getitem":
        return operator.getitem
    namespace, operation, overload = name.split(".")
    if namespace not in ("aten", "edgekit"):
        raise LoadError(f"a saved graph calls {name!r}", accepted="ATen overloads")
    found: Callable[..., Any] = getattr(getattr(getattr(torch.ops, namespace), operation), overload)
    return found


def _read(argument: Any, nodes: Mapping[str, fx.Node]) -> Any:
    if isinstance(argument, list):
        return [_read(a, nodes) for a in argument]
    if not isinstance(argument, dict):
        return argument
    ((kind, text),) = argument.items()
    if kind == "node":
        return nodes[text]
    if kind == "tuple":
        return tuple(_read(a, nodes) for a in text)
    if kind == "torch":
        return getattr(torch, text)
    return float(text) if kind == "float" else torch.device(text)


def _meta(record: Any) -> Any:
    if record is None:
        return None
    if isinstance(record, list):
        return tuple(_meta(r) for r in record)
    return torch.empty_strided(record["shape"], record["stride"], dtype=getattr(torch, record["dtype"]), device="meta")
