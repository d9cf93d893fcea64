"""MNN: the graph goes through ONNX and MNN's own converter, which is asked natively and never by its Python commands.

Those commands install a telemetry package when first imported, which downgrades protobuf, and report every model they convert.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.plugins import Emitted, Encoding, require

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class MnnConverter:
    """Writes ``.mnn`` files: float, half precision, compressed weights, or static int8 on the graph's own grids."""

    name: str = "mnn"
    suffix: str = ".mnn"
    extra: str = "mnn"
    reader: str | None = "edgekit_converters.mnn.reader:read"

    def emit(self, graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
        """Write the lowered, possibly quantized `graph` as ``model.mnn`` in `folder`.

        Raises:
            ConversionError: An operator has no emitter, MNN's converter refuses one, or an input or output is asked for as integers.
            UsageError: The ``mnn`` extra is not installed.
        """
        for package in ("_tools", "onnx", "onnx_ir", "flatbuffers"):
            require(package, self.extra)
        from edgekit_converters.mnn.emission import emit  # noqa: PLC0415 - torch and onnx load only for a conversion

        return emit(graph, folder, encoding)


CONVERTER = MnnConverter()
