"""What TensorRT builds an engine from: an ONNX file with explicit Q/DQ, held to TensorRT's rules, and the command that builds it.

The engine itself is built on the device: it holds kernels for one GPU and one version of TensorRT.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.plugins import Emitted, Encoding
from edgekit_converters.onnx import CONVERTER as ONNX

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class TensorRtConverter:
    """Writes ``model.onnx`` and ``build_engine.sh``."""

    name: str = "tensorrt"
    suffix: str = ".onnx"
    extra: str = "jetson"
    reader: str | None = "edgekit_converters.onnx.reader:read"

    def emit(self, graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
        """Write the lowered, possibly quantized `graph` as ``model.onnx`` in `folder`, with the command that builds an engine of it.

        What violates TensorRT's rules is noted, with the node and the fix.

        A file for TensorRT 11 that is to compute in half precision is written in half precision; before, a flag of the build asks for it.

        Raises:
            ConversionError: An operator has no emitter, or an input or output cannot have the dtype asked for.
            UsageError: The ``jetson`` extra is not installed.
        """
        import onnx  # noqa: PLC0415

        from edgekit_converters.tensorrt.building import building, is_strong  # noqa: PLC0415 - onnx loads only for a conversion
        from edgekit_converters.tensorrt.rules import violations  # noqa: PLC0415

        emitted = ONNX.emit(graph, folder, encoding if is_strong(encoding) else replace(encoding, compute="float32"))
        model = onnx.load_model(folder / emitted.model_file)
        build = building(model, emitted, encoding)
        (folder / build.script).write_text(build.to_shell(), encoding="utf-8")
        notes = (f"TensorRT: {v.sentence}" for v in violations(model) if v.refused)
        return replace(emitted, notes=(*emitted.notes, *notes), requires={"TensorRT": build.oldest}, build=build.command)


CONVERTER = TensorRtConverter()
