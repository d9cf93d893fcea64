"""ONNX, written directly with onnx-ir: the way to TensorRT, MNN and ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.plugins import Emitted, Encoding, require

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class OnnxConverter:
    """Writes ``.onnx`` files of opset 19 (21 where weights are int4 in blocks), with explicit Q/DQ where the graph rounds."""

    name: str = "onnx"
    suffix: str = ".onnx"
    extra: str = "jetson"
    reader: str | None = "edgekit_converters.onnx.reader:read"

    def emit(self, graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
        """Write the lowered, possibly quantized `graph` as ``model.onnx`` in `folder`.

        Raises:
            ConversionError: An operator has no emitter, or an input or output cannot have the dtype asked for.
            UsageError: The ``jetson`` extra is not installed.
        """
        require("onnx", self.extra)
        require("onnx_ir", self.extra)
        from edgekit_converters.onnx.walk import emit  # noqa: PLC0415 - torch and onnx load only for a conversion

        return emit(graph, folder, encoding)


CONVERTER = OnnxConverter()
