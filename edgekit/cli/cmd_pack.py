"""`edgekit pack`: an artifact as one small file for the download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.tables import label_table
from edgekit.wording import plural

if TYPE_CHECKING:
    from edgekit.packing import Packed


@command("pack")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="File to write; by default SOURCE.ekpack.")
@click.option("--portable", is_flag=True, help="Never use Zstandard, so that the C decoder reads it without any library.")
@click.option("--decoder", type=click.Path(path_type=Path, dir_okay=False), help="Also write the decoder's C99 source there.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def pack(terminal: Terminal, source: Path, *, out: Path | None, portable: bool, decoder: Path | None, force: bool) -> None:
    """Pack SOURCE into one small file for the download; `edgekit unpack` restores it byte for byte.

    SOURCE is an artifact's folder, or a model file of any origin. Numbers are entropy-coded where they are few or often zero,
    so pruned and clustered weights shrink most. The pack is never larger than `zstd -19` of the same folder.

    \b
      edgekit pack build/model
      edgekit pack build/model --portable --decoder app/edgekit_unpack.c
    """
    from edgekit import staging

    with bars(terminal, f"packing {source}"):
        from edgekit import packing

        packed = packing.pack(source, out, overwrite=force, portable=portable)
        if decoder is not None:
            staging.write_file(decoder, packing.DECODER.read_bytes())
    if terminal.as_json:
        terminal.emit("edgekit.pack/1", _document(packed))
    else:
        terminal.show(label_table(_facts(packed)))


def _document(packed: Packed) -> dict[str, object]:
    return {
        "path": str(packed.path),
        "bytes": packed.bytes,
        "plain_bytes": packed.plain_bytes,
        "sha256": packed.digest,
        "methods": dict(packed.methods),
        "files": dict(packed.files),
    }


def _facts(packed: Packed) -> list[tuple[str, str]]:
    parts = sorted(packed.methods.items(), key=lambda item: -item[1])
    coded = ", ".join(f"{size:,} as they are" if method == "stored" else f"{size:,} in {method}" for method, size in parts)
    if "Zstandard" in packed.methods:
        coded += " (smaller here than edgekit's own coding; --portable keeps to that)"
    files = f"{plural(len(packed.files), 'file')}, {packed.plain_bytes:,} bytes"
    return [
        ("pack", f"{packed.path}, {packed.bytes:,} bytes: {packed.ratio:.2f} times smaller than what it holds"),
        ("holds", files),
        ("of these", coded),
        ("sha256", f"{packed.digest} (of the content)"),
    ]
