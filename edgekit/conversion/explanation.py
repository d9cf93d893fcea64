"""What a model file really is, as rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.tensors import Grid, TensorSpec

SCHEMA = "edgekit.explain/1"


@dataclass(frozen=True)
class TensorRow:
    """A tensor of the file.

    Attributes:
        index: Its number.
        name: Its name.
        shape: As written.
        dtype: Of its elements.
        bytes: Its size: stored, if it is a constant.
        constant: Whether its values are in the file.
        variable: Whether it keeps its values from run to run.
        dynamic: Axes the file leaves open.
        grid: Its integer grid, or None.
        storage: How a constant is compressed, in words (``4-bit palettes, 8 along axis 0; 4.31 bits each``); empty if it is not.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    constant: bool
    variable: bool
    dynamic: tuple[int, ...]
    grid: Grid | None
    storage: str = ""

    @property
    def quantization(self) -> str:
        """The grid in a few words: ``0.0235 × (q + 12)``, ``16 scales 0.001…0.004 on axis 0``; the storage; or nothing."""
        if self.grid is None:
            return self.storage
        if self.grid.block is not None:
            return f"blocks of {self.grid.block} share a scale"
        if len(self.grid.scale) > 1:
            low, high = min(self.grid.scale), max(self.grid.scale)
            return f"{len(self.grid.scale)} scales {low:.3g}…{high:.3g} on axis {self.grid.axis}"
        zero = self.grid.zero_point[0] if self.grid.zero_point else 0
        return f"{self.grid.scale[0]:.4g} × " + ("q" if zero == 0 else f"(q {'-' if zero > 0 else '+'} {abs(zero)})")


@dataclass(frozen=True)
class OpRow:
    """An operator of the file, in execution order.

    Attributes:
        index: Its position.
        name: ``CONV_2D``.
        version: Of the operator.
        inputs: Tensor numbers; -1 for an optional one left out.
        outputs: Tensor numbers.
        dtype: What it computes in.
        bytes: Of the constants it reads.
        options: Its scalar options.
        module: Path of the user's module it came from; None for a file without a manifest.
        delegated: Whether the delegate would run it; None where the runtime could not be asked.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    dtype: str
    bytes: int
    options: Mapping[str, Any]
    module: str | None = None
    delegated: bool | None = None


@dataclass(frozen=True)
class Finding:
    """Something a reader should know. `kind` is a word of a small vocabulary, `text` a sentence."""

    kind: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """What is in a model file.

    Attributes:
        file: Its path.
        format: The converter that knows it.
        bytes: Its size.
        sha256: Of its content.
        description: Embedded in it.
        signatures: By key, the names of its inputs and outputs.
        inputs: Under their signature names.
        outputs: The same.
        tensors: All of the main subgraph.
        ops: All of the main subgraph.
        metadata: Embedded buffers by name, in bytes.
        findings: What a reader should know.
        facts: What only this format has, by a word or two: ``needs`` iOS 17.
    """

    file: Path
    format: str
    bytes: int
    sha256: str
    description: str
    signatures: Mapping[str, Mapping[str, Any]]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tensors: tuple[TensorRow, ...]
    ops: tuple[OpRow, ...]
    metadata: Mapping[str, int]
    findings: tuple[Finding, ...] = field(default=())
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Operators by name, most frequent first."""
        return dict(Counter(op.name for op in self.ops).most_common())

    @property
    def constant_bytes(self) -> dict[str, int]:
        """Bytes of constants by dtype."""
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            if tensor.constant:
                sizes[tensor.dtype] += tensor.bytes
        return dict(sizes.most_common())

    def to_json(self) -> dict[str, Any]:
        """The document, valid under ``schemas/explain-1.json``."""
        return {
            "schema": SCHEMA,
            "file": str(self.file),
            "format": self.format,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "description": self.description,
            "signatures": {key: dict(sides) for key, sides in self.signatures.items()},
            "inputs": [s.to_json() for s in self.inputs],
            "outputs": [s.to_json() for s in self.outputs],
            "tensors": [_plain(t) | {"grid": _grid_json(t.grid)} for t in self.tensors],
            "ops": [_plain(op) for op in self.ops],
            "counts": self.counts,
            "constant_bytes": self.constant_bytes,
            "metadata": dict(self.metadata),
            "facts": dict(self.facts),
            "findings": [vars(f) for f in self.findings],
        }


def _plain(row: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(row).items()}


def _grid_json(grid: Grid | None) -> dict[str, Any] | None:
    return None if grid is None else grid.to_json() | {"block": grid.block}
