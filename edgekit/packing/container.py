"""The pack format: files as one stream of bytes, coded segment by segment, with a digest.

    "EKP1"                                  4 bytes
    sha256 of the plain stream              32 bytes
    size of the plain stream                varint, 1 or more
    size of the rest                        varint
    size of the rest's payload, payload     varint, a raw DEFLATE stream (RFC 1951); of a rest of 0 bytes, nothing
    then, until the plain stream is complete, segments:
        method                              1 byte
        size of its plain bytes             varint, 1 to 2**24 (of a Zstandard segment: everything)
        size of its payload, payload        varint, bytes; not of the method `REST`

`REST`: the next bytes of the rest, the solid stream of all that is not numbers. `STORED`: as they are. `ELEMENTS`: entropy-coded
numbers (`edgekit.packing.elements`). `ZSTANDARD`: one frame of everything (RFC 8878), where that is smaller than all else.

The plain stream is an index (`edgekit.packing.members`) and the files. A varint has 7 bits a byte, the least significant first; the
highest bit says that another byte follows. Sizes are less than 2**32.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
import zstandard

from edgekit.errors import UsageError
from edgekit.packing import elements
from edgekit.packing.bits import Damaged
from edgekit.packing.segments import LARGEST, Stretch, segments
from edgekit.progress import track

MAGIC = b"EKP1"
REST, STORED, ELEMENTS, ZSTANDARD = range(4)
METHODS = {REST: "DEFLATE", STORED: "stored", ELEMENTS: "Huffman codes", ZSTANDARD: "Zstandard"}
LEVEL = 19
"""Zstandard's, whose size no pack exceeds."""

MOST_BYTES = (1 << 32) - 1

_TRUST = (1.0, 0.8, 0.6, 0.4)
"""What DEFLATE takes in one stream is less than what was told of single blocks by about such a factor; the best is found by trying."""


@dataclass(frozen=True)
class Encoded:
    """A pack in memory.

    Attributes:
        data: The file.
        methods: Plain bytes by method.
    """

    data: bytes
    methods: dict[int, int]


def encode(plain: bytes, starts: list[int], *, portable: bool = False) -> Encoded:
    """Pack a stream of bytes.

    Args:
        plain: At least one byte.
        starts: Where its parts begin; the first is 0.
        portable: Whether Zstandard is left out, for decoders that have none.
    """
    data = np.frombuffer(plain, np.uint8)
    choices = [_Choice.of(stretch, data) for stretch in track("packing", segments(data, starts))]
    head = MAGIC + hashlib.sha256(plain).digest() + varint(len(plain))
    coded, methods = min((_joined(choices, trust) for trust in _TRUST), key=lambda result: len(result[0]))
    if not portable:
        frame = zstandard.ZstdCompressor(level=LEVEL).compress(plain)
        whole = varint(0) + varint(0) + _head(ZSTANDARD, len(plain)) + varint(len(frame)) + frame
        if len(whole) < len(coded):
            coded, methods = whole, {ZSTANDARD: len(plain)}
    return Encoded(head + coded, methods)


@dataclass(frozen=True)
class _Choice:
    """How a stretch of bytes can be coded on its own.

    Attributes:
        plain: The bytes.
        method: The better of `STORED` and `ELEMENTS`.
        payload: In that method.
        deflated: Bytes that it takes in a stream of rests, about.
    """

    plain: bytes
    method: int
    payload: bytes
    deflated: float

    @classmethod
    def of(cls, stretch: Stretch, data: np.ndarray) -> _Choice:
        plain = data[stretch.start : stretch.end]
        coded = elements.best(plain)
        if coded is None or coded[0] >= 8 * len(plain):
            return cls(plain.tobytes(), STORED, plain.tobytes(), stretch.deflated / 8)
        return cls(plain.tobytes(), ELEMENTS, elements.encode(coded[1]), stretch.deflated / 8)

    def part(self, trust: float) -> tuple[int, bytes, bytes]:
        """Method, plain bytes and payload."""
        if trust * self.deflated < len(self.payload) + 1:
            return REST, self.plain, b""
        return self.method, self.plain, self.payload


def _joined(choices: list[_Choice], trust: float) -> tuple[bytes, dict[int, int]]:
    """A pack behind its head, and the plain bytes of each method."""
    parts: list[tuple[int, bytes, bytes]] = []
    for method, plain, payload in (choice.part(trust) for choice in choices):
        if parts and parts[-1][0] == method == REST and len(parts[-1][1]) + len(plain) <= LARGEST:
            parts[-1] = REST, parts[-1][1] + plain, b""
        else:
            parts.append((method, plain, payload))
    rest = b"".join(plain for method, plain, _ in parts if method == REST)
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    stream = coder.compress(rest) + coder.flush() if rest else b""
    segments = [_head(m, len(plain)) + (b"" if m == REST else varint(len(payload)) + payload) for m, plain, payload in parts]
    methods = {m: sum(len(plain) for method, plain, _ in parts if method == m) for m in METHODS}
    return varint(len(rest)) + varint(len(stream)) + stream + b"".join(segments), {m: size for m, size in methods.items() if size}


def _head(method: int, length: int) -> bytes:
    return bytes([method]) + varint(length)


def decode(pack: bytes, *, limit: int = MOST_BYTES) -> bytes:
    """The plain stream of a pack.

    Args:
        pack: Anything; it is not trusted.
        limit: Plain bytes that are too many.

    Raises:
        UsageError: It is no pack, it is damaged, or its content is larger than `limit`.
    """
    plain = decode_unchecked(pack, limit=limit)
    if hashlib.sha256(plain).digest() != pack[len(MAGIC) : len(MAGIC) + 32]:
        raise Damaged("its content has another sha256 than it says")
    return plain


def decode_unchecked(pack: bytes, *, limit: int = MOST_BYTES) -> bytes:
    """As `decode`, whatever the digest."""
    if pack[: len(MAGIC)] != MAGIC:
        raise UsageError("this is no pack", accepted="a file made by `edgekit pack`")
    view = memoryview(pack)
    size, position = take_varint(view, len(MAGIC) + 32)
    if not size:
        raise Damaged("it is empty")
    if size > limit:
        raise UsageError(f"the pack says that it holds {size:,} bytes", accepted=f"up to {limit:,}", next_step="--limit, if you trust it")
    rest_size, position = take_varint(view, position)
    payload, position = _take_payload(view, position)
    rest = memoryview(_rest(payload, rest_size, size))
    plain = bytearray()
    while len(plain) < size:
        if position >= len(view):
            raise Damaged("it ends too early")
        method = view[position]
        length, position = take_varint(view, position + 1)
        if not 0 < length <= size - len(plain):
            raise Damaged("a segment has more bytes than are left")
        if length > LARGEST and method != ZSTANDARD:
            raise Damaged("a segment is too large")
        if method == REST:
            if length > len(rest):
                raise Damaged("a segment has more bytes than are left of the rest")
            plain += rest[:length]
            rest = rest[length:]
            continue
        payload, position = _take_payload(view, position)
        plain += _decoded(method, payload, length, whole=length == size)
    if position != len(pack) or len(rest) or len(plain) != size:
        raise Damaged("there is more behind its end")
    return bytes(plain)


def varint(value: int) -> bytes:
    """A number as 1 to 5 bytes."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    return bytes([*(g | 0x80 for g in groups[:-1]), groups[-1]])


def take_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """The number at a position, and the position behind it.

    Raises:
        Damaged: There is none of less than 2**32.
    """
    value = 0
    for i, byte in enumerate(data[position : position + 5]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80 and value <= MOST_BYTES:
            return value, position + i + 1
    raise Damaged("a size is missing or too large")


def _take_payload(view: memoryview, position: int) -> tuple[memoryview, int]:
    """Payload, and the position behind it."""
    size, behind = take_varint(view, position)
    if size > len(view) - behind:
        raise Damaged("it ends too early")
    return view[behind : behind + size], behind + size


def _decoded(method: int, payload: memoryview, length: int, *, whole: bool) -> bytes | memoryview:
    if method == STORED and len(payload) == length:
        return payload
    if method == ELEMENTS:
        return elements.decode(payload, length).tobytes()
    if method == ZSTANDARD and whole:
        return _zstandard(payload, length)
    raise Damaged(f"a segment has method {method}, or a size that it cannot have")


def _rest(payload: memoryview, length: int, size: int) -> bytes:
    if length > size:
        raise Damaged("it says to hold more of the rest than of everything")
    if not length and len(payload):
        raise Damaged("it codes no bytes with some")
    return _inflated(payload, length) if length else b""


def _inflated(payload: memoryview, length: int) -> bytes:
    coder = zlib.decompressobj(-15)
    try:
        plain = coder.decompress(payload, length + 1)
    except zlib.error:
        raise Damaged("its rest is no DEFLATE stream") from None
    if len(plain) != length or not coder.eof or coder.unused_data:
        raise Damaged("its rest has another size than it says")
    return plain


def _zstandard(payload: memoryview, length: int) -> bytes:
    try:
        if zstandard.frame_content_size(payload) != length:
            raise Damaged("the Zstandard frame has another size than the pack says")
        coder = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        plain = coder.decompress(payload)
    except zstandard.ZstdError:
        raise Damaged("it holds no Zstandard frame") from None
    if len(plain) != length or not coder.eof or coder.unused_data:
        raise Damaged("the Zstandard frame has another size than the pack says")
    return plain
