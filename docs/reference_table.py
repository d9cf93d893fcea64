"""Convert every reference model for every target, and write the table of what came out: docs/reference-models.md.

python -m docs.reference_table                  measure what is missing, then write the page
python -m docs.reference_table unet vit         only these models
python -m docs.reference_table --again          measure all again that another commit's code was measured on

Each model has a process of its own, and each conversion another. Results are kept in build/reference-models/ with the commit they are of,
so that an interrupted run is taken up again. The page is written from whatever is there, and says if that is not of one commit.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "reference-models"
PAGE = ROOT / "docs" / "reference-models.md"
TARGETS = ("android", "ios", "jetson", "mnn")
RECIPES = ("float32", "int8")
TIMEOUT = 1800
_HEAD = """\
<!-- written by `python -m docs.reference_table`; edit the code instead -->

# Reference models by target

Every model of the reference set (`edgekit/testing/reference.py`), converted for each target and run on the runtime that checks its
artifacts. A cell is the size of the model file and the largest difference of any output from the float model's, relative to the
largest value of that output, over eight random inputs. Weights are the models' own where they are at hand, else random, and conversions
are checked and int8 is calibrated on the same eight inputs: the figures show that conversions are right, not how accurate a trained
model is. iOS files compute in half precision, so their float column differs by its rounding. A gap names the operator that is missing, or
what failed.
"""


def main() -> int:
    """Measure and write; 0 even where there are gaps, which the page shows."""
    parser = argparse.ArgumentParser(prog="python -m docs.reference_table")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _measure(options.one)
        return 0
    from edgekit.testing.reference import REFERENCE

    KEPT.mkdir(parents=True, exist_ok=True)
    for name in options.models or REFERENCE:
        kept = _kept(name)
        if kept is None or (options.again and kept["commit"] != _commit()):
            _in_own_process(name)
    PAGE.write_text(page({name: kept for name in REFERENCE if (kept := _kept(name)) is not None}), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


def _in_own_process(name: str) -> None:
    command = [sys.executable, "-m", "docs.reference_table", "--one", name]
    try:
        with (KEPT / f"{name}.log").open("wb") as log:
            code = subprocess.run(command, stdout=log, stderr=log, cwd=ROOT, timeout=TIMEOUT, check=False).returncode
    except subprocess.TimeoutExpired:
        code = -1
    print(f"{name}: {'done' if code == 0 else f'failed, see build/reference-models/{name}.log'}", flush=True)


def _measure(name: str) -> None:
    """Convert one model for all targets, in a process each, and keep what came out."""
    import tempfile

    import numpy as np

    import edgekit
    from edgekit.testing.reference import REFERENCE

    reference = REFERENCE[name]()
    graph = edgekit.load(reference.model, reference.example_inputs)
    drawn = [reference.inputs(seed, 1) for seed in range(8)]
    data = {s.name: np.stack([rows[i].numpy()[0] for rows in drawn]).astype(s.dtype) for i, s in enumerate(graph.inputs)}
    cells: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for recipe in RECIPES:
            done = edgekit.convert_all(graph, TARGETS, recipe=recipe, calibration=data, out=Path(scratch) / recipe, jobs=2)
            for target, artifact in done.artifacts.items():
                verdict = edgekit.verify(artifact, graph, data=data, record=False)
                sizes = {s.name: float(np.abs(value).max()) or 1.0 for s, value in _outputs(graph, data)}
                apart = max(p.max_abs / sizes[p.name] for p in verdict.parity)
                cells[f"{target} {recipe}"] = {"bytes": artifact.model_bytes, "difference": apart}
            for target, error in done.errors.items():
                op = getattr(error, "op", None)
                cells[f"{target} {recipe}"] = {"gap": f"{op}: {error.message}" if op else error.message}
    temporary = KEPT / f"{name}.json.part"
    kept = {"kind": reference.kind, "framework": reference.framework, "commit": _commit(), "cells": cells}
    temporary.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    temporary.rename(KEPT / f"{name}.json")


def _kept(name: str) -> dict[str, Any] | None:
    """What was measured of a model; None if nothing was."""
    path = KEPT / f"{name}.json"
    return {"commit": ""} | json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


@functools.cache
def _commit() -> str:
    """The commit that is checked out; empty outside of a repository."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.strip()


def _outputs(graph: Any, data: Any) -> list[tuple[Any, Any]]:
    from edgekit.conversion.running import run_graph

    outputs = run_graph(graph, data)
    return [(spec, outputs[spec.name]) for spec in graph.outputs]


def page(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of the models that were measured, by name."""
    columns = [(target, recipe) for target in TARGETS for recipe in RECIPES]
    lines = [f"| model | {' | '.join(f'{t} {_word(t, r)}' for t, r in columns)} |", "|---" * (len(columns) + 1) + "|"]
    gaps = []
    for name, kept in measured.items():
        cells = [kept["cells"].get(f"{target} {recipe}") for target, recipe in columns]
        lines.append(f"| {name} | {' | '.join(map(_cell, cells))} |")
        for (target, recipe), cell in zip(columns, cells, strict=True):
            if cell and "gap" in cell:
                gaps.append(f"| {name} | {target} {recipe} | {cell['gap'].splitlines()[0].replace('|', '/')} |")
    missing = "\n".join(["\n## Gaps\n", "| model | target | what is missing |", "|---|---|---|", *gaps]) if gaps else "\nThere are no gaps."
    mixed = "\nRows are not all of one commit.\n" if len({kept["commit"] for kept in measured.values()}) > 1 else ""
    return f"{_HEAD}{mixed}\n" + "\n".join(lines) + "\n" + missing + "\n"


def _word(target: str, recipe: str) -> str:
    return "fp16" if (target, recipe) == ("ios", "float32") else "float" if recipe == "float32" else recipe


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    return "gap" if "gap" in cell else f"{cell['bytes'] / 1000:,.0f} kB, {cell['difference']:.1g}"


if __name__ == "__main__":
    raise SystemExit(main())
