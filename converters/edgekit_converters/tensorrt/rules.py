"""TensorRT's rules for quantized networks, each a check of any ONNX file.

The rules are those of "Working with Quantized Types" in TensorRT's documentation (explicit quantization, Q/DQ placement) and of
its ONNX parser; where only its authors' answers in the issue tracker tell, the check names the issue.
"""

from __future__ import annotations

import importlib

import onnx

from edgekit_converters.tensorrt.index import Index
from edgekit_converters.tensorrt.violation import CHECKS, Violation

_MODULES = ("scales", "placement", "storage", "operators")


def violations(model: onnx.ModelProto) -> tuple[Violation, ...]:
    """Everything in a model that breaks a rule, what TensorRT refuses first, else in the file's order."""
    for name in _MODULES:
        importlib.import_module(f"edgekit_converters.tensorrt.{name}")
    index = Index(model)
    found = [v for check in CHECKS for v in check(index)]
    return tuple(sorted(found, key=lambda v: not v.refused))
