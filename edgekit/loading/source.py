"""Models, and functions of the user's, named as ``file.py:callable`` or ``package.module:callable``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from edgekit.errors import LoadError

_FORM = re.compile(r"^(?P<place>.+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<callable>[A-Za-z_][\w.]*)$")
RETURNS = "a module, (module, example_inputs), or (module, example_inputs, keyword arguments)"


@dataclass(frozen=True)
class Built:
    """What the user's callable returned.

    Attributes:
        name: The place and the callable, as the user wrote them.
        model: The model.
        args: Its example inputs, if the callable gives any.
        kwargs: Its keyword arguments.
    """

    name: str
    model: Any
    args: Any = None
    kwargs: dict[str, Any] = field(default_factory=dict)


def is_source(text: str) -> bool:
    """Whether `text` has the form of a source, and is no file."""
    return bool(_FORM.match(text)) and not Path(text).exists()


def build(text: str) -> Built:
    """Import the place and call the callable.

    Raises:
        LoadError: The place or the callable is not there, fails, or returns something else than a model.
    """
    with _keras_on_torch():
        return _unpack(text, _call(text, imported(text)))


def imported(text: str) -> Any:
    """What is named as ``file.py:name`` or ``package.module:name``.

    Raises:
        LoadError: It is not there, or cannot be imported.
    """
    match = _FORM.match(text)
    if match is None:
        raise LoadError(f"{text!r} names no callable", accepted="file.py:callable or package.module:callable")
    return _found(match["place"], match["callable"])


@contextmanager
def _keras_on_torch() -> Iterator[None]:
    """Keras' own default is TensorFlow, which need not be installed: where the user chose no backend, have the one we trace on."""
    if "KERAS_BACKEND" in os.environ:
        yield
        return
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        yield
    finally:
        os.environ.pop("KERAS_BACKEND", None)


def _found(place: str, name: str) -> Any:
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    target: Any = module
    for part in name.split("."):
        if not hasattr(target, part):
            raise LoadError(
                f"{place} has no {name!r}", accepted=[n for n, v in vars(module).items() if callable(v) and not n.startswith("_")][:20]
            )
        target = getattr(target, part)
    return target


def _call(text: str, target: Any) -> Any:
    is_model = hasattr(target, "forward") and not isinstance(target, type)
    if is_model or not callable(target):
        return target
    try:
        return target()
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(
            f"{text} failed: {type(error).__name__}: {error}", accepted=f"a callable without arguments that returns {RETURNS}"
        ) from error


def _unpack(text: str, result: Any) -> Built:
    if not isinstance(result, tuple):
        return Built(text, result)
    if len(result) == 2 or (len(result) == 3 and isinstance(result[2], dict)):
        return Built(text, *result)
    raise LoadError(f"{text} returned a tuple of {len(result)}", accepted=RETURNS)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LoadError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    beside = str(path.resolve().parent)
    sys.path.insert(0, beside)  # as `python file.py` does, for imports of its neighbours
    shadowed = sys.modules.get(path.stem)
    sys.modules[path.stem] = module  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise LoadError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(beside)
        if shadowed is not None:
            sys.modules[path.stem] = shadowed
    return module


def _import_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise LoadError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(here)
