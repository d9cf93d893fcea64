"""Whether a written file fits the memories of a device that has little of them."""

from __future__ import annotations

from pathlib import Path

from edgekit.conversion.running import request
from edgekit.errors import ConversionError
from edgekit.plugins import Runtime
from edgekit.targets import Target


class NoRoom(ConversionError):
    """A file that is right, and too large for the device.

    Args:
        memory: ``flash`` or ``RAM``.
        room: Bytes of it there are.
    """

    def __init__(self, message: str, *, memory: str, room: int, accepted: str, next_step: str) -> None:
        self.memory, self.room = memory, room
        super().__init__(message, accepted=accepted, next_step=next_step)


def check_room(target: Target, model: Path, runtime: Runtime) -> None:
    """Compare the file with the target's flash, and the arena its runtime needs with the target's RAM.

    Raises:
        NoRoom: It does not fit; the message has the numbers.
    """
    size = model.stat().st_size
    if target.flash_bytes is not None and size > target.flash_bytes:
        raise _too_large(target, "model", size, "flash", target.flash_bytes)
    if target.ram_bytes is None:
        return
    arena = runtime.inspect(request(model)).get("arena_bytes")
    if arena is not None and arena > target.ram_bytes:
        raise _too_large(target, "arena", arena, "RAM", target.ram_bytes)


def _too_large(target: Target, what: str, size: int, memory: str, room: int) -> NoRoom:
    key = {"flash": "flash_bytes", "RAM": "ram_bytes"}[memory]
    return NoRoom(
        f"the {what} takes {size:,} bytes, {size - room:,} more than {target.name} has {memory} for",
        memory=memory,
        room=room,
        accepted=f"{room:,} bytes of {memory} ({key} of the target)",
        next_step="prune it until it fits (--fit, with --recover to train back what that costs), or copy "
        f"edgekit/targets/{target.name}.toml, write your part's {key} and use --target ./my-board.toml",
    )
