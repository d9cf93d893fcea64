"""Any firmware image on an emulated Cortex-M board: the user's own program, its marked stretches counted to the instruction.

The image marks what is to be counted by instructions that do nothing: ``mov r11, r11`` before, ``mov r12, r12`` after. It ends by
semihosting, which may read and write this machine's files: run images you trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from edgekit.counting import CountedRun
from edgekit.devices import Board, Machine, Transport
from edgekit.errors import DeviceFailed, UsageError
from edgekit.plugins import RunRequest, Runtime
from edgekit_runtimes.micro import marks
from edgekit_runtimes.micro.marks import ImageBoard


@dataclass(frozen=True)
class Elf:
    """Runs ``.elf`` images. `RunRequest.options` takes ``timeout`` (seconds, 600).

    Attributes:
        device: The emulated board; nothing runs without one.
    """

    name: str = "elf"
    formats: tuple[str, ...] = ("elf",)
    extra: str = "microcontrollers"
    device: Board | None = None
    kernels: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        """What runs is the image itself."""
        return "the image itself"

    def refusal(self, machine: Machine) -> str | None:
        """See `edgekit.devices.DeviceRuntime`."""
        return None

    def on(self, device: Transport | Board) -> Runtime:
        """See `edgekit.devices.DeviceRuntime`.

        Raises:
            UsageError: It is no emulated microcontroller.
        """
        if not isinstance(device, ImageBoard):
            raise UsageError(f"{device.address} does not run images", accepted="--on qemu:cortex-m4")
        return cast(Runtime, Elf(device=cast(Board, device)))

    def run(self, request: RunRequest, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """An image takes no inputs and gives no outputs."""
        raise UsageError("a firmware image has no inputs and outputs; edgekit profile counts its instructions")

    def inspect(self, request: RunRequest) -> dict[str, Any]:
        """Nothing is known of an image."""
        return {"inputs": [], "outputs": [], "ops": []}

    def count(self, request: RunRequest, inputs: Mapping[str, np.ndarray], invokes: int) -> CountedRun:
        """Count each marked stretch of the image; how many there are is the image's own affair.

        Raises:
            DeviceFailed: The image hangs, fails, or marks nothing.
        """
        if self.device is None:
            raise UsageError("a firmware image runs on an emulated board", accepted="--on qemu:cortex-m4")
        board = cast(ImageBoard, self.device)
        passed, _ = board.execute(request.model.resolve(), timeout=float(request.options.get("timeout", 600.0)))
        counted = marks.runs(passed)
        if not counted:
            raise DeviceFailed(
                f"{request.model.name} marks nothing to count", accepted='__asm volatile("mov r11, r11") before, "mov r12, r12" after'
            )
        reason = "an image has no operators"
        return CountedRun(tuple(run for run, _ in counted), str(self.device.machine().emulator), (), reason)


RUNTIME = Elf()
