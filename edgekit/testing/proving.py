"""Prove rewrites: run a graph before and after each of them, in double precision, and hold its meta values to what runs."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgekit.canonicalize import REWRITES, inlined, outside
from edgekit.canonicalize.rewriting import Rewrite, sweep
from edgekit.graph import op_name


def lifted(model: nn.Module, *inputs: Tensor) -> fx.GraphModule:
    """The graph of a model as rewrites first see it."""
    with torch.no_grad():
        program = torch.export.export(model.eval(), inputs, strict=False)
    return inlined(program)


def rewritten(module: fx.GraphModule, *rewrites: Rewrite) -> fx.GraphModule:
    """The same module after some rewrites, recompiled."""
    for rewrite in rewrites:
        rewrite(module.graph)
    sweep(module.graph)
    module.graph.lint()
    module.recompile()
    return module


def prove(model: nn.Module, *inputs: Tensor, tolerance: float = 1e-9, rewrites: Sequence[Rewrite] = REWRITES) -> Counter[str]:
    """Canonicalize step by step; after each step the graph must compute what the model (made double in place) does.

    Returns:
        How often each operator occurs in the result.
    """
    doubles = [_double(x) for x in inputs]
    model = model.double().eval()
    with torch.no_grad():
        expected = model(*doubles)
    expected = list(expected) if isinstance(expected, tuple | list) else [expected]
    module = lifted(model, *doubles)
    for rewrite in rewrites:
        if rewrite.__name__ == "narrow_dtypes":
            continue
        rewritten(module, rewrite)
        with torch.no_grad():
            results = CheckMeta(module).run(*doubles)
        for got, want in zip(results, expected, strict=True):
            assert got.shape == want.shape, (rewrite.__name__, got.shape, want.shape)
            error = float((got - want).abs().nan_to_num().max() / want.abs().nan_to_num().max().clamp_min(1e-12)) if want.numel() else 0.0
            assert error <= tolerance, (rewrite.__name__, error, module.code)
    assert not outside(module.graph), outside(module.graph)
    return operators(module.graph)


def operators(graph: fx.Graph) -> Counter[str]:
    """How often each operator occurs."""
    return Counter(op_name(n) for n in graph.nodes if n.op == "call_function" and n.target is not operator.getitem)


class CheckMeta(fx.Interpreter):
    """Runs a graph and holds every node's ``val`` to the tensor that came out, and asks for its ``module_path``."""

    def run_node(self, n: fx.Node) -> Any:
        """Run one node and compare."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            stated = n.meta["val"]
            assert tuple(stated.shape) == tuple(value.shape), (n.format_node(), tuple(stated.shape), tuple(value.shape))
            assert stated.dtype == value.dtype, (n.format_node(), stated.dtype, value.dtype)
            assert stated.device.type == "meta"
            assert "module_path" in n.meta, n.format_node()
        return value


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x
