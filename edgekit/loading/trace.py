"""Trace a call of a model to a raw ATen program, fast, with flat tensors in and out.

Raw means: non-strict `torch.export`, no decomposition. Everything the tracer would record for debuggers alone is off.
"""

from __future__ import annotations

import gc
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx.config
import torch.fx.traceback
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from edgekit.errors import LoadError
from edgekit.loading import naming, paths
from edgekit.loading.lean import Lean, without_autocast


@dataclass(frozen=True)
class Traced:
    """A program, the paths of its outputs in what the model returned, and notes on what was left out."""

    program: ExportedProgram
    outputs: tuple[naming.Path, ...]
    notes: tuple[str, ...]


def trace(root: nn.Module, call: Callable[..., Any], inputs: Sequence[Tensor], mode: Lean | None = None) -> Traced:
    """Trace ``call(*inputs)``.

    Args:
        root: Module whose parameters become the program's, and whose submodules name the nodes.
        call: What to trace; it may call `root`, whose ``forward`` is its own again by then.
        inputs: Example tensors; their shapes become the program's.
        mode: What to keep out of the graph.

    Raises:
        LoadError: It cannot be traced. The cause is the error of the model or the tracer.
    """
    outputs: list[naming.Path] = []
    notes: list[str] = []

    def flat_forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        with own(), mode or Lean():
            result = call(*tensors)
        found = [(path, leaf) for path, leaf in naming.leaves(result)]
        notes.extend(
            f"output {naming.joined(path) or 'output'!r} is a {type(leaf).__name__}: left out"
            for path, leaf in found
            if not isinstance(leaf, Tensor)
        )
        outputs.extend(path for path, leaf in found if isinstance(leaf, Tensor))
        return tuple(leaf for _, leaf in found if isinstance(leaf, Tensor))

    if isinstance(root, fx.GraphModule):  # torch.export would run its graph, not its forward
        root = _holder(root)
    with _lean_tracer(), _forward(root, flat_forward) as own:
        try:
            program = torch.export.export(root, tuple(inputs), strict=False)
        except LoadError:
            raise
        except Exception as error:
            raise explain(error, root) from error
    if not outputs:
        raise LoadError("the model returns no tensor", accepted="a tensor, or tensors in tuples, dicts or dataclasses")
    _require_static(program)
    return Traced(program, tuple(outputs), tuple(notes))


def _holder(module: nn.Module) -> nn.Module:
    """A plain module with the same parameters, buffers and children."""
    holder = nn.Module()
    holder._parameters, holder._buffers, holder._modules = module._parameters, module._buffers, module._modules
    return holder


_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@contextmanager
def _forward(root: nn.Module, forward: Callable[..., Any]) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Give one module another ``forward``, without its hooks, for the block; yields a context that gives it its own back."""
    own = {key: root.__dict__[key] for key in ("forward", *_HOOKS) if key in root.__dict__}
    other = {"forward": forward, **{key: OrderedDict() for key in _HOOKS}}

    def put(state: dict[str, Any]) -> None:
        root.__dict__.pop("forward", None)
        root.__dict__.update(state)

    @contextmanager
    def restored() -> Iterator[None]:
        put(own)
        try:
            yield
        finally:
            put(other)

    put(other)
    try:
        yield restored
    finally:
        put(own)


@contextmanager
def _lean_tracer() -> Iterator[None]:
    """No stack traces (a third of the time), no warnings on internals, no garbage collection of a graph in growth."""
    flags = torch.fx.config
    traces = flags.do_not_emit_stack_traces
    flags.do_not_emit_stack_traces = True
    try:
        with uncollected(), warnings.catch_warnings(), torch.no_grad(), without_autocast(), torch.fx.traceback.preserve_node_meta():
            warnings.simplefilter("ignore")
            yield
    finally:
        flags.do_not_emit_stack_traces = traces


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection for the block: where hundreds of thousands of objects are made and kept, it finds nothing, slowly."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def explain(error: BaseException, root: nn.Module, module: str | None = None) -> LoadError:
    """What a failure while tracing means for the user."""
    module = module or failing_module(error, root)
    summary = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, GuardOnDataDependentSymNode) or "data-dependent" in str(error):
        return LoadError(
            f"the model decides by the values of a tensor: {summary}",
            module=module,
            next_step="replace `if` and loops on tensor values by torch.where, or leave that part to the application",
        )
    return LoadError(f"the model cannot be traced: {type(error).__name__}: {summary}", module=module)


def failing_module(error: BaseException, root: nn.Module) -> str | None:
    """Path of the innermost module of `root` in whose forward the error arose."""
    names = {id(module): name for name, module in root.named_modules()}
    found, frame = None, error.__traceback__
    while frame is not None:
        owner = frame.tb_frame.f_locals.get("self")
        if id(owner) in names and frame.tb_frame.f_code.co_name == "forward":
            found = names[id(owner)]
        frame = frame.tb_next
    return found or None


def _require_static(program: ExportedProgram) -> None:
    for node in program.graph.nodes:
        if _is_dynamic(node):
            raise LoadError(
                f"the shape of {node.name!r} depends on the values of a tensor",
                module=paths.path_of(node),
                next_step="leave boolean indexing, nonzero and non-maximum suppression to the application, "
                "or use a fixed-size form such as topk",
            )


def _is_dynamic(node: fx.Node) -> bool:
    value = node.meta.get("val")
    values = value if isinstance(value, (tuple, list)) else (value,)
    return any(
        isinstance(v, (torch.SymInt, torch.SymFloat, torch.SymBool)) or (isinstance(v, Tensor) and not all(type(s) is int for s in v.shape))
        for v in values
    )
