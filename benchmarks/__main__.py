"""Measure edgekit against its peers: conversions interleaved, latencies interleaved, everything in processes of its own.

python -m benchmarks [--only MODEL]... [--repeats N] [--out build/bench]
"""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
from pathlib import Path

from benchmarks import process, table
from benchmarks.cases import Case, cases
from benchmarks.evaluate import facts
from benchmarks.goals import goals
from benchmarks.machine import machine, versions
from benchmarks.results import OURS, Ratio, Results
from benchmarks.startup import startup
from edgekit.errors import EdgekitError
from edgekit.testing.data import find_data_folder

ROOT = Path(__file__).parent.parent
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
"""Peers live in an environment of their own, as their users have them; edgekit in the one that runs this."""
MODEL = "model.tflite"


def main() -> int:
    """Run everything; returns 1 if a goal is not met."""
    options = _options()
    data = find_data_folder()
    if data is None:
        print("the benchmarks need the data folder: set EDGEKIT_DATA", file=sys.stderr)
        return 2
    if not PEERS_PYTHON.exists():
        print("the peers are not installed: run make bench", file=sys.stderr)
        return 2
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another benchmark is writing {out}: two at once measure each other", file=sys.stderr)
            return 2
        return _measure(options, data, out)


def _measure(options: argparse.Namespace, data: Path, out: Path) -> int:
    results = Results(machine(), {**versions(str(PEERS_PYTHON)), **versions(sys.executable)})
    chosen = [case for case in cases(data, out) if not options.only or case.name in options.only]
    _prepare(out)
    for case in chosen:
        _convert(case, out, options.repeats, results)
        _inspect(case, out, results)
    for case in chosen:
        _compare(case, out, results)
    results.startup = startup()
    return _finish(results, out, readme=not options.only)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="MODEL", help="measure this model only; the README is left alone")
    parser.add_argument("--repeats", type=int, default=3, help="interleaved conversions by each tool, after an unmeasured one")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _prepare(out: Path) -> None:
    cost = process.run([sys.executable, "-m", "benchmarks.cases", str(out)], out / "prepare.log")
    if cost.code:
        raise SystemExit(f"preparing the data failed: {out / 'prepare.log'}")


def _command(case: Case, tool: str, out: Path) -> list[str]:
    folder, calibration = case.folder(out), case.folder(out) / "calibration.npz"
    if tool == OURS:
        edgekit = str(Path(sys.executable).with_name("edgekit"))
        options = ["--target", "android", "--calibration", str(calibration), "--out", str(folder / OURS), "--force"]
        return [edgekit, "convert", case.source, *options]
    return [str(PEERS_PYTHON), "-m", "benchmarks.peers", tool, case.source, str(calibration), str(folder / f"{tool}.tflite")]


def _file(case: Case, tool: str, out: Path) -> Path:
    if tool == "reference":
        return Path(str(case.reference))
    return case.folder(out) / OURS / MODEL if tool == OURS else case.folder(out) / f"{tool}.tflite"


def _convert(case: Case, out: Path, repeats: int, results: Results) -> None:
    """Each tool in turn, `repeats` times; the first round only warms the file cache."""
    for turn in range(repeats + 1):
        for tool in (OURS, *case.peers):
            entry = results.entry(case.name, tool)
            if entry.failure:
                continue
            cost = process.run(_command(case, tool, out), case.folder(out) / f"{tool}.log")
            ended = f"failed with exit code {cost.code} after" if cost.code else "converted in"
            _say(f"{case.name}: {tool} {ended} {cost.seconds:.1f} s, {cost.peak_bytes / process.MIB:.0f} MiB")
            if cost.code:
                entry.failure = f"exit code {cost.code}"
            elif turn:
                entry.costs.append(cost)


def _inspect(case: Case, out: Path, results: Results) -> None:
    test = case.folder(out) / "test.npz" if case.labelled else None
    for tool in (OURS, *case.peers, *(["reference"] if case.reference else [])):
        entry = results.entry(case.name, tool)
        if entry.failure:
            continue
        try:
            entry.file = facts(_file(case, tool, out), test)
        except EdgekitError as error:
            entry.failure = str(error).splitlines()[0]
        _say(f"{case.name}: {tool}: {entry.failure or entry.file}")


def _compare(case: Case, out: Path, results: Results) -> None:
    """Our file against each peer's, interleaved."""
    from edgekit import compare

    ours = results.entry(case.name, OURS)
    for entry in results.entries:
        if entry.model != case.name or entry is ours or entry.file is None or ours.file is None:
            continue
        found = compare(_file(case, entry.tool, out), _file(case, OURS, out))
        ours.latency, entry.latency = found.b.latency.median_ms, found.a.latency.median_ms
        ratio = Ratio(found.ratio.value, found.ratio.low, found.ratio.high, f"95 % bootstrap, {len(found.order)} interleaved rounds")
        results.latency.setdefault(case.name, {})[entry.tool] = ratio
        if not found.validity.valid:
            doubts = "; ".join(f.text for f in found.validity.reasons)
            results.remarks.append(f"latency of {case.name} against {entry.tool}: {doubts}")
        _say(f"{case.name}: {found.sentence}")


def _finish(results: Results, out: Path, *, readme: bool) -> int:
    found = goals(results)
    document = results.to_json(found)
    (out / "results.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    section = table.render(json.loads(json.dumps(document)))
    if readme:
        table.update(table.README, section)
    print(section)
    return 0 if all(goal.met for goal in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
