"""Small canonical graphs for tests, written as plain functions over ATen calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from edgekit.graph import Graph, finish, infer
from edgekit.source import Source
from edgekit.tensors import TensorSpec


def graph_of(function: Callable[..., Any], inputs: Sequence[Tensor], module_path: str = "", **constants: Tensor) -> Graph:
    """The graph of `function`, which may only call ATen overloads (and index tuples of results).

    Args:
        function: Called with one proxy for each of `inputs` in order, and one for each constant by its name.
        inputs: Example inputs; their shapes and dtypes become the graph's.
        module_path: Module path of every call node.
        **constants: Buffers of the graph's module, by the name `function` takes them under.
    """
    graph, root = fx.Graph(), torch.nn.Module()
    tracer = fx.proxy.GraphAppendingTracer(graph)
    names = [f"x{index}" for index in range(len(inputs))]
    placeholders = [graph.placeholder(name) for name in names]
    for name, value in constants.items():
        root.register_buffer(name, value)
    attributes = {name: graph.get_attr(name) for name in constants} if constants else {}
    result = function(*(fx.Proxy(n, tracer) for n in placeholders), **{k: fx.Proxy(n, tracer) for k, n in attributes.items()})
    results = result if isinstance(result, (tuple, list)) else (result,)
    graph.output(tuple(r.node for r in results))
    known = dict(zip(placeholders, inputs, strict=True)) | {node: constants[name] for name, node in attributes.items()}
    for node in graph.nodes:
        node.meta["module_path"] = module_path
        if node in known:
            node.meta["val"] = known[node].to("meta")
        elif node.op == "call_function":
            node.meta["val"] = infer(node.target, node.args, node.kwargs)
    module = fx.GraphModule(root, graph)
    finish(module)
    outputs = [map_arg(r.node, lambda n: n.meta["val"]) for r in results]
    return Graph(
        module,
        tuple(_spec(n, x) for n, x in zip(names, inputs, strict=True)),
        tuple(_spec(f"y{index}", value) for index, value in enumerate(outputs)),
        Source("pytorch", getattr(function, "__name__", "function"), "0" * 64),
    )


def _spec(name: str, value: Tensor) -> TensorSpec:
    return TensorSpec(name, tuple(value.shape), str(value.dtype).removeprefix("torch."))
