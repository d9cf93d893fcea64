import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.devices.framing import MARK, MAX_NOISE, decode, encode
from edgekit.errors import DeviceFailed

PAYLOADS = st.binary(max_size=300)


class Ended(Exception):
    pass


def reader(data):
    stream = io.BytesIO(data)

    def read(count):
        got = stream.read(count)
        if len(got) < count:
            raise Ended
        return got

    return read


@given(PAYLOADS, st.binary(max_size=50), st.binary(max_size=20))
def test_what_is_sent_arrives_whatever_stands_before_and_after(payload, noise, rest):
    if MARK in noise + MARK[:1]:
        return  # a frame that noise pretends to begin is the next test's
    assert decode(reader(noise + encode(payload) + rest)) == payload


@given(PAYLOADS, st.data())
def test_a_changed_byte_is_noticed(payload, data):
    frame = bytearray(encode(payload))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((DeviceFailed, Ended)):
        decode(reader(bytes(frame)))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_frame_or_an_error(data):
    try:
        payload = decode(reader(data))
    except (DeviceFailed, Ended):
        return
    assert encode(payload) in data


def test_the_frame_is_the_documented_one():
    assert encode(b"abc") == b"\xe5\x4b" + b"\x03\0\0\0" + b"abc" + zlib.crc32(b"abc").to_bytes(4, "little")


def test_endless_noise_is_given_up():
    with pytest.raises(DeviceFailed, match="garbage"):
        decode(reader(bytes(MAX_NOISE + 10)))


def test_a_length_no_frame_has_is_not_waited_for():
    with pytest.raises(DeviceFailed, match="garbage"):
        decode(reader(MARK + b"\xff\xff\xff\xff"))
