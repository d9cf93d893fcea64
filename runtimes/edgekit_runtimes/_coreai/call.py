"""One MIL operation as its translation sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit_runtimes._coreml.arguments import flag as as_flag
from edgekit_runtimes._coreml.arguments import ints as as_ints
from edgekit_runtimes._coreml.program import Operation, Port


@dataclass(frozen=True)
class Call:
    """An operation with its arguments.

    Attributes:
        operation: Of the program.
        arguments: By parameter, Core AI values and numpy arrays (constants).
        ports: By name of a value, its MIL type and shape.
    """

    operation: Operation
    arguments: Mapping[str, Any]
    ports: Mapping[str, Port]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str) -> Any:
        """An argument, or None."""
        return self.arguments.get(name)

    def array(self, name: str, default: Any = None) -> np.ndarray:
        """A constant argument.

        Raises:
            ValueError: It is computed.
        """
        value = self.arguments.get(name)
        if value is not None and not isinstance(value, (np.ndarray, np.generic)):
            raise ValueError(f"its {name} is computed, and must be constant here")
        return np.asarray(default if value is None else value)

    def ints(self, name: str, default: Any = ()) -> list[int]:
        """A constant list of integers."""
        return as_ints(self.array(name, default).reshape(-1).tolist())

    def flag(self, name: str) -> bool:
        """A constant truth value, false by default."""
        return as_flag(self.array(name, False))

    def text(self, name: str, default: str) -> str:
        """A constant string."""
        return str(self.array(name, default))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an argument."""
        (given,) = self.operation.inputs[name]
        return self.ports[given].shape if isinstance(given, str) else given.array.shape

    @property
    def out(self) -> Port:
        """The (first) result."""
        return self.operation.outputs[0]

    def scalar(self, value: float) -> np.ndarray:
        """A number in the result's type."""
        return np.array(value, np.float16 if self.out.dtype == "fp16" else np.float32)
