"""What loading hands on: a raw exported program, and what the user calls its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

from torch.export import ExportedProgram

from edgekit.source import Source
from edgekit.tensors import TensorSpec


@dataclass(frozen=True)
class Exported:
    """A traced model, before canonicalization.

    Attributes:
        program: Raw ATen graph with static shapes. Its user inputs and outputs are flat tensors, in the order of
            `inputs` and `outputs`. Every node has ``meta["module_path"]``: the path of the user's own module or
            layer that made it, ``""`` for the root.
        inputs: Names, shapes and dtypes of the inputs.
        outputs: The same for the outputs.
        source: Where the model came from.
        notes: Concessions the manifest must list: a fixed batch, a scalar argument frozen, a loop unrolled.
    """

    program: ExportedProgram
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: Source
    notes: tuple[str, ...] = ()
