"""Where a model came from: a graph knows it, and an artifact's manifest keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """The model something was made from.

    Attributes:
        framework: ``pytorch`` or ``keras``.
        name: What the user called it: a file name, a callable, a class.
        digest: sha256 over the weights and the structure, hex.
    """

    framework: str
    name: str
    digest: str
