"""Which process a Keras model is traced in.

Tracing needs Keras on its torch backend, and a process has one backend. Where the user's has another one, the model goes
through a file to a worker process, and its program comes back as a file.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit import worker
from edgekit.errors import LoadError
from edgekit.loading import examples, naming
from edgekit.loading.dims import Dims
from edgekit.loading.exported import Exported
from edgekit.loading.keras import export_keras
from edgekit.loading.keras_files import read_keras
from edgekit.loading.keras_import import import_keras
from edgekit.loading.trace import uncollected
from edgekit.plugins import require
from edgekit.sizes import Range
from edgekit.source import Source
from edgekit.tensors import TensorSpec

_WORKER = "edgekit.loading.keras_worker:export"


def backend() -> str:
    """The backend this process's Keras runs on, or will run on when edgekit imports it."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return str(keras.config.backend())
    return os.environ.get("KERAS_BACKEND", "torch")


def export_keras_file(path: Path, example_inputs: Any, *, dims: Dims | None, batch: int, trust: bool) -> Exported:
    """Trace the model in a ``.keras`` or ``.h5`` file.

    Raises:
        LoadError: It cannot be read or traced.
        UsageError: Keras is not installed.
    """
    require("keras", "keras")
    if backend() != "torch":
        return _in_worker(path, example_inputs, dims=dims, batch=batch, trust=trust)
    with uncollected():
        import_keras()
        return export_keras(read_keras(path, trust), example_inputs, dims=dims, batch=batch, name=path.name)


def export_live(model: Any, example_inputs: Any, *, dims: Dims | None, batch: int, name: str | None = None) -> Exported:
    """Trace a model in memory, whatever backend it runs on.

    Raises:
        LoadError: It cannot be traced; or it runs on another backend and cannot be saved to be traced elsewhere.
    """
    if backend() == "torch":
        return export_keras(model, example_inputs, dims=dims, batch=batch, name=name)
    classes = _custom_classes(model)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
        except Exception as error:
            raise LoadError(
                f"the model cannot be saved, to be traced on the torch backend: {error}", next_step="run with KERAS_BACKEND=torch"
            ) from error
        exported = _in_worker(path, example_inputs, dims=dims, batch=batch, trust=True, classes=classes)
    return replace(exported, source=replace(exported.source, name=name or model.name))


def _custom_classes(model: Any) -> list[str]:
    """The user's own classes in a model, as ``module:class``."""
    found = []
    for layer in model._flatten_layers():
        cls = type(layer)
        if cls.__module__.partition(".")[0] == "keras":
            continue
        if cls.__module__ == "__main__":
            raise LoadError(
                f"the class {cls.__qualname__} is defined in the script itself, and a worker process on the torch backend cannot import it",
                module=layer.name,
                next_step="run the script with KERAS_BACKEND=torch, or move the class to a module",
            )
        found.append(f"{cls.__module__}:{cls.__qualname__}")
    return sorted(set(found))


def _in_worker(
    path: Path, example_inputs: Any, *, dims: Dims | None, batch: int, trust: bool, classes: list[str] | None = None
) -> Exported:
    arrays = {} if example_inputs is None else _arrays(example_inputs)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        written = Path(folder) / "program.pt2"
        arguments = {
            "path": str(path.resolve()),
            "program": str(written),
            "dims": [[name, dim, _plain(size)] for name, sizes in (dims or {}).items() for dim, size in sizes.items()],
            "batch": batch,
            "trust": trust,
            "classes": classes or [],
        }
        answer, _ = worker.run(_WORKER, arguments, arrays, environment={"KERAS_BACKEND": "torch"})
        program = torch.export.load(written)
    for node, module_path in zip(program.graph.nodes, answer["paths"], strict=True):
        node.meta["module_path"] = module_path
    return Exported(
        program=program,
        inputs=tuple(TensorSpec.from_json(spec) for spec in answer["inputs"]),
        outputs=tuple(TensorSpec.from_json(spec) for spec in answer["outputs"]),
        source=Source(**answer["source"]),
        notes=tuple(answer["notes"]),
    )


def _plain(size: Any) -> Any:
    """A size or a range in JSON."""
    return [size.smallest, size.typical, size.largest, size.step] if isinstance(size, Range) else size


def _arrays(example_inputs: Any) -> dict[str, np.ndarray]:
    leaves = [examples.tensor(leaf) for _, leaf in naming.leaves(example_inputs)]
    names = list(example_inputs) if isinstance(example_inputs, dict) else [str(i) for i in range(len(leaves))]
    return {str(name): leaf.numpy() for name, leaf in zip(names, leaves, strict=True)}
