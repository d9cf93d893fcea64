"""Artifacts in few bytes, for the download: `pack` and `unpack`.

`container` is the file format, `segments` finds what is coded as numbers, `elements` and `huffman` code them over `bits`, `members` says
which files there are. ``native/edgekit_unpack.c`` decodes the same format in C99, without any library.
"""

from edgekit.packing.packing import DECODER, LIMIT, SUFFIX, Packed, pack, unpack

__all__ = ["DECODER", "LIMIT", "SUFFIX", "Packed", "pack", "unpack"]
