"""Make a plain, private graph module of an exported program.

Given: an ``ExportedProgram`` whose weights are placeholders and whose inputs and outputs sit in the user's own
    nested structure.
Result: a ``GraphModule`` of its own with one placeholder a tensor input and one flat tuple of tensor outputs;
    weights are ``get_attr`` nodes of root buffers, one a storage; meta values live on the ``meta`` device;
    asserts are gone (they are users, and would keep dead code alive). The program is not touched.

Done by hand because ``ExportedProgram.module()`` generates code three times, which costs more than all rewrites.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind
from torch.fx.node import map_arg
from torch.utils._pytree import tree_map

from edgekit.errors import LoadError
from edgekit.graph import fresh_name


def lift(program: ExportedProgram) -> fx.GraphModule:
    """Copy an exported program into a flat graph module.

    Raises:
        LoadError: A size is not static, or the program holds an object that is not a tensor.
    """
    root, graph = torch.nn.Module(), fx.Graph()
    copies = _copy_inputs(program, root, graph)
    for node in program.graph.nodes:
        if node.op == "output":
            results = [copies[n] for n in node.args[0] if isinstance(n, fx.Node)]
            graph.output(tuple(results))
        elif node.op == "get_attr":
            setattr(root, node.target, getattr(program.graph_module, node.target))
            copies[node] = copy_node(graph, node, copies)
        elif node.op == "call_function" and not is_assert(node):
            copies[node] = copy_node(graph, node, copies)
    return fx.GraphModule(root, graph)


def is_assert(node: fx.Node) -> bool:
    """Whether a call only checks something."""
    name = str(node.target)
    return not node.users and ("assert" in name or "sym_constrain" in name)


def copy_node(graph: fx.Graph, node: fx.Node, copies: dict[fx.Node, fx.Node]) -> fx.Node:
    """Copy one node to the end of `graph`, with what canonical nodes carry: ``val`` and ``module_path``."""
    new = graph.create_node(
        node.op, node.target, map_arg(node.args, copies.__getitem__), map_arg(node.kwargs, copies.__getitem__), node.name
    )
    new.meta["module_path"] = node.meta.get("module_path", "")
    if "val" in node.meta:
        new.meta["val"] = tree_map(lambda v: _on_meta(v, node), node.meta["val"])
    return new


def _copy_inputs(program: ExportedProgram, root: torch.nn.Module, graph: fx.Graph) -> dict[fx.Node, fx.Node]:
    copies: dict[fx.Node, fx.Node] = {}
    known: dict[tuple[Any, ...], fx.Node] = {}
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder"]
    pairs = list(zip(placeholders, program.graph_signature.input_specs, strict=True))
    for node, spec in sorted(pairs, key=lambda pair: pair[1].kind is not InputKind.USER_INPUT):
        if isinstance(spec.arg, ConstantArgument):
            continue
        if spec.kind is InputKind.USER_INPUT:
            copies[node] = copy_node(graph, node, copies)
            continue
        tensor = _held(program, spec.target)
        if not isinstance(tensor, Tensor):
            raise LoadError(f"the model holds {spec.target}, a {type(tensor).__name__}, which is not a tensor", accepted="tensors")
        key = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()) if tensor.numel() else (node.name,)
        if key not in known:
            name = _fresh(root, spec.target)
            root.register_buffer(name, tensor.detach())
            known[key] = graph.get_attr(name)
            known[key].meta.update(val=_on_meta(tensor, node), module_path=node.meta.get("module_path", ""))
        copies[node] = known[key]
    return copies


def _held(program: ExportedProgram, name: str | None) -> Any:
    assert name is not None
    return program.state_dict[name] if name in program.state_dict else program.constants[name]


def _fresh(root: torch.nn.Module, name: str | None) -> str:
    stem = str(name).replace(".", "_").replace("/", "_").replace("-", "_").removeprefix("_torch_params_")
    return fresh_name(root, stem)


def _on_meta(value: Any, node: fx.Node) -> Any:
    if not isinstance(value, Tensor):
        return value
    if not all(isinstance(size, int) for size in value.shape):
        raise LoadError(
            f"a tensor has shape {list(value.shape)}, whose sizes depend on the data or on an input size",
            accepted="static shapes",
            module=node.meta.get("module_path") or None,
            next_step="give dynamic dimensions a value; move data-dependent code (boolean indexing, suppression) after the model",
        )
    return torch.empty(tuple(value.shape), dtype=value.dtype, device="meta")
