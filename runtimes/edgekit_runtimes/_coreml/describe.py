"""What a ``.mlpackage`` holds, for `edgekit explain`. Runs in a worker: the package may be anything.

The answer is JSON: see `edgekit.conversion.explanation`, which turns it into rows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgekit import digests
from edgekit_runtimes._coreml.constants import Constant, constants
from edgekit_runtimes._coreml.dtypes import BITS, LONG
from edgekit_runtimes._coreml.edges import Edges, edges
from edgekit_runtimes._coreml.forms import bits, form
from edgekit_runtimes._coreml.limits import limited
from edgekit_runtimes._coreml.package import Package, open_package
from edgekit_runtimes._coreml.program import Literal, Operation, Port, Program, read_program
from edgekit_runtimes._sessions import Answer, Arrays

MODULES = "edgekit.modules"
"""User-defined metadata: JSON of operators' names to the user's modules."""

_SYSTEMS = {6: "iOS 15, macOS 12", 7: "iOS 16, macOS 13", 8: "iOS 17, macOS 14", 9: "iOS 18, macOS 15"}
_TEXTS = {"shortDescription": "description", "author": "author", "license": "licence", "versionString": "version"}
_SHORT = 8
_SMALL = 16


def read(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Describe the package ``arguments["model"]``.

    Raises:
        LoadError: It is no Core ML package of an ML Program, or contradicts itself.
    """
    path = Path(arguments["model"])
    with limited(path):
        package = open_package(path)
        program = read_program(package)
        return _Description(package, program).to_json(), {}


class _Description:
    """Gathers what is known of a package."""

    def __init__(self, package: Package, program: Program) -> None:
        self.package, self.program = package, program
        self.constants = constants(program)
        self.edges: Edges = edges(package.specification, program)
        self.steps = [operation for operation in program.operations if not operation.constant]
        ports = [*program.inputs, *(self.constants[n].port for n in self._weights()), *(p for op in self.steps for p in op.outputs)]
        self.numbers = {port.name: index for index, port in enumerate(ports)}
        self.ports = {port.name: port for port in ports}

    def to_json(self) -> dict[str, Any]:
        files, metadata = self.package.files(), self.package.specification.description.metadata
        names = {side: [edge.name for edge in getattr(self.edges, side)] for side in ("inputs", "outputs")}
        return {
            "bytes": sum(p.stat().st_size for p in files),
            "sha256": digests.of_folder(self.package.path),
            "description": metadata.shortDescription,
            "subgraphs": 1,
            "signatures": [{"key": "main", **names}],
            **{side: [edge.spec().to_json() for edge in getattr(self.edges, side)] for side in ("inputs", "outputs")},
            "tensors": [self._tensor(port) for port in self.ports.values()],
            "ops": [self._operator(index, operation) for index, operation in enumerate(self.steps)],
            "metadata": {key: len(value.encode()) for key, value in sorted(metadata.userDefined.items())},
            "facts": dict(self._facts()),
            "findings": [{"kind": kind, "text": text} for kind, text in self._findings()],
        }

    def _weights(self) -> list[str]:
        """Constants that are worth a row: real numbers or many, used by operators."""
        used = dict.fromkeys(name for operation in self.steps for name in operation.references if name in self.constants)
        return [n for n in used if self.constants[n].array.dtype.kind == "f" or self.constants[n].array.size >= _SMALL]

    def _tensor(self, port: Port) -> dict[str, Any]:
        constant = self.constants.get(port.name)
        size = 1
        for length in port.shape:
            size *= max(length, 1)
        return {
            "index": self.numbers[port.name],
            "name": port.name,
            "shape": list(port.shape),
            "dtype": LONG.get(port.dtype, port.dtype),
            "bytes": constant.bytes if constant else -(-size * BITS.get(port.dtype, 8) // 8),
            "constant": constant is not None,
            "variable": False,
            "dynamic": [axis for axis, length in enumerate(port.shape) if length < 0],
            "grid": None,
            "storage": _storage(constant) if constant else "",
        }

    def _operator(self, index: int, operation: Operation) -> dict[str, Any]:
        used = [self.constants[n] for n in dict.fromkeys(operation.references) if n in self.constants]
        real = [port for port in operation.outputs if port.dtype in BITS]
        return {
            "index": index,
            "name": operation.kind,
            "version": self.program.version,
            "inputs": [self.numbers[n] for n in operation.references if n in self.numbers],
            "outputs": [self.numbers[port.name] for port in operation.outputs],
            "dtype": LONG.get(real[0].dtype, real[0].dtype) if real else "none",
            "bytes": sum(c.bytes for c in used),
            "options": dict(self._options(operation)),
            "module": self._modules().get(operation.outputs[0].name if operation.outputs else ""),
        }

    def _options(self, operation: Operation) -> Iterator[tuple[str, Any]]:
        """Parameters that are short: strides, modes, axes."""
        for name, arguments in operation.inputs.items():
            given = arguments[0] if len(arguments) == 1 else None
            value = self.constants.get(given) if isinstance(given, str) else given
            if isinstance(value, (Constant, Literal)) and value.array.size <= _SHORT and value.array.ndim <= 1:
                yield name, value.array.tolist()

    def _modules(self) -> Mapping[str, str]:
        text = self.package.specification.description.metadata.userDefined.get(MODULES, "{}")
        try:
            found = json.loads(text)
        except ValueError:
            return {}
        return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}

    def _facts(self) -> Iterator[tuple[str, str]]:
        version = self.program.version
        yield "needs", f"{_SYSTEMS.get(version, 'a newer system than any known here')} (specification version {version})"
        floats = Counter(LONG[p.dtype] for op in self.steps for p in op.outputs[:1] if p.dtype in LONG)
        if floats:
            yield "computes in", ", ".join(f"{dtype} ({count} of {len(self.steps)} operators)" for dtype, count in floats.most_common())
        for edge in self.edges.inputs:
            if edge.colour:
                height, width = edge.port.shape[-2:]
                yield f"image {edge.name}", f"{edge.colour}, {width} wide, {height} high"
        if classifier := self.edges.classifier:
            first = ", ".join(classifier.labels[:3])
            yield "labels", f"{len(classifier.labels)}: {first}{', …' if len(classifier.labels) > 3 else ''}"
        metadata = self.package.specification.description.metadata
        yield from (
            (name, getattr(metadata, field)) for field, name in _TEXTS.items() if getattr(metadata, field) and name != "description"
        )
        yield from self._compression()

    def _compression(self) -> Iterator[tuple[str, str]]:
        weights = [self.constants[n] for n in self._weights() if self.constants[n].array.dtype.kind == "f"]
        elements = sum(c.array.size for c in weights)
        if not elements:
            return
        stored = sum(c.bytes for c in weights)
        yield "weights", f"{elements:,} in {stored:,} bytes, {8 * stored / elements:.2f} bits each"
        forms: Counter[str] = Counter()
        for constant in weights:
            forms[form(constant) or LONG.get(constant.port.dtype, constant.port.dtype)] += constant.array.size
        yield (
            "stored as",
            "; ".join(f"{name}: {count / elements:.1%}" for name, count in forms.most_common(4))
            + (f"; {len(forms) - 4} more forms" if len(forms) > 4 else ""),
        )

    def _findings(self) -> Iterator[tuple[str, str]]:
        if len(self.program.functions) > 1:
            yield "functions", f"the package has the functions {', '.join(self.program.functions)}; only the main one is listed"
        if opened := [port.name for port in self.ports.values() if -1 in port.shape]:
            yield "dynamic", f"{len(opened)} tensors have open dimensions, {opened[0]!r} first"
        floats = {p.dtype for op in self.steps for p in op.outputs[:1]}
        if "fp32" in floats and not floats & {"fp16"}:
            yield "float32", "no operator computes in half precision: the Neural Engine runs none of them"


def _storage(constant: Constant) -> str:
    words = form(constant)
    return f"{words}; {bits(constant):.2f} bits each" if words else ""
