import hashlib
import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import UsageError
from edgekit.packing import container
from edgekit.packing.bits import Damaged
from edgekit.packing.container import decode, decode_unchecked, encode, varint
from edgekit.testing.packs import clustered_weights, int8_weights, plain_streams, text

STREAMS = plain_streams()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("portable", [False, True])
def test_a_stream_comes_back(name, portable):
    encoded = encode(STREAMS[name], [0], portable=portable)
    assert decode(encoded.data) == STREAMS[name]
    assert sum(encoded.methods.values()) == len(STREAMS[name])


@settings(max_examples=15)
@given(st.lists(st.binary(min_size=1, max_size=200) | st.sampled_from(list(STREAMS.values())), min_size=1, max_size=4))
def test_any_parts_come_back(parts):
    starts = np.cumsum([0, *map(len, parts[:-1])]).tolist()
    plain = b"".join(parts)
    assert decode(encode(plain, starts, portable=True).data) == plain


def test_weights_between_structure_are_found():
    """Nothing says where they are; each coding gets what it is best at."""
    rng = np.random.default_rng(0)
    parts = [text(3000), int8_weights(30_000, rng), text(2000), clustered_weights(10_000, rng, 0.1), rng.bytes(20_000), text(3000)]
    methods = encode(b"".join(parts), [0], portable=True).methods
    assert methods[container.ELEMENTS] == pytest.approx(70_000, rel=0.02)
    assert methods[container.STORED] == pytest.approx(20_000, rel=0.05)
    assert methods[container.REST] == pytest.approx(8000, rel=0.2)


def test_large_segments_are_split(monkeypatch):
    monkeypatch.setattr(container, "LARGEST", 1 << 12)
    monkeypatch.setattr("edgekit.packing.segments.LARGEST", 1 << 12)
    plain = int8_weights(20_000, np.random.default_rng(0)) + STREAMS["text"] * 9
    assert decode(encode(plain, [0], portable=True).data) == plain


@pytest.mark.parametrize("name", ["noise", "text", "one byte", "dense"])
def test_it_is_never_larger_than_zstandard_but_for_the_head(name):
    plain = STREAMS[name]
    frame = zstandard.ZstdCompressor(level=19).compress(plain)
    assert len(encode(plain, [0]).data) <= len(frame) + 36 + len(varint(len(plain))) + 12


def test_zstandard_is_named_where_it_is_smaller():
    plain = b"".join(hashlib.sha256(bytes([i])).digest() * 100 for i in range(3)) + np.random.default_rng(0).bytes(33_000) * 2
    encoded = encode(plain, [0])
    assert encoded.methods == {container.ZSTANDARD: len(plain)}
    assert decode(encoded.data) == plain
    assert container.ZSTANDARD not in encode(plain, [0], portable=True).methods


@pytest.mark.parametrize("portable", [False, True])
def test_every_truncation_is_refused(portable):
    pack = encode(STREAMS["model"], [0], portable=portable).data
    for size in range(len(pack)):
        with pytest.raises(UsageError):
            decode(pack[:size])
    with pytest.raises(Damaged, match="behind its end"):
        decode(pack + b"\0")


def test_every_altered_byte_is_noticed():
    pack = encode(STREAMS["text"] + STREAMS["clustered"], [0], portable=True).data
    for i in range(len(pack)):
        with pytest.raises(UsageError):
            decode(pack[:i] + bytes([pack[i] ^ 0x55]) + pack[i + 1 :])


def made(size, *behind):
    """A pack of parts: a right head, then `behind`."""
    return container.MAGIC + bytes(32) + varint(size) + b"".join(behind)


NOTHING = varint(0) * 2


@pytest.mark.parametrize(
    ("pack", "why"),
    [
        (made(0, NOTHING), "empty"),
        (made(5, NOTHING), "too early"),
        (made(5, varint(6), varint(0)), "more of the rest"),
        (made(5, varint(0), varint(1), b"x"), "codes no bytes"),
        (made(5, NOTHING, bytes([container.REST]), varint(5)), "left of the rest"),
        (made(5, NOTHING, bytes([container.STORED]), varint(6), varint(6), b"123456"), "than are left"),
        (made(5, NOTHING, bytes([container.STORED]), varint(0), varint(0)), "than are left"),
        (made(5, NOTHING, bytes([container.STORED]), varint(5), varint(4), b"1234"), "cannot have"),
        (made(5, NOTHING, bytes([9]), varint(5), varint(5), b"12345"), "method 9"),
        (made(5, NOTHING, bytes([container.ZSTANDARD]), varint(4), varint(1), b"1"), "method 3"),
        (made(5, NOTHING, bytes([container.ZSTANDARD]), varint(5), varint(3), b"123"), "Zstandard"),
        (made(5, varint(5), varint(3), b"\x07\x07\x07"), "DEFLATE"),
        (made(1 << 30, NOTHING, bytes([container.STORED]), varint(1 << 25), varint(0)), "too large"),
        (container.MAGIC + bytes(32) + b"\xff\xff\xff\xff\xff", "size"),
    ],
)
def test_what_no_pack_says_is_refused(pack, why):
    with pytest.raises(UsageError, match=why):
        decode_unchecked(pack)


def test_a_claim_of_too_much_is_refused_before_it_is_believed():
    with pytest.raises(UsageError, match="up to 1,000"):
        decode(made(1001, NOTHING), limit=1000)


def test_a_frame_that_expands_further_than_it_says_is_stopped():
    frame = bytearray(zstandard.ZstdCompressor(level=19).compress(bytes(1 << 20)))
    assert frame[4] >> 6 == 2  # a content size of four bytes
    frame[5 + (not frame[4] >> 5 & 1) :][:4] = struct.pack("<I", 7)
    with pytest.raises(Damaged):
        decode_unchecked(made(7, NOTHING, bytes([container.ZSTANDARD]), varint(7), varint(len(frame)), bytes(frame)))


def test_other_files_are_no_packs():
    with pytest.raises(UsageError, match="no pack"):
        decode(b"TFL3 something")
