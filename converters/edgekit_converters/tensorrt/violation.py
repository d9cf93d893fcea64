"""Something in a file that TensorRT refuses, computes otherwise, or computes slower than it might."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from onnx import NodeProto

from edgekit_converters.tensorrt.index import Index


@dataclass(frozen=True)
class Violation:
    """One finding.

    Attributes:
        rule: Name of the rule.
        node: Name of the node, or of the constant.
        module: Path of the user's module, as far as the file tells.
        wrong: What is wrong.
        fix: What to do.
        refused: Whether TensorRT refuses it or computes something else; otherwise it costs speed or bytes.
    """

    rule: str
    node: str
    module: str
    wrong: str
    fix: str
    refused: bool

    @property
    def sentence(self) -> str:
        """All in one line."""
        where = f"{self.node} of {self.module}" if self.module and not self.node.startswith(self.module) else self.node
        return f"{where}: {self.wrong}; {self.fix}" if where else f"{self.wrong}; {self.fix}"

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return dict(vars(self))


Check = Callable[[Index], Iterator[Violation]]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Register a check."""
    CHECKS.append(function)
    return function


def at(index: Index, node: NodeProto, rule: str, wrong: str, fix: str, *, refused: bool = True) -> Violation:
    """A violation at a node."""
    return Violation(rule, node.name or f"{node.op_type} of {', '.join(node.output)}", index.module(node), wrong, fix, refused)
