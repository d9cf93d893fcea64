"""The command that builds an engine of a file on the device.

Options are those of trtexec 10 (`trtexec --help`). From version 11 on networks are typed strongly: there are no precision
flags, and the file's own dtypes say what is computed in half precision.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from edgekit.plugins import Emitted, Encoding

WORKSPACE_MIB = 1024
"""Scratch memory a kernel may take: a Jetson's memory is the CPU's, too, so not all of it."""

OLDEST = "10.3"
STRONG = 11
"""The first major version without precision flags."""


@dataclass(frozen=True)
class Building:
    """How an engine is built.

    Attributes:
        command: ``trtexec`` and its arguments, to be run in the artifact's folder on the device.
        versions: Of TensorRT, as a range.
        oldest: The first of them.
        script: Name of the file that holds the command.
    """

    command: tuple[str, ...]
    versions: str
    oldest: str
    script: str = "build_engine.sh"

    def to_shell(self) -> str:
        """A script with the command, one argument a line."""
        head = (
            "#!/bin/sh\n"
            "# Builds model.engine of model.onnx. Run it on the device itself: an engine holds kernels for one GPU and one\n"
            f"# version of TensorRT, and works on no other. Made for TensorRT {self.versions}.\n"
            'set -eu\ncd "$(dirname "$0")"\n'
        )
        program, *arguments = self.command
        return head + " \\\n    ".join([shlex.quote(program), *map(shlex.quote, arguments)]) + "\n"


def is_strong(encoding: Encoding) -> bool:
    """Whether the oldest version the file is for computes in the file's own dtypes."""
    return int(_oldest(encoding).partition(".")[0]) >= STRONG


def building(model: onnx.ModelProto, emitted: Emitted, encoding: Encoding) -> Building:
    """The command for a written model."""
    oldest, strong = _oldest(encoding), is_strong(encoding)
    arguments = [
        f"--onnx={emitted.model_file}",
        "--saveEngine=model.engine",
        *([] if strong else _precisions(model, encoding)),
        *(["--sparsity=enable"] if two_of_four(model) else []),
        *_profile(emitted, encoding),
        f"--memPoolSize=workspace:{WORKSPACE_MIB}M",
        "--timingCacheFile=timing.cache",
        "--profilingVerbosity=detailed",
        "--skipInference",
    ]
    versions = f">={oldest}" if strong else f">={oldest},<{STRONG}"
    return Building(("trtexec", *arguments), versions, oldest)


def _oldest(encoding: Encoding) -> str:
    return encoding.platform.minimum if encoding.platform is not None else OLDEST


def _precisions(model: onnx.ModelProto, encoding: Encoding) -> list[str]:
    """What kernels may compute in beside float."""
    integer = any(n.op_type == "QuantizeLinear" for n in model.graph.node)
    return [*(["--fp16"] if encoding.compute == "float16" else []), *(["--int8"] if integer else [])]


def _profile(emitted: Emitted, encoding: Encoding) -> list[str]:
    """The optimization profile, where the batch is open: the smallest, the usual and the largest."""
    if encoding.batches is None:
        return []
    shapes = {
        option: ",".join(f"{s.name}:{'x'.join(map(str, (size, *s.shape[1:])))}" for s in emitted.inputs)
        for option, size in zip(("minShapes", "optShapes", "maxShapes"), encoding.batches, strict=True)
    }
    return [f"--{option}={text}" for option, text in shapes.items()]


def two_of_four(model: onnx.ModelProto) -> bool:
    """Whether a weight has at least two zeros in every four successive input channels, which sparse tensor cores skip."""
    readers = {n.input[1]: n.op_type for n in model.graph.node if n.op_type in ("Conv", "Gemm", "MatMul") and len(n.input) > 1}
    raw = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    constants = {t.name: t for t in model.graph.initializer}
    weights = ((constants.get(raw.get(name, name)), op) for name, op in readers.items())
    return any(_sparse(numpy_helper.to_array(t), op) for t, op in weights if t is not None)


def _sparse(weight: np.ndarray, op_type: str) -> bool:
    axis = 0 if op_type == "MatMul" else 1
    if weight.ndim < 2 or weight.shape[axis] % 4:
        return False
    channels = np.moveaxis(weight, axis, -1).reshape(-1, weight.shape[axis] // 4, 4)
    return bool(((channels != 0).sum(-1) <= 2).all()) and bool(weight.any())
