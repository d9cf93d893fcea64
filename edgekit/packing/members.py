"""Which files a pack holds: the index at the beginning of the plain stream, and the files behind it.

kind                                1 byte: 0 a folder's files, 1 a single file
number of files                     varint
for each: length of its path, path  varint, UTF-8, a relative POSIX path
          its size                  varint
the files, one behind the other
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import UsageError
from edgekit.packing.bits import Damaged
from edgekit.packing.container import take_varint, varint

FOLDER, FILE = 0, 1


@dataclass(frozen=True)
class Members:
    """Files to pack, or that were packed.

    Attributes:
        single: Whether it is one file and not a folder.
        files: Path to content, sorted by path.
    """

    single: bool
    files: dict[str, bytes]

    def encode(self) -> tuple[bytes, list[int]]:
        """The plain stream, and where its parts begin.

        Raises:
            UsageError: A path could not be unpacked on every system.
        """
        index = bytes([FILE if self.single else FOLDER]) + varint(len(self.files))
        for path, content in self.files.items():
            if not is_safe(path):
                raise UsageError(f"{path!r} cannot be packed", accepted="names without \\ and :")
            name = path.encode()
            index += varint(len(name)) + name + varint(len(content))
        starts = [0]
        for content in (index, *self.files.values()):
            starts.append(starts[-1] + len(content))
        return b"".join([index, *self.files.values()]), sorted({start for start in starts if start < starts[-1]})

    @classmethod
    def decode(cls, plain: bytes) -> Members:
        """Inverse of `encode`.

        Raises:
            Damaged: The index is none, names a path twice or one outside of the folder, or does not fit the files.
        """
        kind, (count, position) = plain[0], take_varint(plain, 1)
        if kind not in (FOLDER, FILE) or (kind == FILE and count != 1):
            raise Damaged("its index is none")
        sizes: dict[str, int] = {}
        for _ in range(count):
            length, position = take_varint(plain, position)
            path, position = _text(plain[position : position + length], length), position + length
            size, position = take_varint(plain, position)
            if not is_safe(path) or path in sizes or (kind == FILE and "/" in path):
                raise Damaged(f"it holds a file {path!r}, which is no plain path or there already")
            sizes[path] = size
        files = {}
        for path, size in sizes.items():
            files[path], position = plain[position : position + size], position + size
        if position != len(plain):
            raise Damaged("its files are larger or smaller than its index says")
        return cls(kind == FILE, files)


def is_safe(path: str) -> bool:
    """Whether a path stays inside of the folder it is unpacked to, on every system."""
    return not any(c in path for c in "\\:\0") and all(part not in ("", ".", "..") for part in path.split("/"))


def _text(name: bytes, length: int) -> str:
    try:
        if len(name) == length:
            return name.decode()
    except UnicodeDecodeError:
        pass
    raise Damaged("a path is no text")
