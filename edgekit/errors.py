"""Every error edgekit raises on purpose, and the exit code each one gives the command line.

One tree, drawn once: catch `EdgekitError` for all of them. A library's own exception never reaches
the user raw; it is translated where that library is called.
"""

from __future__ import annotations

from collections.abc import Sequence


class EdgekitError(Exception):
    """Base of all deliberate errors.

    Args:
        message: What was got and what is wrong with it, in one sentence.
        accepted: What would have been accepted instead.
        module: Path of the user's own module concerned (``layer3.2.conv1``).
        next_step: The command or edit that fixes it.
    """

    exit_code = 70

    def __init__(
        self,
        message: str,
        *,
        accepted: Sequence[str] | str | None = None,
        module: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.message = message
        self.accepted = accepted if accepted is None or isinstance(accepted, str) else ", ".join(accepted)
        self.module = module
        self.next_step = next_step
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message]
        if self.module:
            lines.append(f"  in your module: {self.module}")
        if self.accepted:
            lines.append(f"  accepted: {self.accepted}")
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        return "\n".join(lines)


class GateFailed(EdgekitError):
    """A threshold the user set was not met."""

    exit_code = 1


class UsageError(EdgekitError):
    """The call itself is wrong: an unknown name, a bad option, unreadable or unsuitable input."""

    exit_code = 2


class LoadError(UsageError):
    """The model cannot be read as given."""


class DataError(UsageError):
    """The calibration or test data cannot be used as given."""


class InvalidMeasurement(EdgekitError):
    """A measurement was taken and cannot be trusted."""

    exit_code = 3


class DeviceUnavailable(EdgekitError):
    """The device or runtime asked for is not there."""

    exit_code = 4


class DeviceLost(DeviceUnavailable):
    """The device was there and went away: unplugged, rebooted, its connection dropped."""


class DeviceFailed(DeviceUnavailable):
    """What was run on the device crashed, hung, or answered garbage."""


class DeviceFull(DeviceUnavailable):
    """The device has no room for what is to be sent."""


class ConversionError(EdgekitError):
    """The model cannot be expressed in the format, or a vendor's code failed on it.

    Args:
        op: The operator concerned (``aten.grid_sampler_2d``).
        shapes: Shapes of the operator's inputs.
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        op: str | None = None,
        shapes: Sequence[Sequence[int]] | None = None,
        accepted: Sequence[str] | str | None = None,
        module: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.op = op
        self.shapes = shapes
        super().__init__(message, accepted=accepted, module=module, next_step=next_step)

    def __str__(self) -> str:
        text = super().__str__()
        if self.op is None:
            return text
        shapes = " on " + ", ".join("x".join(map(str, s)) or "scalar" for s in self.shapes) if self.shapes else ""
        head, _, rest = text.partition("\n")
        return f"{head}\n  op: {self.op}{shapes}" + (f"\n{rest}" if rest else "")
