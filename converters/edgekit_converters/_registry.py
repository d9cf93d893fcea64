"""The table from ATen operator to what writes it, one for each format.

    EMITTERS: Registry[Emit] = Registry("edgekit_converters.onnx", ("activation", "shape"))
    emits = EMITTERS.register

The modules of the families register their emitters when they are imported, which happens when the table is first read.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from torch import fx

from edgekit.graph import op_name

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Registry(Generic[Entry]):
    """What writes each operator of a format.

    Attributes:
        package: The format's, which holds the families.
        families: Modules of it that register emitters.
    """

    package: str
    families: tuple[str, ...]
    _entries: dict[Any, Entry] = field(default_factory=dict, init=False, repr=False)

    def register(self, *targets: Any) -> Callable[[Entry], Entry]:
        """A decorator that registers what it gets for ATen overloads."""

        def add(entry: Entry) -> Entry:
            self._entries.update(dict.fromkeys(targets, entry))
            return entry

        return add

    @cached_property
    def entries(self) -> Mapping[Any, Entry]:
        """All, by ATen overload."""
        for family in self.families:
            importlib.import_module(f"{self.package}.{family}")
        return self._entries

    @cached_property
    def supported(self) -> tuple[str, ...]:
        """Base names of the ATen operators that can be written, sorted."""
        return tuple(sorted({target._schema.name.split("::")[1] for target in self.entries if hasattr(target, "_schema")}))

    def nearest(self, node: fx.Node) -> str | None:
        """Names that begin like that of an operator which cannot be written, for its error."""
        stem = op_name(node).split("_")[0]
        return ", ".join(name for name in self.supported if stem and name.startswith(stem)) or None
