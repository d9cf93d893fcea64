"""Rules about how constants are stored."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator

from onnx import TensorProto

from edgekit_converters.tensorrt.index import Index
from edgekit_converters.tensorrt.violation import Violation, at, check

_SMALL = 1024
"""Bytes below which a second copy does not matter."""


@check
def float_weights(index: Index) -> Iterator[Violation]:
    """Rounded weights are stored as integers, once."""
    for node in (n for n in index.nodes if n.op_type == "QuantizeLinear"):
        tensor = index.constants.get(node.input[0])
        if tensor is not None and stored_bytes(tensor) >= _SMALL:
            yield at(
                index, node, "float weights", f"{stored_bytes(tensor):,} bytes of constant are stored as floats and rounded when loaded",
                "store the integers, with a DequantizeLinear only", refused=False,
            )  # fmt: skip


@check
def repeated(index: Index) -> Iterator[Violation]:
    """Equal constants are stored once."""
    copies: dict[bytes, list[str]] = defaultdict(list)
    sizes: dict[bytes, int] = {}
    for name, tensor in index.constants.items():
        if stored_bytes(tensor) >= _SMALL:
            plain = TensorProto()
            plain.CopyFrom(tensor)
            plain.ClearField("name")
            key = hashlib.sha256(plain.SerializeToString(deterministic=True)).digest()
            copies[key].append(name)
            sizes[key] = stored_bytes(tensor)
    for key, names in copies.items():
        if len(names) > 1:
            wasted = sizes[key] * (len(names) - 1)
            yield Violation("repeated", names[1], "", f"it repeats {names[0]!r}: {wasted:,} bytes", "let both readers share one", False)


def stored_bytes(tensor: TensorProto) -> int:
    """Bytes a constant takes in the file, whatever its dimensions claim."""
    return len(tensor.raw_data) or tensor.ByteSize()
