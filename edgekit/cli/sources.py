"""The options that say where an artifact's float model comes from, for commands that hold the two against each other."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.complete import complete_file
from edgekit.cli.parse import Dim
from edgekit.cli.section import option, section

WEIGHTS = option("--weights", type=click.Path(path_type=Path), help="State dict or .safetensors to load into the module.")
TRUST = option("--trust", is_flag=True, help="Let code inside the model file run (Lambda layers).")

source_options = section(
    "The float model",
    option(
        "--model",
        "-m",
        shell_complete=complete_file,
        help="As convert takes it; by default the file the artifact was made from, if it lies here or beside it.",
    ),
    option("--dim", "dims", type=Dim(), multiple=True, help="Size of a dynamic dimension, as given to convert."),
    WEIGHTS,
    TRUST,
)
"""The options; the command takes ``model``, ``dims``, ``weights`` and ``trust``."""
