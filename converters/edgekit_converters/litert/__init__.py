"""TFLite, written directly through the schema module of the LiteRT wheel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.plugins import Emitted, Encoding, require

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class LiteRTConverter:
    """Writes ``.tflite`` files."""

    name: str = "litert"
    suffix: str = ".tflite"
    extra: str = "litert"
    reader: str | None = "edgekit_converters.litert.reader:read"
    resizable: bool = True

    def emit(self, graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
        """Write the lowered, possibly quantized `graph` as ``model.tflite`` in `folder`.

        Raises:
            ConversionError: An operator has no emitter, or an input or output cannot have the dtype asked for.
            UsageError: The ``litert`` extra is not installed.
        """
        require("ai_edge_litert", self.extra)
        require("flatbuffers", self.extra)
        from edgekit_converters.litert.walk import emit  # noqa: PLC0415 - torch and the schema load only for a conversion

        return emit(graph, folder, encoding)


CONVERTER = LiteRTConverter()
