"""Exported programs, from memory or ``.pt2`` files, replayed with static shapes and flat tensors.

A program may have dynamic dimensions, nested outputs and constant arguments. Tracing it once more removes all three; its
nodes keep the module paths the first export gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.fx.traceback
import torch.utils._pytree as pytree
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edgekit.errors import LoadError
from edgekit.loading import dims as dimensions
from edgekit.loading import examples, naming
from edgekit.loading.digest import digest
from edgekit.loading.exported import Exported
from edgekit.loading.paths import LAYER, path_of, put_paths
from edgekit.loading.pytorch import output_specs
from edgekit.loading.trace import trace
from edgekit.source import Source


def load_program(path: Path) -> ExportedProgram:
    """Read a ``.pt2`` file.

    Raises:
        LoadError: It is damaged, or written by an incompatible version of PyTorch.
    """
    try:
        return torch.export.load(path)
    except Exception as error:
        summary = str(error).partition("\n")[0]
        raise LoadError(
            f"{path} is not a whole .pt2 file, or one of another PyTorch version: {summary}", next_step="write it with torch.export.save"
        ) from error


def export_program(
    program: ExportedProgram, example_inputs: Any = None, *, dims: dimensions.Dims | None = None, batch: int = 1, name: str | None = None
) -> Exported:
    """Trace a program again, with static shapes.

    Args:
        program: As `torch.export.export` returns it.
        example_inputs: A tuple of its inputs, whose sizes then fix the dynamic dimensions.
        dims: Sizes of dynamic dimensions other than the batch.
        batch: Size of a dynamic dimension 0.
        name: What the user calls it.

    Raises:
        LoadError: A dynamic dimension has no size, or the program cannot be replayed.
    """
    nodes = _user_inputs(program)
    names = naming.unique([node.name for node in nodes])
    dimensions.check_names(names, dims)
    given = _given(example_inputs, names)
    stored = _stored(program, len(nodes))
    tensors, notes = [], []
    for position, (input_name, node) in enumerate(zip(names, nodes, strict=True)):
        declared = [int(size) if isinstance(size, int) else None for size in node.meta["val"].shape]
        shape = dimensions.static_shape(
            input_name, position, declared, dims=dims, batch=batch, example=given[position].shape if given else None
        )
        if declared and declared[0] is None:
            notes = [f"batch dimension fixed at {shape[0]}"]
        tensors.append(_sample(given, stored, position, shape, node.meta["val"].dtype))
    module = program.module(check_guards=False)
    assert isinstance(module, fx.GraphModule)
    traced = trace(module, _replay(program, module, nodes), tensors)
    put_paths(traced.program)
    return Exported(
        program=traced.program,
        inputs=tuple(naming.spec(n, t) for n, t in zip(names, tensors, strict=True)),
        outputs=output_specs(traced.program, naming.output_names(traced.outputs)),
        source=Source("pytorch", name or "ExportedProgram", digest(traced.program)),
        notes=(*notes, *traced.notes),
    )


class _Replay(fx.Interpreter):
    """Runs a graph under a trace, and hands every node's module path on."""

    def run_node(self, n: fx.Node) -> Any:
        with torch.fx.traceback.annotate({LAYER: path_of(n)}):
            return super().run_node(n)


def _replay(program: ExportedProgram, module: fx.GraphModule, nodes: Sequence[fx.Node]) -> Any:
    kinds = [spec for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    wanted = {node.name for node in nodes}
    out_spec = program.call_spec.out_spec

    def call(*tensors: Tensor) -> Any:
        fresh = iter(tensors)
        flat = [next(fresh) if spec.arg.name in wanted else spec.arg.value for spec in kinds]
        result = _Replay(module).run(*flat, enable_io_processing=False)
        return pytree.tree_unflatten(list(result), out_spec) if out_spec is not None else result

    return call


def _user_inputs(program: ExportedProgram) -> list[fx.Node]:
    users = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT}
    return [n for n in program.graph.nodes if n.op == "placeholder" and n.name in users and isinstance(n.meta.get("val"), Tensor)]


def _given(example_inputs: Any, names: Sequence[str]) -> list[Tensor] | None:
    if example_inputs is None:
        return None
    tensors = [examples.tensor(leaf) for _, leaf in naming.leaves(example_inputs)]
    if len(tensors) != len(names) or not all(isinstance(t, Tensor) for t in tensors):
        raise LoadError(f"the program has {len(names)} inputs, and the example has {len(tensors)}", accepted=names)
    return tensors


def _stored(program: ExportedProgram, count: int) -> list[Tensor] | None:
    leaves = [leaf for leaf in pytree.tree_leaves(program.example_inputs or ()) if isinstance(leaf, Tensor)]
    return leaves if len(leaves) == count else None


def _sample(given: list[Tensor] | None, stored: list[Tensor] | None, position: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """The user's example, the program's own, or random values."""
    source = given or stored
    if source is None or source[position].dim() != len(shape) or 0 in source[position].shape:
        return examples.random(shape, dtype, position)
    return examples.resize(source[position].to(dtype), shape)
