"""From a graph to a package: one pass over the nodes, the model's edges, and a worker that has coremltools write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import fx

from edgekit import worker
from edgekit.errors import ConversionError
from edgekit.graph import Graph
from edgekit.plugins import Emitted, EmittedOp, EmittedWeight, Encoding
from edgekit.targets import load_target
from edgekit.targets.platform import Platform
from edgekit_converters.coreml.edges import checked_dtype, classes, edge_spec, foreign_names, read_inputs, texts, user_texts, write_outputs
from edgekit_converters.coreml.emission import Emission
from edgekit_converters.coreml.program import Operation, Program, refs
from edgekit_converters.coreml.registry import EMITTERS

MODEL_FILE = "model.mlpackage"


def emit(graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
    """Write `graph` as ``model.mlpackage`` in `folder`."""
    return emit_with(_in_worker, graph, folder, encoding)


def emit_with(write: Callable[[Program, Path], dict[str, Any]], graph: Graph, folder: Path, encoding: Encoding) -> Emitted:
    """The same by another `write`, which gets the program and the package's path (see `edgekit_converters.coreml.writer.write`)."""
    checked_dtype("output", encoding.output_dtype)
    emission = Emission(encoding.compute, encoding.platform or _default_platform())
    program = _program(emission, graph, encoding)
    found = write(program, folder / MODEL_FILE)
    ops = tuple(EmittedOp(op["name"], op["module"], op["dtype"], tuple(map(tuple, op["shapes"]))) for op in found["ops"])
    return Emitted(
        MODEL_FILE,
        tuple(edge_spec(s, "float32" if s.name in encoding.images else encoding.input_dtype) for s in graph.inputs),
        tuple(edge_spec(s, encoding.output_dtype) for s in graph.outputs),
        ops,
        (*emission.notes, *_renamings(graph)),
        {emission.platform.name: emission.platform.minimum},
        weights=_kept(emission.weights, program, set(found["constants"])),
    )


def _default_platform() -> Platform:
    platform = load_target("ios").platform
    assert platform is not None
    return platform


def _program(emission: Emission, graph: Graph, encoding: Encoding) -> Program:
    inputs = read_inputs(emission, graph, encoding)
    names = [emission.unused(spec.name) for spec in graph.outputs]
    for node in graph.nodes:
        if node.op == "call_function" and node.users and node not in emission.values:
            _write(emission, node)
    write_outputs(emission, graph, encoding, names)
    return Program(
        version=emission.platform.minimum,
        inputs=inputs,
        operations=_live(emission.operations, names),
        outputs=tuple(names),
        classes=classes(emission, graph, encoding, names),
        metadata=texts(encoding),
        user_metadata=user_texts(emission, graph),
    )


def _write(emission: Emission, node: fx.Node) -> None:
    emission.node = node
    emitter = EMITTERS.entries.get(node.target)
    if emitter is None:
        raise emission.refusal(
            "it has no emitter", accepted=EMITTERS.nearest(node), next_step="edgekit targets, or lower it to operators the format has"
        )
    emission.values[node] = emitter(emission, node)


def _live(operations: Sequence[Operation], outputs: Sequence[str]) -> tuple[Operation, ...]:
    """The operations that outputs depend on."""
    needed, kept = set(outputs), []
    for operation in reversed(operations):
        if operation.name in needed:
            kept.append(operation)
            needed.update(ref.name for ref in refs(operation))
    return tuple(reversed(kept))


def _in_worker(program: Program, path: Path) -> dict[str, Any]:
    """Have a worker write the package; what it says was written.

    Raises:
        ConversionError: coremltools fails on it.
    """
    structure, arrays = program.pack()
    try:
        return worker.run("edgekit_converters.coreml.writer:serve", {"program": structure, "path": str(path.resolve())}, arrays)[0]
    except worker.WorkerCrashed as crash:
        reason = crash.crash.reason
        raise ConversionError(f"coremltools failed to write the package: {reason}", next_step="report this as a defect") from None


def _kept(weights: list[EmittedWeight], program: Program, constants: set[str]) -> tuple[EmittedWeight, ...]:
    """The constants that live operations read and that the file has; what coremltools may fold away is of one value throughout."""
    live = {op.name for op in program.operations}
    found = [w for w in weights if w.name in live]
    lost = [w for w in found if w.name not in constants and (w.values != w.values.flat[0]).any()]
    if lost:
        raise ConversionError(
            f"coremltools left the constant {lost[0].name!r} out of the package",
            module=lost[0].module or None,
            next_step="report this as a defect",
        )
    return tuple(w for w in found if w.name in constants)


def _renamings(graph: Graph) -> tuple[str, ...]:
    return tuple(
        f"{name!r} is called {new!r} in the file: Core ML takes letters, digits and _ only" for new, name in foreign_names(graph).items()
    )
