"""Unrolling recurrent layers over their static time axis: what `lstm` and `gru` share.

The input projection of all steps is one linear; each step then adds the recurrent part. Sequences are handled as one
matrix of shape (time x batch, features), step after step, so that a step is a slice of whole rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, fx

from edgekit.conversion.lowering.rewrite import Pen
from edgekit.errors import ConversionError
from edgekit.graph import argument, aten, constant_value, is_call, module_path, op_name, shape_of

State = tuple[fx.Node | None, ...]
"""What a cell carries from step to step (None: zeros)."""


@dataclass(frozen=True)
class Cell:
    """One layer in one direction.

    Attributes:
        project: Inputs of all steps, (time x batch, features), to their part of the gates.
        step: The gates' part of one step and the state before it, to the state after it; the output is its first.
    """

    project: Callable[[fx.Node], fx.Node]
    step: Callable[[fx.Node, State], State]


@dataclass(frozen=True)
class Layers:
    """A stack of recurrent layers, as ATen's calls describe it.

    Attributes:
        node: The call.
        x: Its input.
        cells: One for each layer and direction, the backward direction after the forward one.
        initial: Initial states, in the order of `cells`.
        bidirectional: Whether cells come in pairs.
        batch_first: Whether `x` is (batch, time, features).
    """

    node: fx.Node
    x: fx.Node
    cells: Sequence[Cell]
    initial: Sequence[State]
    bidirectional: bool
    batch_first: bool

    def unroll(self) -> None:
        """Write the steps and give every reader of the call's results what it asked for."""
        sequence = _rows(self.pen, self.x, self.batch_first)
        directions, finals = 2 if self.bidirectional else 1, []
        steps: list[fx.Node] = []
        for first in range(0, len(self.cells), directions):
            runs = [self._run(sequence, cell) for cell in range(first, first + directions)]
            finals += [states[-1] for states in runs]
            outputs = [[cast(fx.Node, s[0]) for s in states][:: -1 if backward else 1] for backward, states in enumerate(runs)]
            steps = [self._joined(parts) for parts in zip(*outputs, strict=True)]
            sequence = self.pen(aten.cat.default, steps, 0) if len(steps) > 1 else steps[0]
        self._answer(sequence, steps, finals)

    @property
    def pen(self) -> Pen:
        """Writes in front of the call."""
        return Pen(self.node)

    @property
    def batch(self) -> int:
        """Sequences handled at once."""
        return shape_of(self.x)[0 if self.batch_first else 1]

    def _run(self, sequence: fx.Node, cell: int) -> list[State]:
        """States after each step, in the order they are computed."""
        backward = self.bidirectional and cell % 2 == 1
        gates, state, states = self.cells[cell].project(sequence), self.initial[cell], []
        time = shape_of(gates)[0] // self.batch
        for t in reversed(range(time)) if backward else range(time):
            state = self.cells[cell].step(self.pen.slice(gates, 0, t * self.batch, (t + 1) * self.batch), state)
            states.append(state)
        return states

    def _joined(self, parts: Sequence[fx.Node]) -> fx.Node:
        return parts[0] if len(parts) == 1 else self.pen(aten.cat.default, list(parts), 1)

    def _answer(self, sequence: fx.Node, steps: list[fx.Node], finals: list[State]) -> None:
        for user in list(self.node.users):
            index = cast(int, user.args[1])
            if index == 0:
                self._answer_outputs(user, sequence, steps)
            elif user.users:
                last = [cast(fx.Node, final[index - 1]) for final in finals]
                parts = [self.pen.reshape(state, [1, *shape_of(state)]) for state in last]
                user.replace_all_uses_with(parts[0] if len(parts) == 1 else self.pen(aten.cat.default, parts, 0))

    def _answer_outputs(self, outputs: fx.Node, sequence: fx.Node, steps: list[fx.Node]) -> None:
        """Readers of single steps read those; only a reader of the whole sequence has it put together."""
        axis = 1 if self.batch_first else 0
        for user in list(outputs.users):
            if is_call(user, aten.slice.Tensor) and user.args[1] == axis and shape_of(user)[axis] == 1:
                start = cast(int, argument(user, "start"))
                user.replace_all_uses_with(Pen(user).reshape(steps[start], list(shape_of(user))))
        if any(user.users for user in outputs.users) or any(user.op == "output" for user in outputs.users):
            batch, width = self.batch, shape_of(sequence)[-1]
            whole = self.pen.reshape(sequence, [len(steps), batch, width] if batch > 1 else list(shape_of(outputs)))
            outputs.replace_all_uses_with(self.pen(aten.permute.default, whole, [1, 0, 2]) if batch > 1 and self.batch_first else whole)


def _rows(pen: Pen, x: fx.Node, batch_first: bool) -> fx.Node:
    """(batch, time, features) or (time, batch, features) as (time x batch, features)."""
    batch, time, features = shape_of(x) if batch_first else (shape_of(x)[1], shape_of(x)[0], shape_of(x)[2])
    if batch_first and batch > 1:
        x = pen(aten.permute.default, x, [1, 0, 2])
    return pen.reshape(x, [time * batch, features])


def weights(node: fx.Node) -> list[list[Tensor]]:
    """The call's weights and biases by cell: a layer's forward direction, then its backward one.

    Raises:
        ConversionError: A weight is computed at run time.
    """
    values = [constant_value(n) for n in argument(node, "params")]
    known = [v for v in values if v is not None]
    if len(known) < len(values):
        raise ConversionError("a recurrent layer's weights must be constants", op=op_name(node), module=module_path(node))
    each = len(known) // (argument(node, "num_layers") * (2 if argument(node, "bidirectional") else 1))
    return [known[i : i + each] for i in range(0, len(known), each)]


def projection(pen: Pen, weight: Tensor, bias: Tensor | None) -> Callable[[fx.Node], fx.Node]:
    """A linear with these constants, which may be called many times."""
    w, b = pen.constant(weight, "weight"), None if bias is None else pen.constant(bias, "bias")
    return lambda x: pen(aten.linear.default, x, w, b)


def initial(pen: Pen, state: fx.Node, cell: int) -> fx.Node | None:
    """The initial state of a cell out of (cells, batch, features), None where it is zeros."""
    value = constant_value(state)
    if value is not None:
        return None if not bool(value[cell].any()) else pen.constant(value[cell], "initial")
    return pen.reshape(pen.slice(state, 0, cell, cell + 1), list(shape_of(state))[1:])
