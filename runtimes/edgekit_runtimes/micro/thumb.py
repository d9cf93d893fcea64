"""Which class a Thumb instruction is of: thumb.h in Python, for the emulator that has no plugins. A test holds the two together."""

from __future__ import annotations

LOAD, STORE, BRANCH, SIMD, MULTIPLY, DIVIDE = CLASSES = ("load", "store", "branch", "simd", "multiply", "divide")
"""In the order of thumb.h, after the total."""
MARKS = {0x46DB: 0, 0x46E4: 1, 0x46D2: 2}
"""Instructions that do nothing: ``mov r11, r11`` begins, ``mov r12, r12`` ends, ``mov r10, r10`` ends an operator."""


def is_wide(half: int) -> bool:
    """Whether an instruction that begins with this half-word has another."""
    return half >> 11 in (0b11101, 0b11110, 0b11111)


def classes_of(half: int, second: int) -> tuple[str, ...]:
    """The classes of an instruction, by its half-words."""
    return _wide(half, second) if is_wide(half) else _narrow(half)


def _narrow(h: int) -> tuple[str, ...]:  # noqa: PLR0911 - a return for each row of the manual
    top, memory = h >> 12, LOAD if h >> 11 & 1 else STORE
    if h >> 11 == 0x09:
        return (LOAD,)
    if top == 5:
        return (STORE if (h >> 9 & 7) < 3 else LOAD,)
    if top in (6, 7, 8, 9, 12):
        return (memory,)
    if h & 0xFE00 == 0xB400:
        return (STORE,)
    if h & 0xFE00 == 0xBC00:
        return (LOAD, BRANCH) if h >> 8 & 1 else (LOAD,)
    if top == 13 or h >> 11 == 0x1C or h & 0xFF00 == 0x4700 or h & 0xF500 == 0xB100:
        return (BRANCH,)
    return (MULTIPLY,) if h & 0xFFC0 == 0x4340 else ()


def _wide(h: int, k: int) -> tuple[str, ...]:  # noqa: PLR0911 - likewise
    op1, op2, memory = h >> 11 & 3, h >> 4 & 0x7F, LOAD if h >> 4 & 1 else STORE
    if op1 == 1:
        return _wide_memory(h, k, op2, memory)
    if op1 == 2:
        return (BRANCH,) if k & 0x8000 and (k & 0x5000 or op2 & 0x38 != 0x38) else ()
    if op2 & 0x40:
        return (SIMD,)
    if op2 & 0x71 == 0:
        return (STORE,)
    if op2 & 0x60 == 0:
        return (LOAD,)
    if op2 & 0x78 == 0x30:
        return (MULTIPLY,)
    if op2 & 0x78 == 0x38:
        return (DIVIDE,) if op2 & 7 in (1, 3) and k & 0xF0 == 0xF0 else (MULTIPLY,)
    return ()


def _wide_memory(h: int, k: int, op2: int, memory: str) -> tuple[str, ...]:
    if h & 0xFFF0 == 0xE8D0 and k & 0xFFE0 == 0xF000:
        return (LOAD, BRANCH)
    if not op2 & 0x40:
        return () if op2 & 0x60 == 0x20 else (memory,)
    return (SIMD, memory) if h & 0xFE00 == 0xEC00 and op2 & 0x3E != 4 else (SIMD,)
