"""How much faster structural pruning makes a TFLite int8 model on this machine, both models launched in turns.

python -m benchmarks.gains [--model NAME]... [--macs SHARE] [--quick] [--out build/bench-gains]

Each model is converted for target android as int8, whole and with channels removed (8-aligned, as the target wants them) until at most
1 / 2.1 of its multiply-accumulates are left, spread in each of the ways that ``prune_channels`` has. Nothing is trained: neither sizes nor
times depend on the values of weights, so this says nothing about accuracy. Beside them stands the same share of weights set to zero
without removing them: a smaller download, no faster. Kernels compute 16 output channels at once, so 24 cost what 32 do: not all
multiply-accumulates that are gone are time that is gone. Scope ``global``, the default with calibration data, knows that.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import keep, markdown, verdict

if TYPE_CHECKING:
    from edgekit.gains import Gains
    from edgekit.recipe import Recipe

ROOT = Path(__file__).parent.parent
MODELS = ("cifar_resnet56", "cifar_resnet20", "ic_resnet8")
"""The speedup is wanted of the first."""
ZEROED = "weights set to zero"
LEFT = 1 / 2.1
WANTED = 1.5
IMAGES = 32


def main() -> int:
    """Convert and measure; returns 1 if no way to prune the first model reaches the speedup wanted."""
    options = _options()
    rows = {
        (name, way): _gains(name, recipe, options.out / f"{name}-{way}".replace(",", "").replace(" ", "-"), quick=options.quick)
        for name in options.model or MODELS[:1]
        for way, recipe in _recipes(options.macs).items()
    }
    print("\n".join(table(rows)))
    document = {f"{name}, {way}": found.to_json() for (name, way), found in rows.items()}
    keep(options.out, "gains", rows=document)
    held = [found for (name, way), found in rows.items() if name == MODELS[0] and way != ZEROED]
    return 0 if not held or any(map(met, held)) else 1


def met(found: Gains) -> bool:
    """Whether the pruned model is as much faster as wanted, and trusted to be."""
    return found.timing is not None and not found.no_measured_gain and found.timing.speedup >= WANTED


def table(rows: dict[tuple[str, str], Gains]) -> list[str]:
    """A Markdown table."""
    head = ["model", "pruning", "MACs", "÷", "bytes", "zipped", "before, ms", "after, ms", "times as fast", "rounds", f"≥ {WANTED}"]
    lines = []
    for (name, way), found in rows.items():
        before, after, timing = found.before, found.after, found.timing
        assert timing is not None, found.reason
        speed = f"{timing.speedup:.2f} ({1 / timing.high:.2f}–{1 / timing.low:.2f})"
        goal = verdict(met(found)) if name == MODELS[0] and way != ZEROED else ""
        sizes = [
            f"{after.macs:,}",
            f"{before.macs / after.macs:.2f}",
            f"{before.bytes:,} → {after.bytes:,}",
            f"{before.zipped:,} → {after.zipped:,}",
        ]
        times = [f"{timing.before_ms:.3f}", f"{timing.after_ms:.3f}", speed, str(timing.rounds)]
        doubts = "; ".join(timing.doubts) or ("no measured gain" if found.no_measured_gain else "")
        lines.append([name, way, *sizes, *times, goal or doubts])
    return markdown(head, lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gains", description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", choices=MODELS, help="measure this model only; repeatable")
    parser.add_argument("--macs", type=float, default=LEFT, help="share of the multiply-accumulates that may be left")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer launches")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-gains")
    return parser.parse_args()


def _recipes(left: float) -> dict[str, Recipe]:
    from dataclasses import replace

    from edgekit.compress.channels.selection import SCOPES
    from edgekit.compress.prune import Prune
    from edgekit.compress.shrinking import shrunk
    from edgekit.recipes import load_recipe

    int8 = load_recipe("int8")
    removed = {f"channels removed, scope {scope}": shrunk(int8, {"macs": left, "scope": scope}) for scope in SCOPES}
    removed["channels removed, scope global, branches kept"] = shrunk(int8, {"macs": left, "branches": False})
    return removed | {ZEROED: replace(int8, name="zeroed", passes=(Prune(round(1 - left, 4)), *int8.passes))}


def _gains(name: str, recipe: Recipe, out: Path, *, quick: bool) -> Gains:
    import edgekit
    from edgekit.gains import Gains
    from edgekit.testing.data import cifar_train, normalized_nchw
    from edgekit.testing.reference import REFERENCE

    print(f"{out.name} …", file=sys.stderr, flush=True)
    model, images = REFERENCE[name](), cifar_train()[0][:IMAGES]
    graph = edgekit.load(model.model, model.example_inputs)
    calibration = images.astype("float32") if graph.inputs[0].shape[-1] == 3 else normalized_nchw(images)
    whole = out.with_name(f"{out.name}-whole")
    made = edgekit.convert(graph, "android", recipe=recipe, calibration=calibration, out=out, unpruned=whole, overwrite=True)
    measured = edgekit.measure_gains(made, whole, quick=quick).manifest.gains
    assert measured is not None
    return Gains.from_json(measured)


if __name__ == "__main__":
    sys.exit(main())
