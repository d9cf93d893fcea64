"""Programs written with coremltools' own builder, for the tests of what reads and runs them."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


@cache
def coremltools() -> Any:
    """The library, without its chatter."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import coremltools as ct  # noqa: PLC0415 - takes seconds
    logging.disable(logging.NOTSET)
    return ct


def program(build: Callable[..., Any], inputs: Mapping[str, tuple[int, ...]], ios: str = "18", dtype: str = "fp32") -> Any:
    """A MIL program whose operations `build` adds, given the builder and the inputs by name."""
    ct = coremltools()
    from coremltools.converters.mil import Builder as mb  # noqa: PLC0415
    from coremltools.converters.mil.mil import Function, Program, types  # noqa: PLC0415

    made = Program()
    placeholders = {name: mb.placeholder(shape=shape, dtype=getattr(types, dtype)) for name, shape in inputs.items()}
    with Function(placeholders, opset_version=getattr(ct.target, f"iOS{ios}")) as function:
        results = build(mb, **function.inputs)
        function.set_outputs(list(results) if isinstance(results, (list, tuple)) else [results])
        made.add_function("main", function)
    return made


def saved(build: Callable[..., Any], shapes: Mapping[str, tuple[int, ...]], ios: str = "18", dtype: str = "fp32", **options: Any) -> Path:
    """The same as a package in a folder of its own; `options` are of ``coremltools.convert``."""
    ct = coremltools()
    options = {"pass_pipeline": ct.PassPipeline.EMPTY, **options}
    target = getattr(ct.target, f"iOS{ios}")
    made = program(build, shapes, ios, dtype)
    logging.disable(logging.WARNING)
    model = ct.convert(made, convert_to="mlprogram", minimum_deployment_target=target, skip_model_load=True, **options)
    path = Path(tempfile.mkdtemp(dir=_scratch())) / "model.mlpackage"
    model.save(str(path))
    logging.disable(logging.NOTSET)
    return path


@cache
def _scratch() -> str:
    """A folder for packages that goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="edgekit-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def sub_byte(values: Any, dtype: str) -> np.ndarray:
    """Values in one of coremltools' types of fewer than eight bits (``uint4``)."""
    from coremltools.converters.mil.mil import types  # noqa: PLC0415

    array: np.ndarray = np.asarray(values).astype(types.nptype_from_builtin(types.string_to_builtin(dtype)))
    return array


def inferred(kind: str, inputs: Mapping[str, Any], ios: str = "18") -> Sequence[Any]:
    """The variables coremltools makes of an operation on constants: their shapes, and their values where it infers them."""
    found: list[Any] = []

    def build(mb: Any, x: Any) -> Any:
        result = getattr(mb, kind)(**inputs)
        found.extend(result if isinstance(result, (list, tuple)) else [result])
        return found

    program(build, {"x": (1,)}, ios)
    return found
