"""Keras model files: ``.keras`` and ``.h5``, of Keras 3 and Keras 2.

The configuration is read and checked before Keras sees it, so that nothing a file brings along runs unasked.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.errors import LoadError
from edgekit.loading.keras_legacy import TENSORFLOW_CLASSES, without_gone_arguments

_KERAS_PACKAGES = {"keras", "keras_hub", "keras_cv", "keras_nlp", "builtins"}
_STRUCTURAL = {"Functional", "Sequential", "Model", "InputLayer"}


def read_keras(path: Path, trust: bool) -> Any:
    """The model in a file, not compiled.

    Args:
        path: A ``.keras``, ``.h5`` or ``.hdf5`` file.
        trust: Run Lambda layers, and import the modules custom layers come from.

    Raises:
        LoadError: It is damaged, unsafe, or needs classes that are not there.
    """
    config = read_config(path)
    custom = _check(path, config, trust)
    clean = without_gone_arguments(config)
    try:
        if clean == config:
            return _load(path, custom, trust)
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            return _load(_rewritten(path, clean, Path(folder)), custom, trust)
    except LoadError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def read_config(path: Path) -> dict[str, Any]:
    """The configuration stored in a Keras file, as it is.

    Raises:
        LoadError: The file is damaged, or no Keras model.
    """
    if path.is_dir():
        raise LoadError(f"{path} is a folder", accepted="a .keras or .h5 file")
    try:
        return _zip_config(path) if zipfile.is_zipfile(path) else _h5_config(path)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise LoadError(f"{path} is not a whole Keras model file", next_step="copy it again, or save it again with model.save()") from error


def _zip_config(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise zipfile.BadZipFile
        config: dict[str, Any] = json.loads(archive.read("config.json"))
        return config


def _h5_config(path: Path) -> dict[str, Any]:
    import h5py  # noqa: PLC0415 (an optional package)

    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        if text is None and ("layer_names" in file.attrs or "layers" in file):
            raise LoadError(
                f"{path} holds weights without the model they belong to", next_step="save the whole model: model.save('model.keras')"
            )
        if text is None:
            raise ValueError
        config: dict[str, Any] = json.loads(text)
        return config


def _rewritten(path: Path, config: dict[str, Any], folder: Path) -> Path:
    """A copy of the file with another configuration."""
    copy = folder / path.name
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
            for name in old.namelist():
                new.writestr(name, json.dumps(config) if name == "config.json" else old.read(name))
        return copy
    import h5py  # noqa: PLC0415

    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    return copy


def _load(path: Path, custom: dict[str, Any], trust: bool) -> Any:
    import keras  # noqa: PLC0415

    if path.suffix != ".keras" and zipfile.is_zipfile(path):
        raise LoadError(f"{path} is a .keras file by content", next_step=f"rename it to {path.stem}.keras")
    return keras.saving.load_model(os.fspath(path), custom_objects=custom, compile=False, safe_mode=not trust)


def _unreadable(path: Path, error: Exception) -> LoadError:
    import keras  # noqa: PLC0415

    summary = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return LoadError(
        f"Keras {keras.__version__} cannot read {path}: {summary[:300]}",
        next_step="register custom classes with @keras.saving.register_keras_serializable() and give the model object, "
        "or save the file again with this version",
    )


def _check(path: Path, config: dict[str, Any], trust: bool) -> dict[str, Any]:
    """Refuse what is unsafe or impossible; return the custom classes a trusted file names."""
    custom: dict[str, Any] = {}
    for layer, node in nodes(config):
        kind, module = str(node["class_name"]), node.get("module")
        if kind in TENSORFLOW_CLASSES:
            raise LoadError(
                f"a layer of {path} is the TensorFlow operation {_tensorflow_name(node)}, which edgekit does not run",
                module=layer,
                next_step="rebuild that part of the model with keras.layers or keras.ops; "
                "the extra edgekit[tensorflow] brings TensorFlow to do so with",
            )
        if kind in ("Lambda", "__lambda__") and not trust:
            raise LoadError(
                f"{path} holds Python code (a Lambda layer), which reading it would run",
                module=layer,
                next_step="if you trust its origin: --trust, or trust=True; better, replace it with a layer of keras.layers",
            )
        if _is_custom(kind, module, node.get("registered_name")):
            custom.update(_custom(path, layer, node, trust))
    return custom


def nodes(config: Any, layer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every serialized object of a configuration, with the name of the layer it belongs to."""
    if isinstance(config, list):
        for item in config:
            yield from nodes(item, layer)
    elif isinstance(config, dict):
        inner = config.get("config")
        if isinstance(config.get("class_name"), str):
            named = inner.get("name") if isinstance(inner, dict) else None
            layer = str(named or config.get("name") or layer)
            yield layer, config
        for value in config.values():
            yield from nodes(value, layer)


def _is_custom(kind: str, module: Any, registered: Any) -> bool:
    from keras.saving import get_registered_object  # noqa: PLC0415

    if kind.startswith("__") or kind in _STRUCTURAL:
        return False
    if get_registered_object(str(registered or kind)) is not None:
        return False
    if module is not None:
        return str(module).partition(".")[0] not in _KERAS_PACKAGES
    return ">" in str(registered or kind)


def _custom(path: Path, layer: str, node: dict[str, Any], trust: bool) -> dict[str, Any]:
    kind, module = str(node["class_name"]), str(node.get("module") or "")
    registered = str(node.get("registered_name") or kind)
    if not module:
        raise LoadError(
            f"{path} needs the class registered as {registered!r}, and does not say where it is",
            module=layer,
            next_step="write a function that imports the class and returns keras.saving.load_model(...), and give file.py:function",
        )
    where = f"{module}.{kind}"
    if not trust:
        raise LoadError(
            f"{path} needs the class {where}, which is not registered",
            module=layer,
            next_step="register it with @keras.saving.register_keras_serializable() and import it first; "
            "or, if you trust the file, --trust (trust=True) imports it",
        )
    try:
        found = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise LoadError(
            f"{path} needs the class {where}, which cannot be imported: {error}", module=layer, next_step="put its module on PYTHONPATH"
        ) from error
    return {registered: found, kind: found}


def _tensorflow_name(node: dict[str, Any]) -> str:
    inner = node.get("config")
    function = inner.get("function") or inner.get("node_def") if isinstance(inner, dict) else None
    return f"{node['class_name']} {function}" if isinstance(function, str) else str(node["class_name"])
