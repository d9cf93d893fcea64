"""Core ML packages, written directly with coremltools' MIL builder.

What a reader of the packages may rely on:

* The model is the folder ``model.mlpackage``; its one function is ``main``. Float operators compute in `Encoding.compute`; float inputs
  and outputs have `Encoding.input_dtype` and `Encoding.output_dtype` and are cast inside.
* Inputs and outputs have the user's names. Where one is no identifier (letters, digits, _), the file's name has _ in place of what is
  not allowed, and the package's user-defined metadata maps it back: ``edgekit.names`` is the JSON of {file's name: user's name}. Readers
  report the user's.
* An image input is a tensor (1, channels, height, width) of pixels 0…255, float32 in `Emitted.inputs`, in the colour order that its
  feature description states.
* Labels make a ``classify`` operator: the file's outputs are ``classLabel`` (a string) and, under the user's name of that output, a
  dictionary of scores by label. `Emitted.outputs` lists the tensor of scores, which is the operator's operand, under that same name.
* Every constant of the graph is a named ``const`` or ``constexpr_…`` operator and is listed in `Emitted.weights`.
* User-defined metadata ``edgekit.modules`` is the JSON of {operator's name: path of the user's module}.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.plugins import Emitted, Encoding, require

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class CoreMLConverter:
    """Writes ``.mlpackage`` folders."""

    name: str = "coreml"
    suffix: str = ".mlpackage"
    extra: str = "coreml"
    reader: str | None = "edgekit_runtimes._coreml.describe:read"

    def emit(self, graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
        """Write the lowered, possibly compressed `graph` as ``model.mlpackage`` in `folder`.

        Raises:
            ConversionError: An operator has no emitter, or the graph holds what the version of iOS asked for does not read.
            UsageError: The ``coreml`` extra is not installed.
        """
        require("coremltools", self.extra)
        from edgekit_converters.coreml.walk import emit  # noqa: PLC0415 - torch loads only for a conversion

        return emit(graph, folder, encoding)


CONVERTER = CoreMLConverter()
