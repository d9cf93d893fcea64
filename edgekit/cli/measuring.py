"""Options that `profile` and `compare` share, and how reports are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from edgekit.cli.complete import complete_device
from edgekit.cli.section import F, option, section

RUNTIME = option("--runtime", help="What runs the model; by default the first that runs its format.")
DELEGATE = option(
    "--delegate",
    type=click.Choice(["xnnpack", "none", "reference"]),
    default="xnnpack",
    show_default=True,
    help="Kernels: a phone's default delegate, LiteRT's own, or its plain ones.",
)
_OPTIONS = (
    RUNTIME,
    option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads."),
    DELEGATE,
    option("--min-time", type=float, help="Seconds of sampling a launch takes at least."),
    option("--quick", is_flag=True, help="A first look: shorter and fewer launches, wider intervals."),
)
_ON = "The device: host is this machine; edgekit devices lists others"
ON = option("--on", default="host", show_default=True, metavar="DEVICE", shell_complete=complete_device, help=f"{_ON}.")
_SEVERAL = option(
    "--on",
    "devices",
    multiple=True,
    default=("host",),
    show_default=True,
    metavar="DEVICE",
    shell_complete=complete_device,
    help=f"{_ON}; repeatable.",
)
HEADING = "Measuring"
"""Over all options of how to measure."""


def measuring_options(*, several: bool) -> Callable[[F], F]:
    """Add the options, by the names `edgekit.profile` and `edgekit.compare` know them; ``devices`` for `several`."""
    return section(HEADING, _SEVERAL if several else ON, *_OPTIONS)


def write_text(path: Path | None, text: Callable[[], str]) -> None:
    """Write a report where the user asked for it; nothing for None.

    Raises:
        UsageError: It cannot be written.
    """
    if path is None:
        return
    from edgekit import staging

    staging.write_file(path, text().encode())
