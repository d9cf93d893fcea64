"""What the quantizer had to decide for the user."""

from __future__ import annotations

import warnings

from torch import fx

from edgekit.graph import module_path


class QuantizationWarning(UserWarning):
    """A tensor got a grid that its data alone did not determine, or a kernel's limits moved one."""


class Remarks:
    """Warns, and keeps what it said for the graph's notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def warn(self, text: str) -> None:
        """Warn the caller and keep the text."""
        self.note(text)
        warnings.warn(text, QuantizationWarning, stacklevel=2)

    def note(self, text: str) -> None:
        """Keep the text without a warning."""
        if text not in self.notes:
            self.notes.append(text)


def named(node: fx.Node) -> str:
    """A node as messages call it: its tensor's name and the user's module."""
    path = module_path(node)
    return f"tensor {node.name!r}" + (f" of module {path!r}" if path else "")
