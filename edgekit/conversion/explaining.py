"""Explain: read a model file, whoever wrote it, and say what a reader should know of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit import plugins, worker
from edgekit.artifact import Artifact
from edgekit.conversion.explanation import Explanation, Finding, OpRow, TensorRow
from edgekit.conversion.running import request, runtime_for
from edgekit.errors import EdgekitError, LoadError, UsageError
from edgekit.plugins import Converter
from edgekit.tensors import Grid, TensorSpec

_EDGES = ("QUANTIZE", "DEQUANTIZE")
_SHAPES = ("SHAPE", "PACK", "STRIDED_SLICE", "FILL", "RANGE")
_IDENTIFIERS = {"litert": b"TFL3"}
_FOLDERS = (".mlpackage",)
"""Suffixes of models that are folders."""
_NEEDS = {"litert": "ai_edge_litert", "onnx": "onnx", "tensorrt": "onnx", "coreml": "coremltools", "mnn": "flatbuffers"}
"""Package that the reader of a format imports."""


def explain(path: str | Path | Artifact, *, delegate: str = "xnnpack") -> Explanation:
    """Read a model file or an artifact, and ask the runtime what would run where.

    Args:
        path: A model file, an artifact folder, or an `Artifact`.
        delegate: Of the runtime: ``xnnpack``, ``none`` or ``reference``.

    Raises:
        UsageError: There is no such file, or no converter knows its format.
        LoadError: It is damaged.
    """
    artifact = path if isinstance(path, Artifact) else Artifact.load(path) if _is_artifact(Path(path)) else None
    file = artifact.model_file if artifact else Path(str(path))
    converter = _known(file, artifact)
    _check_identifier(file, converter.name)
    read = _read(file, converter)
    modules = [op.module for op in artifact.manifest.ops] if artifact else []
    where, trouble = _runners(file, converter.name, delegate)
    ops = tuple(_op(op, modules if len(modules) == len(read["ops"]) else [], where) for op in read["ops"])
    tensors = tuple(_tensor(t) for t in read["tensors"])
    return Explanation(
        file=file,
        format=converter.name,
        **{key: read[key] for key in ("bytes", "sha256", "description", "metadata")},
        signatures={s["key"]: {"inputs": list(s["inputs"]), "outputs": list(s["outputs"])} for s in read["signatures"]},
        inputs=tuple(TensorSpec.from_json(s) for s in read["inputs"]),
        outputs=tuple(TensorSpec.from_json(s) for s in read["outputs"]),
        tensors=tensors,
        ops=ops,
        facts=read.get("facts", {}),
        findings=(*trouble, *(_own_findings(read) if "findings" in read else _findings(ops, tensors, read, delegate))),
    )


def _is_artifact(path: Path) -> bool:
    """A folder that is no model by itself, as a ``.mlpackage`` is."""
    return path.is_dir() and path.suffix not in _FOLDERS


def _known(file: Path, artifact: Artifact | None) -> Converter:
    if artifact is None and not file.is_file() and not (file.is_dir() and file.suffix in _FOLDERS):
        raise UsageError(f"there is no file {file}", accepted="a model file or an artifact folder")
    readable = {name: c for name in plugins.names("converters") if (c := plugins.load("converters", name)).reader}
    for name, converter in readable.items():
        if artifact.manifest.format == name if artifact else file.suffix == converter.suffix:
            return converter  # type: ignore[no-any-return]
    wrong = f"format {artifact.manifest.format!r}" if artifact else f"files that end in {file.suffix!r}"
    raise UsageError(f"nothing here can explain {wrong}", accepted=sorted({c.suffix for c in readable.values()}))


def _check_identifier(file: Path, name: str) -> None:
    """Refuse what is plainly something else before any native code sees it."""
    wanted = _IDENTIFIERS.get(name)
    if wanted is None:
        return
    with file.open("rb") as stream:
        head = stream.read(8)
    if head[4:8] != wanted:
        raise LoadError(f"{file.name} is not a {name} model: bytes 4 to 8 are {head[4:8]!r}", accepted=f"{wanted!r}")


def _read(file: Path, converter: Converter) -> dict[str, Any]:
    if converter.name in _NEEDS:
        plugins.require(_NEEDS[converter.name], converter.extra)
    assert converter.reader is not None
    try:
        return worker.run(converter.reader, {"model": str(file.resolve())}, timeout=120)[0]
    except worker.WorkerCrashed as crash:
        raise LoadError(f"{file.name} cannot be read: {crash.crash.reason}", accepted=f"a whole {converter.suffix} file") from None


def _runners(file: Path, name: str, delegate: str) -> tuple[dict[int, bool | None], tuple[Finding, ...]]:
    try:
        found = runtime_for(name).inspect(request(file, delegate, timeout=120))
    except EdgekitError as error:
        return {}, (Finding("load", f"the runtime cannot load this file: {error.message}"),)
    return {op["index"]: op["delegated"] for op in found["ops"]}, ()


def _op(data: dict[str, Any], modules: list[str], where: Mapping[int, bool | None]) -> OpRow:
    index = data["index"]
    module = modules[index] if modules else data.get("module")
    values = data | {"inputs": tuple(data["inputs"]), "outputs": tuple(data["outputs"]), "module": module}
    return OpRow(**values, delegated=where.get(index))


def _tensor(data: dict[str, Any]) -> TensorRow:
    grid = data["grid"]
    made = Grid(grid["dtype"], tuple(grid["scale"]), tuple(grid["zero_point"]), grid["axis"], grid["block"]) if grid else None
    return TensorRow(**data | {"shape": tuple(data["shape"]), "dynamic": tuple(data["dynamic"]), "grid": made})


def _own_findings(read: dict[str, Any]) -> list[Finding]:
    """What the format's reader found."""
    return [Finding(f["kind"], f["text"]) for f in read["findings"]]


def _findings(ops: tuple[OpRow, ...], tensors: tuple[TensorRow, ...], read: dict[str, Any], delegate: str) -> list[Finding]:
    made = {t for op in ops for t in op.outputs}
    used = {t for op in ops for t in op.inputs}
    integer = any(op.dtype in ("int8", "uint8", "int16") for op in ops if op.name not in _EDGES)
    found = []
    for op in ops:
        interior = bool(made.intersection(op.inputs)) and bool(used.intersection(op.outputs))
        label = f"{op.name} #{op.index}" + (f" of {op.module}" if op.module else "")
        if op.name == "TRANSPOSE":
            found.append(Finding("transpose", f"{label} reorders a tensor " + ("inside the model" if interior else "at the model's edge")))
        elif op.name in _EDGES and interior and integer:
            found.append(Finding("requantized", f"{label} changes a grid inside the model"))
        elif op.name in _SHAPES:
            found.append(Finding("shape arithmetic", f"{label} computes a shape at run time"))
        elif integer and op.dtype.startswith("float") and op.name not in _EDGES:
            found.append(Finding("float", f"{label} computes in {op.dtype} inside an integer model"))
    left = Counter(op.name for op in ops if op.delegated is False)
    if left and delegate not in ("none", "reference"):
        names = ", ".join(f"{count} {name}" for name, count in left.most_common())
        found.append(Finding("not delegated", f"{delegate} leaves {sum(left.values())} of {len(ops)} operators to plain kernels: {names}"))
    return found + _file_findings(tensors, read)


def _file_findings(tensors: tuple[TensorRow, ...], read: dict[str, Any]) -> list[Finding]:
    found = []
    if read["repeated_bytes"]:
        found.append(Finding("repeated", f"{read['repeated_bytes']:,} bytes of constants are stored more than once"))
    if not read["signatures"]:
        found.append(Finding("no signature", "the file has no signature: inputs and outputs are known by tensor names only"))
    if read["subgraphs"] > 1:
        found.append(Finding("subgraphs", f"the file has {read['subgraphs']} subgraphs; only the main one is listed"))
    opened = [t.name for t in tensors if t.dynamic and not t.constant]
    if opened:
        found.append(Finding("dynamic", f"{len(opened)} tensors have open dimensions, {opened[0]!r} first"))
    return found
