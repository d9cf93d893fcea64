"""Messages on a line of bytes that may lose, add or change some: the form every board and its emulator speaks.

    +------+------+-----------------+---------+-------------------+
    | 0xE5 | 0x4B | length, u32 LE  | payload | CRC-32 of payload, u32 LE |
    +------+------+-----------------+---------+-------------------+

CRC-32 as in zlib and Ethernet (reflected, polynomial 0x04C11DB7). A reader looks for the two marks, so that boot messages and line noise
before a frame do no harm; a frame that fails its CRC is an error of the line, never silently skipped.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from edgekit.errors import DeviceFailed

MARK = b"\xe5\x4b"
MAX_PAYLOAD = 64 * 2**20
MAX_NOISE = 2**16
"""Bytes before the marks after which the line is taken for garbage."""


def encode(payload: bytes) -> bytes:
    """The frame of a payload."""
    return MARK + len(payload).to_bytes(4, "little") + payload + zlib.crc32(payload).to_bytes(4, "little")


def decode(read: Callable[[int], bytes]) -> bytes:
    """The payload of the next frame.

    Args:
        read: Gives exactly so many bytes, or raises when time is up.

    Raises:
        DeviceFailed: Noise without a frame, a length no frame has, or a wrong CRC.
    """
    seen, noise = read(2), 0
    while seen != MARK:
        noise += 1
        if noise > MAX_NOISE:
            raise DeviceFailed(f"the line carries garbage: {noise} bytes without a frame", next_step="check the baud rate and the firmware")
        seen = seen[1:] + read(1)
    length = int.from_bytes(read(4), "little")
    if length > MAX_PAYLOAD:
        raise DeviceFailed(f"the line carries garbage: a frame of {length} bytes", accepted=f"at most {MAX_PAYLOAD}")
    payload, checksum = read(length), int.from_bytes(read(4), "little")
    if zlib.crc32(payload) != checksum:
        raise DeviceFailed(f"a frame of {length} bytes arrived damaged", next_step="check the cable and the baud rate")
    return payload
