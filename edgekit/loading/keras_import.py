"""Import Keras on the torch backend, and without scikit-learn until somebody asks for Keras' wrappers of it.

Where scikit-learn is installed, ``import keras`` imports it, and SciPy with it: half of Keras' import time.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any

_WRAPPERS = "keras.wrappers"


def import_keras() -> Any:
    """The keras module. The first import chooses the torch backend, and leaves the environment as it was."""
    if "keras" in sys.modules:
        return sys.modules["keras"]
    backend = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "torch"
    deferred = "sklearn" not in sys.modules
    if deferred:
        sys.modules["sklearn"] = None  # type: ignore[assignment] # an import of it fails, as where it is not installed
    try:
        keras = importlib.import_module("keras")
    finally:
        if deferred:
            del sys.modules["sklearn"]
        if backend is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = backend
    if deferred:
        _defer_wrappers(keras)
    return keras


def _defer_wrappers(keras: ModuleType) -> None:
    """Forget the wrappers that were imported without scikit-learn, and import them anew when they are asked for."""
    for name in [n for n in sys.modules if n.startswith((_WRAPPERS, "keras.src.wrappers"))]:
        del sys.modules[name]
    for owner in (keras, sys.modules["keras.src"]):
        vars(owner).pop("wrappers", None)

    def getattr_(name: str) -> Any:
        if name == "wrappers":
            return importlib.import_module(_WRAPPERS)
        raise AttributeError(f"module 'keras' has no attribute {name!r}")

    vars(keras)["__getattr__"] = getattr_
