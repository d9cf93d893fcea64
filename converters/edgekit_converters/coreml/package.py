"""The package on disk, with the same bytes for the same model: coremltools stamps dates and random identifiers into it."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

from edgekit_converters.coreml.program import Program

_DATA = "com.apple.CoreML"
_VOLATILE = "com.github.apple.coremltools.conversion_date"
_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # of URLs, RFC 4122


def write_package(model: Any, path: Path, program: Program) -> None:
    """Write a converted model as the folder `path`."""
    spec = model.get_spec()
    _describe(spec.description.metadata, program)
    if program.classes is not None:
        _name_scores(spec, program.classes.output)
    weights = Path(model.weights_dir) / "weight.bin"
    data = path / "Data" / _DATA
    (data / "weights").mkdir(parents=True)
    (data / "model.mlmodel").write_bytes(spec.SerializeToString(deterministic=True))
    if weights.exists():
        shutil.copyfile(weights, data / "weights" / "weight.bin")
    (path / "Manifest.json").write_text(json.dumps(_manifest(), indent=4, sort_keys=True) + "\n", encoding="utf-8")


def _manifest() -> dict[str, Any]:
    items = {
        "model.mlmodel": ("CoreML Model Specification", f"{_DATA}/model.mlmodel"),
        "weights": ("CoreML Model Weights", f"{_DATA}/weights"),
    }
    entries = {
        _identifier(name): {"author": _DATA, "description": text, "name": name, "path": place} for name, (text, place) in items.items()
    }
    return {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": _identifier("model.mlmodel")}


def _identifier(name: str) -> str:
    return str(uuid.uuid5(_SPACE, f"edgekit:{name}")).upper()


def _describe(metadata: Any, program: Program) -> None:
    metadata.userDefined.pop(_VOLATILE, None)
    for field, text in program.metadata.items():
        setattr(metadata, field, text)
    for name, text in program.user_metadata.items():
        metadata.userDefined[name] = text


def _name_scores(spec: Any, output: str) -> None:
    """Call the dictionary of scores by the user's name of the output, and the tensor it is made from something else."""
    given, tensor = spec.description.predictedProbabilitiesName, f"{output}_scores"
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    for op in block.operations:
        for value in op.outputs:
            value.name = {output: tensor, given: output}.get(value.name, value.name)
        for argument in op.inputs.values():
            for binding in argument.arguments:
                if binding.name == output:
                    binding.name = tensor
    block.outputs[:] = [output if name == given else name for name in block.outputs]
    for feature in spec.description.output:
        feature.name = output if feature.name == given else feature.name
    spec.description.predictedProbabilitiesName = output
