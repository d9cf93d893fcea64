"""How an ``.mnn`` file holds rounded weights, and putting the graph's own in the place of those that MNN's converter rounded itself.

A coded weight (``IDSTQuan`` of type 1) is a header with the shape (rows, columns), the list of all integers of its width, and for each
element the number of its integer there, highest bits first; scales are beside it, one for each row or block of a row. MNN's converter
finds scales of its own from the largest weight of each; lengths do not depend on them, so a file can be corrected where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from flatbuffers import number_types

from edgekit.errors import ConversionError
from edgekit_converters.mnn.flat import Table
from edgekit_converters.mnn.schema import Coded, Coding, Convolution2D, Net, Op, Parameters


@dataclass(frozen=True)
class Weight:
    """A rounded weight.

    Attributes:
        steps: Its integers, int8, shape (rows, columns).
        scales: float32, flat: of each row, or of each block of each row.
        bits: Width of the integers.
        module: Path of the user's module.
    """

    steps: np.ndarray
    scales: np.ndarray
    bits: int
    module: str = ""

    @property
    def values(self) -> np.ndarray:
        """What it stands for, float32."""
        return reals(self.steps, self.scales)


def corrected(content: bytes, weights: Mapping[str, Weight]) -> bytes:
    """The file with these weights.

    Args:
        content: A file whose operators have coded weights of the same shapes and widths.
        weights: By the name of the operator; operators that share a weight with another have none of their own.

    Raises:
        ConversionError: A weight is stored in another shape or width.
    """
    result = bytearray(content)
    for name, coded in coded_weights(content):
        if name in weights:
            weight = weights[name]
            for field, data in ((Coded.BUFFER, encode(weight)), (Coded.SCALES, weight.scales.astype("<f4").tobytes())):
                start, stop = coded.span(field, 4 if field == Coded.SCALES else 1)
                if stop - start != len(data):
                    raise ConversionError(
                        f"MNN's converter stored the weight of {name!r} in {stop - start} bytes, not {len(data)}",
                        module=weight.module or None,
                        next_step="report this as a defect",
                    )
                result[start:stop] = data
    return bytes(result)


def coded_weights(content: bytes) -> list[tuple[str, Table]]:
    """The names of operators whose weight is coded as integers, and its table."""
    found = []
    for op in Table.root(content).tables(Net.OPS):
        convolution = parameters(op, Parameters.CONVOLUTION2D)
        coded = None if convolution is None else convolution.table(Convolution2D.CODED)
        if coded is not None and coded.integer(Coded.TYPE) == Coding.INDEXED:
            found.append((op.text(Op.NAME), coded))
    return found


def parameters(op: Table, member: Parameters) -> Table | None:
    """An operator's parameters, if they are of this kind."""
    return op.table(Op.PARAMETERS) if op.scalar(Op.PARAMETERS_TYPE, number_types.Uint8Flags) == member else None


def encode(weight: Weight) -> bytes:
    """The buffer of a coded weight."""
    rows, columns = weight.steps.shape
    half = 2 ** (weight.bits - 1)
    sizes = np.array([rows, columns], "<u2" if max(rows, columns) < 2**16 else "<u4")
    known = np.arange(-half, half).astype(np.int8)
    numbers = (weight.steps.astype(np.int16) + half).astype(np.uint8).ravel()
    bits = (numbers[:, None] >> np.arange(weight.bits - 1, -1, -1, dtype=np.uint8)) & 1
    return bytes([2]) + sizes.tobytes() + bytes([len(known) % 256]) + known.tobytes() + np.packbits(bits.ravel()).tobytes()


def reals(steps: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Integers times their scales, float32; `scales` are of each row, or of each block of each row."""
    blocks = steps.reshape(len(scales), -1).astype(np.float32) * scales[:, None].astype(np.float32)
    return blocks.reshape(steps.shape)


def decode(coded: Table) -> tuple[np.ndarray, np.ndarray]:
    """The integers of a coded weight, int8 of shape (rows, columns), and its scales.

    Raises:
        ValueError: The buffer contradicts itself.
    """
    buffer = coded.numbers(Coded.BUFFER, "u1")
    width = 4 if coded.scalar(Coded.WIDE, number_types.BoolFlags, False) else 2
    dims = int(buffer[0])
    shape = buffer[1 : 1 + dims * width].view("<u4" if width == 4 else "<u2").astype(int)
    rest = buffer[1 + dims * width :]
    known = rest[1 : 1 + (int(rest[0]) or 256)].view(np.int8)
    bits, count = max(len(known) - 1, 1).bit_length(), int(np.prod(shape))
    stream = np.unpackbits(rest[1 + len(known) :])
    if dims != 2 or len(stream) < bits * count:
        raise ValueError("a coded weight is cut short")
    numbers = stream[: bits * count].reshape(count, bits) @ (1 << np.arange(bits - 1, -1, -1))
    return known[numbers].reshape(shape), coded.numbers(Coded.SCALES, "<f4")
