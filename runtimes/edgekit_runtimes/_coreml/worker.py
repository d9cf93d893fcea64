"""What the Core ML evaluator does inside its worker process: torch, protobuf and numpy; no coremltools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgekit_runtimes import _feeding as feeding
from edgekit_runtimes._coreml.constants import constants
from edgekit_runtimes._coreml.limits import limited
from edgekit_runtimes._coreml.package import open_package
from edgekit_runtimes._coreml.program import read_program
from edgekit_runtimes._sessions import Answer, Arrays


def run(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Run every sample."""
    import torch  # noqa: PLC0415 - reading weights needs none of it

    from edgekit_runtimes._coreml.session import CoreMLSession  # noqa: PLC0415

    torch.set_num_threads(arguments["threads"])
    return {}, CoreMLSession(Path(arguments["model"])).run(arrays)


def inspect(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Load; say what is in the file."""
    from edgekit_runtimes._coreml.session import CoreMLSession  # noqa: PLC0415

    session = CoreMLSession(Path(arguments["model"]))
    steps = [operation for operation in session.evaluator.program.operations if not operation.constant]
    ops = [{"index": i, "name": op.kind, "outputs": [p.name for p in op.outputs], "delegated": None} for i, op in enumerate(steps)]
    ports = {side: [edge.spec().to_json() for edge in getattr(session.interface, side)] for side in ("inputs", "outputs")}
    return {**ports, "ops": ops}, {}


def layers(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """The values called ``arguments["layers"]`` on every sample, one after the other."""
    import torch  # noqa: PLC0415

    from edgekit_runtimes._coreml.session import CoreMLSession  # noqa: PLC0415

    session = CoreMLSession(Path(arguments["model"]))
    made = {p.name for operation in session.evaluator.program.operations if not operation.constant for p in operation.outputs}
    names = [name for name in arguments["layers"] if name in made]
    rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
    with torch.no_grad():
        for group in session._groups(arrays, feeding.check(session, arrays), feeding.prepare(session, arrays)):  # type: ignore[arg-type]
            for i in range(len(next(iter(group.values())))):
                values = session.evaluator({name: value[i] for name, value in group.items()}, names)
                for name in names:
                    rows[name].append(np.asarray(values[name], np.float32))
    return {"names": names}, {str(i): np.concatenate(rows[name]) for i, name in enumerate(names)}


def weights(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Every constant that an operation uses, decompressed; what only serves to compress another is left out."""
    path = Path(arguments["model"])
    with limited(path):
        program = read_program(open_package(path))
        found, used = (
            constants(program),
            {name for operation in program.operations if not operation.constant for name in operation.references},
        )
    return {}, {n: np.ascontiguousarray(c.array) for n, c in found.items() if n in used and c.array.dtype.kind not in "US"}
