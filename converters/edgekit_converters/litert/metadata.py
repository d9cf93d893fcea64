"""Labels, in the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgekit.plugins import Encoding
from edgekit.tensors import TensorSpec


def embed(path: Path, encoding: Encoding, outputs: Sequence[TensorSpec]) -> None:
    """Append the labels to the model file."""
