"""The one structure everything works on: a canonical ATen graph that knows the user's module names.

`Graph` wraps a `torch.fx.GraphModule` whose call nodes are ATen overloads. Every node carries

* ``meta["val"]``: a tensor on the ``meta`` device with the node's static shape and dtype (a tuple of
  them for a node with several results);
* ``meta["module_path"]``: the path of the user's own module that made it, ``""`` for the root.

Rewrites create nodes with `call` and constants with `constant`, which keep both true.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from edgekit.constraints import Change, Constraint
from edgekit.errors import ConversionError
from edgekit.sizes import OpenSize
from edgekit.source import Source
from edgekit.tensors import Grid, TensorSpec

aten = torch.ops.aten


@dataclass(frozen=True)
class Graph:
    """A canonical graph with named inputs and outputs.

    Attributes:
        module: The graph module. Passes never mutate a graph they were given; they edit a `copy`.
        inputs: One spec a placeholder, in order.
        outputs: One spec a flattened output, in order.
        source: Where it came from.
        notes: Concessions made on the way that the manifest must list (a frozen batch, a cast id).
        open_sizes: Sizes an application chooses; the graph itself has the typical ones (`edgekit.resizing.resized` gives others).
    """

    module: fx.GraphModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: Source
    notes: tuple[str, ...] = field(default=())
    open_sizes: tuple[OpenSize, ...] = field(default=())

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run it. Inputs in the order of `inputs`; returns the flat outputs in the order of `outputs`."""
        with torch.no_grad():
            result = self.module(*inputs)
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    @property
    def nodes(self) -> list[fx.Node]:
        """All nodes in execution order."""
        return list(self.module.graph.nodes)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What earlier passes imposed on weights (`constrain`)."""
        return _constraints(self.module)

    def copy(self) -> Graph:
        """A graph whose nodes can be edited; weight tensors are shared, not copied."""
        memo: dict[int, Any] = {}
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            memo[id(tensor)] = tensor
        module = copy.deepcopy(self.module, memo)
        return replace(self, module=module)

    def noting(self, *notes: str) -> Graph:
        """The same graph with further notes."""
        return replace(self, notes=(*self.notes, *(n for n in notes if n not in self.notes)))


def is_call(node: object, *targets: Any) -> bool:
    """Whether `node` calls one of `targets` (ATen overloads); with no targets, whether it calls anything."""
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return False
    return not targets or node.target in targets


def op_name(node: fx.Node) -> str:
    """Base name of the called operator, as the rules files write it: ``convolution``, ``add``, ``softmax``."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return target._schema.name.split("::")[1]
    return getattr(target, "__name__", str(target))


def argument(node: fx.Node, name: str) -> Any:
    """An argument of an ATen call by its schema name, whether passed by position, by keyword or by default."""
    schema = node.target._schema  # type: ignore[union-attr]
    for index, arg in enumerate(schema.arguments):
        if arg.name == name:
            if index < len(node.args):
                return node.args[index]
            return node.kwargs.get(name, arg.default_value)
    raise KeyError(f"{node.target} has no argument {name!r}")


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Static shape of a node's (single) result."""
    return tuple(node.meta["val"].shape)


def dtype_of(node: fx.Node) -> torch.dtype:
    """Dtype of a node's (single) result."""
    return node.meta["val"].dtype  # type: ignore[no-any-return]


def module_path(node: fx.Node) -> str:
    """Path of the user's module that made the node."""
    return str(node.meta.get("module_path", ""))


def constant_value(node: object) -> Tensor | None:
    """The tensor of a ``get_attr`` node, else None."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    owner: Any = node.graph.owning_module
    for part in str(node.target).split("."):
        owner = getattr(owner, part)
    return owner.detach() if isinstance(owner, Tensor) else None


def constant(before: fx.Node, tensor: Tensor, name: str, path: str | None = None) -> fx.Node:
    """Register `tensor` as a buffer under a fresh name derived from `name`; return its ``get_attr`` node."""
    module = before.graph.owning_module
    assert module is not None
    fresh = fresh_name(module, name.replace(".", "_"))
    module.register_buffer(fresh, tensor.detach().contiguous())
    with before.graph.inserting_before(before):
        node = before.graph.get_attr(fresh)
    node.meta["val"] = tensor.detach().to("meta")
    node.meta["module_path"] = module_path(before) if path is None else path
    return node


def fresh_name(module: torch.nn.Module, stem: str) -> str:
    """An attribute's name that the module has not yet: `stem`, or with a number behind it."""
    fresh, count = stem, 0
    while hasattr(module, fresh):
        count += 1
        fresh = f"{stem}_{count}"
    return fresh


def constraints_of(weight: object) -> tuple[Constraint, ...]:
    """What earlier passes imposed on the constant of a ``get_attr`` node; nothing for any other node."""
    if not isinstance(weight, fx.Node) or weight.op != "get_attr":
        return ()
    return tuple(c for c in _constraints(weight.graph.owning_module) if c.weight == weight.target)


Kind = TypeVar("Kind", bound=Constraint)


def imposed(weight: object, kind: type[Kind]) -> Kind | None:
    """The constraint of one kind on the constant of a ``get_attr`` node, or None."""
    return next((c for c in constraints_of(weight) if isinstance(c, kind)), None)


def reads(weight: fx.Node) -> int:
    """How many calls read a constant, through any of its ``get_attr`` nodes."""
    return sum(len(twin.users) for twin in _twins(weight))


def _twins(weight: fx.Node) -> list[fx.Node]:
    """All ``get_attr`` nodes of a constant."""
    return list(weight.graph.find_nodes(op="get_attr", target=weight.target))


def constrain(weight: fx.Node, *constraints: Constraint) -> None:
    """Record what a pass imposed on a weight; it takes the place of what was recorded of that weight before.

    Args:
        weight: The weight's ``get_attr`` node.
        constraints: Of this weight, which satisfies them already.
    """
    value, module = constant_value(weight), weight.graph.owning_module
    assert value is not None and module is not None
    for constraint in constraints:
        assert constraint.weight == weight.target and constraint.holds(value), (constraint.kind, weight.target)
    module.meta["constraints"] = (*(c for c in _constraints(module) if c.weight != weight.target), *constraints)


def is_scalable(weight: object) -> bool:
    """Whether the channels of a weight may be scaled without breaking what passes imposed on it."""
    return all(c.scalable for c in constraints_of(weight))


def reweigh(before: fx.Node, weight: fx.Node, change: Change, name: str) -> fx.Node:
    """The constant that `change` makes of a weight, with the constraints of that weight.

    Args:
        before: Where the new ``get_attr`` node goes.
        weight: The old weight's node; its last reader takes its constraints along.
        change: What to do to the old weight: a reordering, selection or scaling of its elements.
        name: For the new one.

    Raises:
        ConversionError: A constraint does not survive the change.
    """
    value = constant_value(weight)
    assert value is not None
    new = constant(before, change(value), name)
    _take_over(weight, new, lambda c, target, changed: c.after(change, target, changed))
    return new


def reweigh_all(weight: fx.Node, change: Change, readers: Sequence[fx.Node]) -> fx.Node:
    """What `reweigh` does, for several readers of a weight, which go on sharing it.

    Args:
        weight: The old weight's node.
        change: What to do to it.
        readers: The calls to give the new one to.

    Raises:
        ConversionError: A constraint does not survive the change.
    """
    value = constant_value(weight)
    assert value is not None
    twins = _twins(weight)
    new = constant(twins[0], change(value), str(weight.target), module_path(weight))
    for twin in twins:
        twin.replace_all_uses_with(new, delete_user_cb=lambda user: user in readers)
    _take_over(weight, new, lambda c, target, changed: c.after(change, target, changed), leaving=0)
    return new


def revalue(weight: fx.Node, value: Tensor, *imposed: Constraint) -> fx.Node:
    """Give a weight other values of the same shape, for all its readers; what was imposed on it before holds for them too.

    Args:
        weight: The weight's ``get_attr`` node, which the new one replaces.
        value: The new weight.
        imposed: New constraints, which the value satisfies; they replace those of their own kind.

    Raises:
        ConversionError: The new values break an earlier constraint.
    """
    kinds = {c.kind for c in imposed}
    twins = _twins(weight)
    new = constant(twins[0], value, str(weight.target), module_path(weight))

    def kept(constraint: Constraint, target: str, changed: Tensor) -> Constraint | None:
        moved = replace(constraint, weight=target)
        return moved if constraint.kind in kinds or moved.holds(changed) else None

    for twin in twins:
        twin.replace_all_uses_with(new)
    _take_over(weight, new, kept, leaving=0)
    for twin in twins:
        twin.graph.erase_node(twin)
    constrain(new, *(c for c in constraints_of(new) if c.kind not in kinds), *(replace(c, weight=str(new.target)) for c in imposed))
    return new


def _take_over(old: fx.Node, new: fx.Node, follow: Callable[[Constraint, str, Tensor], Constraint | None], leaving: int = 1) -> None:
    """Give the constraints of one weight to another.

    Args:
        old: Keeps its own, too, if it has more readers than are `leaving` it.
        new: Gets what `follow` makes of each; None is for what does not survive.
        follow: Told the constraint, the new target and the new value.
        leaving: Readers that still read the old one, and are about to read the new one.
    """
    module, value, moved = new.graph.owning_module, constant_value(new), []
    assert module is not None and value is not None
    shared = reads(old) > leaving
    for constraint in constraints_of(old):
        after = follow(constraint, str(new.target), value)
        if after is None:
            raise ConversionError(_lost(constraint), module=module_path(old) or module_path(new), next_step=_WHEN_LOST)
        moved.append(after)
    module.meta["constraints"] = (*(c for c in _constraints(module) if shared or c.weight != old.target), *moved)


def _constraints(module: fx.GraphModule | None) -> tuple[Constraint, ...]:
    return () if module is None else module.meta.get("constraints", ())


_WHEN_LOST = "put the pass that imposed it after the one that needs other values, or exclude this layer from it"


def _lost(constraint: Constraint) -> str:
    return f"a rewrite would break the {constraint.kind} that a pass imposed on the weight {constraint.weight!r}"


def infer(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Shape and dtype of a call, computed on the ``meta`` device."""
    if target is operator.getitem:
        return args[0].meta["val"][args[1]]
    if "fake_quantize" in str(target):  # ATen's have no meta kernel; a value keeps its shape and dtype
        return args[0].meta["val"]
    meta_args = map_arg(tuple(args), lambda n: n.meta["val"])
    meta_kwargs = map_arg(dict(kwargs), lambda n: n.meta["val"])
    return target(*meta_args, **meta_kwargs)


def call(before: fx.Node, target: Any, *args: Any, like: fx.Node | None = None, val: Any = None, **kwargs: Any) -> fx.Node:
    """Insert a call before `before`, with its module path taken from `like` and its meta inferred unless known (`val`)."""
    with before.graph.inserting_before(before):
        node = before.graph.call_function(target, args, kwargs)
    node.meta["val"] = infer(target, args, kwargs) if val is None else val
    node.meta["module_path"] = module_path(like if like is not None else before)
    return node


def substitute(old: fx.Node, new: fx.Node) -> None:
    """Make all users of `old` use `new` (not `new` itself), and erase `old`."""
    old.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    old.graph.erase_node(old)


_RANGES = {(-128, 127): "int8", (-127, 127): "int8", (0, 255): "uint8", (-8, 7): "int4", (-7, 7): "int4",
           (-63, 63): "int7", (-31, 31): "int6", (-15, 15): "int5", (-3, 3): "int3", (-1, 1): "int2",
           (-32768, 32767): "int16", (-32767, 32767): "int16"}  # fmt: skip


def grid_of(node: object) -> Grid | None:
    """The integer grid a fake-quantize node rounds to, else None.

    A quantized tensor of the graph is one node: ``aten.fake_quantize_per_tensor_affine``,
    ``aten.fake_quantize_per_channel_affine`` or ``edgekit.fake_quantize_per_block``, which stand for a
    quantize/dequantize pair. The value stays float, so the graph itself predicts the quantized model.
    """
    if is_call(node, aten.fake_quantize_per_tensor_affine.default):
        assert isinstance(node, fx.Node)
        _, scale, zero_point, low, high = node.args
        return Grid(_RANGES[low, high], (float(scale),), (int(zero_point),))  # type: ignore
    if is_call(node, aten.fake_quantize_per_channel_affine.default):
        assert isinstance(node, fx.Node)
        _, scale_node, zero_node, axis, low, high = node.args
        scales, zeros = constant_value(scale_node), constant_value(zero_node)
        assert scales is not None and zeros is not None
        return Grid(_RANGES[low, high], tuple(scales.tolist()), tuple(map(int, zeros.tolist())), int(axis))  # type: ignore
    if is_call(node) and op_name(node) == "fake_quantize_per_block":  # type: ignore[arg-type]
        assert isinstance(node, fx.Node)
        _, scale_node, block, low, high = node.args
        scales = constant_value(scale_node)
        assert scales is not None
        flat = tuple(scales.flatten().tolist())
        return Grid(_RANGES[low, high], flat, (0,) * len(flat), None, int(block))  # type: ignore
    return None


def finish(module: fx.GraphModule) -> None:
    """Drop dead nodes and unused constants, check, and recompile: what every rewrite ends with.

    Raises:
        ConversionError: A weight is gone that a pass constrained, and no other took over its constraints (`reweigh`).
    """
    module.graph.eliminate_dead_code()
    used = {str(n.target) for n in module.graph.nodes if n.op == "get_attr"}
    if lost := [c for c in _constraints(module) if c.weight not in used]:
        raise ConversionError(_lost(lost[0]), next_step=_WHEN_LOST)
    for name in [n for n, _ in module.named_buffers()] + [n for n, _ in module.named_parameters()]:
        if name not in used and "." not in name:
            delattr(module, name)
    module.graph.lint()
    module.recompile()
