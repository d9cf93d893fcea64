"""The boards that can be emulated, and the firmware built for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit_runtimes import _compiling

FOLDER = Path(__file__).parent
COMPILER, PACKAGE = "arm-none-eabi-gcc", "gcc-arm-none-eabi"
_MIB = 1 << 20


@dataclass(frozen=True)
class EmulatedBoard:
    """One of Arm's prototyping boards.

    Attributes:
        cpu: ``cortex-m4``.
        machine: QEMU's name of the board.
        title: For people.
        architecture: ``armv7e-m``.
        code_at: Where it starts, and the firmware lies.
        ram_at: Where its memory for everything else begins.
        uart: Address of its serial port,
        uart_irq: and the interrupt it raises when a byte has come.
        flags: Further flags of the compiler.
        unicorn: Name of Unicorn's model of the core, or None where it has none.
    """

    cpu: str
    machine: str
    title: str
    architecture: str
    code_at: int = 0x0000_0000
    ram_at: int = 0x2000_0000
    uart: int = 0x4000_4000
    uart_irq: int = 0
    flags: tuple[str, ...] = ()
    unicorn: str | None = None

    code_bytes = _MIB // 2
    ram_bytes = 4 * _MIB
    plan_bytes = 2 * _MIB
    arena_bytes = 3 * _MIB // 2
    input_bytes = _MIB // 4
    clock_hz = 25_000_000
    """What the boards' FPGA images run at; an emulator has no clock."""

    def firmware(self) -> Path:
        """The firmware for it, built once and kept.

        Raises:
            DeviceUnavailable: The compiler is not installed.
        """
        text = {"PORT_CORE": self.cpu, "PORT_BOARD": self.machine, "PORT_CLOCK_HZ": str(self.clock_hz)}
        numbers = {
            "UART": self.uart,
            "UART_IRQ": self.uart_irq,
            "PLAN_BYTES": self.plan_bytes,
            "ARENA_BYTES": self.arena_bytes,
            "INPUT_BYTES": self.input_bytes,
        }
        symbols = {"CODE_AT": self.code_at, "CODE_BYTES": self.code_bytes, "RAM_AT": self.ram_at, "RAM_BYTES": self.ram_bytes}
        flags = (
            f"-mcpu={self.cpu}",
            *("-mthumb", "-O2", "-std=gnu17", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-nostdlib"),
            *self.flags,
            *(f'-D{name}="{value}"' for name, value in text.items()),
            *(f"-D{name}={value}" for name, value in numbers.items()),
            "-Wl," + ",".join(f"--defsym={name}={value:#x}" for name, value in symbols.items()),
            *("-T", str(FOLDER / "board.ld")),
        )
        return _compiling.compiled(FOLDER / "firmware.c", COMPILER, flags, name="firmware.elf", package=PACKAGE, libraries=("-lgcc",))


BOARDS: dict[str, EmulatedBoard] = {
    board.cpu: board
    for board in (
        EmulatedBoard("cortex-m3", "mps2-an385", "MPS2 with AN385", "armv7-m", unicorn="UC_CPU_ARM_CORTEX_M3"),
        EmulatedBoard("cortex-m4", "mps2-an386", "MPS2 with AN386", "armv7e-m", unicorn="UC_CPU_ARM_CORTEX_M4"),
        EmulatedBoard("cortex-m7", "mps2-an500", "MPS2 with AN500", "armv7e-m", unicorn="UC_CPU_ARM_CORTEX_M7"),
        EmulatedBoard(
            "cortex-m33", "mps2-an505", "MPS2 with AN505", "armv8-m.main", 0x1000_0000, 0x3800_0000, 0x5020_0000, 32,
            unicorn="UC_CPU_ARM_CORTEX_M33",
        ),
        EmulatedBoard(
            "cortex-m55", "mps3-an547", "MPS3 with AN547", "armv8.1-m.main", 0x0000_0000, 0x7000_0000, 0x5930_3000, 33,
            ("-mfloat-abi=softfp", "-O3"),
        ),
    )
}  # fmt: skip
"""By name of the core."""
