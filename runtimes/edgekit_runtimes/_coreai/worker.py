"""What the second opinion does inside its worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit_runtimes._coreai.evaluate import CoreAIEvaluator
from edgekit_runtimes._coreml.program import Program
from edgekit_runtimes._coreml.session import CoreMLSession
from edgekit_runtimes._sessions import Answer, Arrays


class CoreAISession(CoreMLSession):
    """A package whose program Core AI runs, one sample after the other."""

    side_by_side = False

    def _evaluator(self, program: Program) -> CoreAIEvaluator:
        return CoreAIEvaluator(program, [edge.port.name for edge in self.interface.outputs])


def run(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Run every sample."""
    return {}, CoreAISession(Path(arguments["model"])).run(arrays)


def inspect(arguments: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Translate; say what is in the file."""
    session = CoreAISession(Path(arguments["model"]))
    steps = [operation for operation in session.evaluator.program.operations if not operation.constant]
    ops = [{"index": i, "name": op.kind, "outputs": [p.name for p in op.outputs], "delegated": None} for i, op in enumerate(steps)]
    return {**{side: [e.spec().to_json() for e in getattr(session.interface, side)] for side in ("inputs", "outputs")}, "ops": ops}, {}
