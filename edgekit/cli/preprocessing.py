"""The options that declare how raw data become the model's input, and the `Preprocess` they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.parse import Numbers, Size
from edgekit.cli.section import option, section

if TYPE_CHECKING:
    from edgekit.preprocess import Preprocess

preprocess_options = section(
    "Preprocessing",
    option("--preprocess", type=click.Path(path_type=Path, dir_okay=False), help="TOML file with these steps; options add to it."),
    option("--resize", type=Size(), help="Resize images to HEIGHTxWIDTH, or their shorter side to SIZE pixels."),
    option("--crop", type=Size(), help="Keep the middle HEIGHTxWIDTH of images."),
    option("--colour", type=click.Choice(["RGB", "BGR", "GRAY"]), help="Colours the model wants of RGB data."),
    option("--scale", type=float, help="Factor on raw values, such as 0.00392157 for bytes to 0…1."),
    option("--mean", type=Numbers(), help="Subtracted after scaling: one value, or one a channel."),
    option("--std", type=Numbers(), help="Divisor after that: one value, or one a channel."),
    option("--layout", type=click.Choice(["NHWC", "NCHW"]), help="Layout of the model's input where the data's is another."),
)
"""The options; the command takes ``preprocess`` and each of `STEPS`."""
STEPS = ("resize", "crop", "colour", "scale", "mean", "std", "layout")


def take_preprocess(parameters: dict[str, Any]) -> Preprocess | None:
    """Take the options out of a command's parameters; None if none was given.

    Raises:
        UsageError: The file cannot be read, or a step means nothing.
    """
    file: Path | None = parameters.pop("preprocess")
    steps = {name: parameters.pop(name) for name in STEPS}
    given = {name: value for name, value in steps.items() if value is not None}
    if file is None and not given:
        return None
    from edgekit import documents
    from edgekit.preprocess import Preprocess

    steps_of_file = documents.read_toml(file, accepted=f"a TOML file with some of {', '.join(STEPS)}") if file else {}
    return Preprocess.from_json({**steps_of_file, **given})
