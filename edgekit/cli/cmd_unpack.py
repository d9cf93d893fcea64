"""`edgekit unpack`: the files of a pack, as they were."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command


@command("unpack")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder or file to write; by default PACK without .ekpack.")
@click.option("--sha256", "digest", help="Refuse content of another sha256 than this, which `edgekit pack` prints.")
@click.option("--limit", type=click.IntRange(1), help="Refuse content of more bytes; by default of more than 2 GiB.")
@click.option("--force", is_flag=True, help="Replace what is there, if it is an artifact or a single file.")
def unpack(terminal: Terminal, pack: Path, *, out: Path | None, digest: str | None, limit: int | None, force: bool) -> None:
    """Restore the files of PACK, a file made by `edgekit pack`, byte for byte.

    A pack that is truncated, altered, or names files outside of its folder is refused.

    \b
      edgekit unpack model.ekpack --out build/model
    """
    with bars(terminal, f"unpacking {pack}"):
        from edgekit import packing

        written = packing.unpack(pack, out, overwrite=force, digest=digest, limit=limit or packing.LIMIT)
    if terminal.as_json:
        terminal.emit("edgekit.unpack/1", {"path": str(written)})
    else:
        terminal.show(f"{written}")
