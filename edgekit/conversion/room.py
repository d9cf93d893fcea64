"""Whether a written file fits the memories of a device that has little of them."""

from __future__ import annotations

from pathlib import Path

from edgekit.conversion.running import request
from edgekit.errors import ConversionError
from edgekit.plugins import Runtime
from edgekit.targets import Target


def check_room(target: Target, model: Path, runtime: Runtime) -> None:
    """Compare the file with the target's flash, and the arena its runtime needs with the target's RAM.

    Raises:
        ConversionError: It does not fit; the message has the numbers.
    """
    size = model.stat().st_size
    if target.flash_bytes is not None and size > target.flash_bytes:
        raise _too_large(target, "model", size, "flash", target.flash_bytes)
    if target.ram_bytes is None:
        return
    arena = runtime.inspect(request(model)).get("arena_bytes")
    if arena is not None and arena > target.ram_bytes:
        raise _too_large(target, "arena", arena, "RAM", target.ram_bytes)


def _too_large(target: Target, what: str, size: int, memory: str, room: int) -> ConversionError:
    key = {"flash": "flash_bytes", "RAM": "ram_bytes"}[memory]
    smaller = "prune or shrink the model" if memory == "flash" else "make inputs or the widest layers smaller"
    return ConversionError(
        f"the {what} takes {size:,} bytes, {size - room:,} more than {target.name} has {memory} for",
        accepted=f"{room:,} bytes of {memory} ({key} of the target)",
        next_step=f"{smaller}, or copy edgekit/targets/{target.name}.toml, write your part's {key} and use --target ./my-board.toml",
    )
