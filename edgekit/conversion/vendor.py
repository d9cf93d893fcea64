"""``--emitter vendor``: the vendor's own converter and quantizer, by name and never by themselves.

A way out where edgekit lacks an operator, and something to compare with. It takes the canonical float graph; the vendor quantizes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import plugins, worker
from edgekit.conversion.failures import told
from edgekit.data import Samples
from edgekit.errors import DataError, UsageError
from edgekit.plugins import Emitted, EmittedOp, Encoding
from edgekit.recipe import Recipe
from edgekit.schemes import parse_scheme
from edgekit.tensors import TensorSpec

if TYPE_CHECKING:
    from edgekit.graph import Graph

_WORKER = "edgekit_converters._litert_torch:convert"
_PACKAGES = ("litert_torch", "ai_edge_quantizer")
EDGES = {"float32": "float32", "w8a8": "int8", "w8a16": "int16", "w8ad8": "float32", "w8": "float32"}
"""Schemes the vendor has, and the dtype its files then take and give."""
_NEXT = "convert without --emitter vendor"
MODEL_FILE = "model.tflite"
TIMEOUT = 1800.0


def vendor_scheme(recipe: Recipe, model_format: str, encoding: Encoding) -> str:
    """The one scheme of a recipe, if the vendor's tools have it and are installed.

    Raises:
        UsageError: They have not, or the ``vendor`` extra is missing.
    """
    if model_format != "litert":
        raise UsageError(f"format {model_format!r} has no vendor's converter here", accepted="litert", next_step=_NEXT)
    steps: list[Any] = [p for p in recipe.passes if p.name == "quantize"]
    if len(steps) > 1 or any(step.overrides for step in steps) or any(p.name == "mixed_precision" for p in recipe.passes):
        raise UsageError("the vendor's quantizer takes one scheme for the whole model", next_step=_NEXT)
    scheme = str(steps[0].scheme) if steps else "float32"
    if scheme not in EDGES:
        raise UsageError(f"the vendor's quantizer has no scheme {scheme!r}", accepted=list(EDGES), next_step=_NEXT)
    if {encoding.input_dtype, encoding.output_dtype} != {EDGES[scheme]}:
        asked = f"{encoding.input_dtype} in and {encoding.output_dtype} out"
        raise UsageError(f"the vendor's quantizer does not write {asked} for scheme {scheme!r}", accepted=EDGES[scheme], next_step=_NEXT)
    for package in _PACKAGES:
        plugins.require(package, "vendor")
    return scheme


def emit_by_vendor(graph: Graph, folder: Path, scheme: str, data: Samples | None) -> Emitted:
    """Write the float `graph` as ``model.tflite`` by litert-torch, quantized by ai-edge-quantizer.

    Args:
        graph: Canonical, float.
        folder: Where to.
        scheme: One the vendor has.
        data: Calibration samples.

    Raises:
        DataError: A static scheme without calibration data.
        ConversionError: The vendor's tools failed.
    """
    if parse_scheme(scheme).static and data is None:
        raise DataError(f"scheme {scheme!r} rounds activations, so it needs calibration data", next_step="pass calibration=...")
    path = folder / MODEL_FILE
    with told("the vendor's converter", (), _NEXT), tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        program = Path(scratch) / "program.pt2"
        _save(graph, program)
        arguments = {
            "program": str(program),
            "model": str(path.resolve()),
            "scheme": scheme,
            "inputs": [s.to_json() for s in graph.inputs],
            "outputs": [s.name for s in graph.outputs],
        }
        worker.run(_WORKER, arguments, data.inputs if data is not None else {}, timeout=TIMEOUT)
    return _emitted(path)


def _save(graph: Graph, path: Path) -> None:
    import torch  # noqa: PLC0415 - loaded already where there is a graph

    examples = tuple(torch.zeros(s.shape, dtype=getattr(torch, s.dtype)) for s in graph.inputs)
    torch.export.save(torch.export.export(graph.module, examples), path)


def _emitted(path: Path) -> Emitted:
    """What the vendor wrote, read from its file."""
    converter = plugins.load("converters", "litert")
    read: Mapping[str, Any] = worker.run(converter.reader, {"model": str(path.resolve())}, timeout=120)[0]
    sides = {side: tuple(TensorSpec.from_json(s) for s in read[side]) for side in ("inputs", "outputs")}
    ops = tuple(EmittedOp(op["name"], "", op["dtype"]) for op in read["ops"])
    return Emitted(path.name, sides["inputs"], sides["outputs"], ops, ("written by the vendor's converter, which keeps no module names",))
