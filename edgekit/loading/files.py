"""Model files, told apart by their suffix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.errors import LoadError
from edgekit.loading.dims import Dims
from edgekit.loading.exported import Exported
from edgekit.loading.program import export_program, load_program
from edgekit.loading.weights import PICKLES, pickled_module

_ACCEPTED = (".keras", ".h5", ".pt2", "file.py:callable")
_ARTIFACTS = {
    ".tflite": "LiteRT",
    ".onnx": "ONNX",
    ".mlpackage": "Core ML",
    ".mlmodel": "Core ML",
    ".pb": "TensorFlow",
    ".engine": "TensorRT",
}


def export_file(path: Path, example_inputs: Any, *, dims: Dims | None, batch: int, trust: bool) -> Exported:
    """Trace the model in a file.

    Raises:
        LoadError: The file is missing, damaged, unsafe to read, or not a model's.
    """
    if not path.exists():
        raise LoadError(f"there is no file {path}", accepted=_ACCEPTED)
    suffix = path.suffix.lower()
    if path.name.endswith(".weights.h5") or suffix == ".safetensors":
        raise LoadError(
            f"{path} holds weights without the model they belong to",
            next_step=f"give the model as file.py:callable, with --weights {path.name}"
            if suffix == ".safetensors"
            else "save the whole model as .keras",
        )
    if suffix in (".keras", ".h5", ".hdf5"):
        from edgekit.loading.keras_backends import export_keras_file  # noqa: PLC0415 (keras is heavy and optional)

        return export_keras_file(path, example_inputs, dims=dims, batch=batch, trust=trust)
    if path.is_dir():
        raise _directory(path)
    if suffix == ".pt2":
        exported = export_program(load_program(path), example_inputs, dims=dims, batch=batch)
        return replace(exported, source=replace(exported.source, name=path.name))
    if suffix in PICKLES:
        raise pickled_module(path)
    if suffix in _ARTIFACTS:
        raise LoadError(f"{path} is a {_ARTIFACTS[suffix]} model, and edgekit starts from the source", accepted=_ACCEPTED)
    raise LoadError(f"{path} is no model edgekit reads", accepted=_ACCEPTED)


def _directory(path: Path) -> LoadError:
    if (path / "saved_model.pb").exists():
        return LoadError(
            f"{path} is a TensorFlow SavedModel, whose layers are TensorFlow's own operations",
            accepted=_ACCEPTED,
            next_step="save the Keras model as .keras; the extra edgekit[tensorflow] brings TensorFlow, to load it and do so",
        )
    return LoadError(f"{path} is a folder", accepted=_ACCEPTED)
