"""The worker process's side: Keras on the torch backend reads a file, traces it, and leaves the program in a file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch


def export(arguments: dict[str, Any], arrays: dict[str, np.ndarray], folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Called by `edgekit.worker`.

    Args:
        arguments: ``path``, ``program`` (where to write it), ``dims`` as triples, ``batch``, ``trust``, ``classes``.
        arrays: Example inputs, by name or by position.
        folder: Not used.
    """
    from keras.saving import custom_object_scope  # noqa: PLC0415 (the backend is chosen by the environment)

    from edgekit.loading.keras_backends import export_keras_file  # noqa: PLC0415

    dims: dict[Any, dict[int, Any]] = {}
    for name, dim, size in arguments["dims"]:
        dims.setdefault(name, {})[dim] = size
    positional = all(key.isdigit() for key in arrays)
    example = None if not arrays else tuple(arrays.values()) if positional else dict(arrays)
    with custom_object_scope(_classes(arguments["classes"])):
        exported = export_keras_file(Path(arguments["path"]), example, dims=dims, batch=arguments["batch"], trust=arguments["trust"])
    torch.export.save(exported.program, arguments["program"])
    answer = {
        "paths": [node.meta["module_path"] for node in exported.program.graph.nodes],
        "inputs": [spec.to_json() for spec in exported.inputs],
        "outputs": [spec.to_json() for spec in exported.outputs],
        "source": {"framework": exported.source.framework, "name": exported.source.name, "digest": exported.source.digest},
        "notes": list(exported.notes),
    }
    return answer, {}


def _classes(names: list[str]) -> dict[str, Any]:
    found = {}
    for name in names:
        module, _, qualified = name.partition(":")
        target: Any = importlib.import_module(module)
        for part in qualified.split("."):
            target = getattr(target, part)
        found[target.__name__] = target
    return found
