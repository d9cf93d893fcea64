"""`pack` and `unpack`: an artifact as one small file for the download, and back, byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import artifact, staging
from edgekit.errors import UsageError
from edgekit.packing import container
from edgekit.packing.members import Members

SUFFIX = ".ekpack"
DECODER = Path(__file__).parent / "native" / "edgekit_unpack.c"
"""The decoder in C99, for apps and firmware."""

LIMIT = 1 << 31
"""Bytes that a pack may hold unless its reader says otherwise: a few of them can claim gigabytes."""


@dataclass(frozen=True)
class Packed:
    """A pack.

    Attributes:
        path: The file.
        bytes: Its size.
        plain_bytes: Size of the files in it, together.
        digest: sha256 of its content, hex: what `unpack` can be told to expect.
        methods: By coding, how many of the plain bytes are in it. ``Zstandard`` means that the coding of our own was larger.
        files: Path to size.
    """

    path: Path
    bytes: int
    plain_bytes: int
    digest: str
    methods: Mapping[str, int]
    files: Mapping[str, int]

    @property
    def ratio(self) -> float:
        """How many times smaller the pack is."""
        return self.plain_bytes / self.bytes


def pack(source: str | Path, out: str | Path | None = None, *, overwrite: bool = False, portable: bool = False) -> Packed:
    """Write an artifact, or a model file of any origin, as one file for the download.

    It is lossless, and no larger than ``zstd -19`` of a tar of the same folder: where the coding of our own would be, the pack
    holds Zstandard's.

    Args:
        source: An artifact's folder, which is checked against its manifest first; a Core ML package; or a single file.
        out: The file to write; by default the source's name and `SUFFIX`, beside it.
        overwrite: Whether an existing file is replaced.
        portable: Never use Zstandard, so that `DECODER` alone reads the pack.

    Raises:
        UsageError: There is no such source, it is no unaltered artifact, it is empty or too large, or `out` exists or cannot be written.
    """
    source = Path(source)
    if source.name in ("", ".."):
        source = source.resolve()
    destination = Path(out) if out is not None else source.with_name(f"{source.name}{SUFFIX}")
    if destination.exists() and not overwrite:
        raise UsageError(f"{destination} exists already", next_step="choose another file, or --force (overwrite=True)")
    members = _read(source)
    plain, starts = members.encode()
    if len(plain) > container.MOST_BYTES:
        raise UsageError(f"{source} has {len(plain):,} bytes", accepted=f"up to {container.MOST_BYTES:,}")
    encoded = container.encode(plain, starts, portable=portable)
    staging.write_file(destination, encoded.data)
    return _packed(destination, encoded, members, hashlib.sha256(plain).hexdigest())


def unpack(
    source: str | Path, out: str | Path | None = None, *, overwrite: bool = False, digest: str | None = None, limit: int = LIMIT
) -> Path:
    """Write the files of a pack, exactly as they were.

    Args:
        source: A file made by `pack`. It is not trusted.
        out: The folder, or the file where a single file was packed; by default the pack's path without its suffix.
        overwrite: Whether an artifact, or a single file, that is there already is replaced.
        digest: The sha256 that the content must have, as `pack` said; None to accept any content that is undamaged.
        limit: Bytes of content that are too many.

    Raises:
        UsageError: It cannot be read, is no pack, is damaged, holds other content than `digest` says or more than `limit` bytes, or
            `out` exists or cannot be written.
    """
    source = Path(source)
    destination = Path(out) if out is not None else _without_suffix(source)
    plain = container.decode(_content(source), limit=limit)
    if digest is not None and hashlib.sha256(plain).hexdigest() != digest.lower():
        raise UsageError(f"{source} holds other content than was asked for", accepted=f"content of sha256 {digest}")
    members = Members.decode(plain)
    if members.single:
        if destination.is_dir() or (destination.exists() and not overwrite):
            raise UsageError(f"{destination} exists already", next_step="choose another file, or --force (overwrite=True)")
        staging.write_file(destination, next(iter(members.files.values())))
        return destination
    with artifact.creating(destination, overwrite=overwrite) as folder:
        for name, content in members.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return destination


def _packed(path: Path, encoded: container.Encoded, members: Members, digest: str) -> Packed:
    sizes = {name: len(content) for name, content in members.files.items()}
    methods = {container.METHODS[method]: size for method, size in encoded.methods.items()}
    return Packed(path, len(encoded.data), sum(sizes.values()), digest, methods, sizes)


def _without_suffix(source: Path) -> Path:
    if source.suffix != SUFFIX:
        raise UsageError(f"{source.name} does not end in {SUFFIX}, so there is no name to unpack to", next_step="say where: --out")
    return source.with_suffix("")


def _read(source: Path) -> Members:
    """The files to pack.

    Raises:
        UsageError: There are none, one is a link, or an artifact's do not fit its manifest.
    """
    if not source.is_dir():
        return Members(True, {source.name: _content(source)})
    if _claims_to_be_an_artifact(source):
        artifact.Artifact.load(source)
    paths = sorted(source.rglob("*"))
    if links := [path for path in paths if path.is_symlink()]:
        raise UsageError(f"{links[0]} is a symbolic link", accepted="files and folders")
    files = {path.relative_to(source).as_posix(): _content(path) for path in paths if not path.is_dir()}
    if not files:
        raise UsageError(f"{source} is empty", accepted="a folder made by `edgekit convert`, or a model file")
    return Members(False, dict(sorted(files.items())))


def _claims_to_be_an_artifact(folder: Path) -> bool:
    """Whether there is a manifest of our schema, of any version."""
    try:
        document = json.loads((folder / artifact.MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and str(document.get("schema", "")).startswith("edgekit.artifact/")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
