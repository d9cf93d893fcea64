"""Networks made to fail as int8: does `edgekit debug` find the layer, and does `--fix` win the accuracy back?

python -m benchmarks.sabotaged [--only CASE]... [--out build/bench-sabotaged]

Of a layer, or of two, the weights and bias of the output channel that spans most are multiplied by 50, and those with which the layer
behind it reads that channel divided by 50: in float nothing changes, while 8 bits have to hold both that channel and the others.
(Multiplying all channels changes nothing for int8 either, since the scales take it in: that is the control.) The recipe is plain int8,
minmax ranges and no equalization; it is calibrated on 200 training images. Knobs are chosen with 1000 others; the loss reported is on the
1000 test images. Cases whose results are in the folder already are not run again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.report import keep, markdown, verdict

if TYPE_CHECKING:
    from edgekit.data import Samples
    from edgekit.graph import Graph

ROOT = Path(__file__).parent.parent
FACTOR = 50.0
BUDGET = 0.005
IMAGES, CHOSEN_WITH = 200, 1000


@dataclass(frozen=True)
class Case:
    """One sabotage.

    Attributes:
        model: Which network.
        layers: Module paths of the layers of which a channel is scaled up.
        whole: Scale all of their channels instead: the control, which int8 bears.
    """

    model: str
    layers: tuple[str, ...]
    whole: bool = False

    @property
    def name(self) -> str:
        """For the table, and ``--only``."""
        return f"{self.model} {' and '.join(self.layers)}" + (", all channels" if self.whole else "")


CASES = (
    Case("cifar_resnet20", ("layer1.0.conv1",)),
    Case("cifar_resnet20", ("layer1.1.conv1",)),
    Case("cifar_resnet20", ("layer2.0.conv1",)),
    Case("cifar_resnet20", ("layer1.0.conv1", "layer3.1.conv1")),
    Case("cifar_resnet20", ("layer1.1.conv1", "layer2.0.conv1")),
    Case("cifar_resnet56", ("layer1.0.conv1",)),
    Case("cifar_resnet56", ("layer1.3.conv1", "layer2.5.conv1")),
    Case("ic_resnet8", ("conv2d_1",)),
    Case("ic_resnet8", ("conv2d_1", "conv2d_3")),
    Case("cifar_resnet20", ("layer1.0.conv1",), whole=True),
)


@dataclass(frozen=True)
class Row:
    """What came of one case.

    Attributes:
        case: Its name.
        found: The layers that ``debug`` ranks first, as many as were scaled up.
        share: Their part of the noise.
        causes: As named.
        first: Whether these are the layers that were scaled up.
        control: Whether nothing was to be found.
        float_accuracy: On the test images, like the next two.
        before: Of the artifact as it was.
        after: Of the fixed one.
        knobs: What the recipe that was taken changed.
        trials: Files made to get there.
        debug_seconds: Time of ``debug`` alone.
        fix_seconds: Time of ``--fix``, which debugs too.
    """

    case: str
    found: tuple[str, ...]
    share: float
    causes: tuple[str, ...]
    first: bool
    control: bool
    float_accuracy: float
    before: float
    after: float
    knobs: str
    trials: int
    debug_seconds: float
    fix_seconds: float

    @property
    def met(self) -> bool:
        """Whether the layers were found first and the loss is inside the budget; of the control, whether it loses nothing."""
        near = self.float_accuracy - self.after <= BUDGET + 1e-9
        return near and (self.control or self.first)


def main() -> int:
    """Run everything; returns 1 if a goal is not met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sabotaged", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="CASE", help="run the cases whose names hold this")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-sabotaged")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    options.out.mkdir(parents=True, exist_ok=True)
    known = kept(options.out)
    chosen = [case for case in CASES if not options.only or any(text in case.name for text in options.only)]
    for case in chosen:
        if case.name not in known:
            known[case.name] = run(case, options.out / case.name.replace(" ", "-").replace(",", ""))
            print(line(known[case.name]), file=sys.stderr, flush=True)
            write(options.out, known.values())
    rows = [known[case.name] for case in chosen]
    print("\n".join(table(rows)))
    return 0 if all(row.met for row in rows) else 1


def write(folder: Path, rows: Iterable[Row]) -> None:
    """Keep the rows, with what they were measured on."""
    measured = {"machine": machine(), "versions": versions(sys.executable), "factor": FACTOR, "budget": BUDGET}
    keep(folder, "sabotaged", **measured, rows=[{**asdict(row), "met": row.met} for row in rows])


def kept(folder: Path) -> dict[str, Row]:
    """The rows of earlier runs, by case."""
    results = folder / "results.json"
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"] if results.exists() else []
    own = [{f.name: row[f.name] for f in fields(Row) if f.name in row} for row in rows]
    return {row["case"]: Row(**row | {k: tuple(row[k]) for k in ("found", "causes")}) for row in own if len(row) == len(fields(Row))}


def run(case: Case, folder: Path) -> Row:
    """Sabotage, convert, debug, fix."""
    from edgekit.conversion import convert
    from edgekit.debugging import debug, fix
    from edgekit.verification import verify

    folder.mkdir(parents=True, exist_ok=True)
    calibration, choice, test = _data(case.model)
    graph = sabotaged(_float(case.model), case, calibration)
    samples: dict[str, Any] = {"data": _named(graph, choice), "calibration": _named(graph, calibration)}
    artifact = convert(graph, recipe=_plain(), calibration=samples["calibration"], out=folder / "int8", overwrite=True)
    before = verify(artifact, graph, data=_named(graph, test), record=False).metric
    start = time.perf_counter()
    found = debug(artifact, graph, **samples)
    between = time.perf_counter()
    (folder / "fixed.trials.json").unlink(missing_ok=True)
    fixed = fix(artifact, graph, **samples, max_drop=BUDGET, test=_named(graph, test), out=folder / "fixed", overwrite=True)
    end = time.perf_counter()
    worst = found.ranked[: len(case.layers)]
    assert before is not None and before.reference is not None and fixed.test is not None and fixed.test.metric is not None
    return Row(
        case=case.name,
        found=tuple(layer.name for layer in worst),
        share=sum(layer.share for layer in worst),
        causes=tuple(layer.finding.cause if layer.finding else "" for layer in worst),
        first={layer.name for layer in worst} == set(case.layers),
        control=case.whole,
        float_accuracy=before.reference.value,
        before=before.artifact.value,
        after=fixed.test.metric.artifact.value,
        knobs=fixed.best.change if fixed.best.knob else "none needed",
        trials=len(fixed.trials) - 1,
        debug_seconds=between - start,
        fix_seconds=end - between,
    )


def sabotaged(graph: Graph, case: Case, calibration: np.ndarray) -> Graph:
    """The same function with weights that int8 does not bear."""
    import torch

    from edgekit.compress.channels import free_spaces
    from edgekit.graph import argument, constant, constant_value, finish, module_path, reweigh

    result = graph.copy()
    spaces = {module_path(s.writers[0]): s for s in free_spaces(result) if len(s.writers) == len(s.readers) == 1}
    for layer in case.layers:
        (writer,), (reader,) = spaces[layer].writers, spaces[layer].readers
        factors = torch.full((writer.meta["val"].shape[1],), FACTOR if case.whole else 1.0)
        if not case.whole:
            factors[_widest(graph, writer.name, calibration)] = FACTOR
        bias = constant_value(argument(writer, "bias"))
        assert bias is not None
        up, down = factors.reshape(-1, 1, 1, 1), 1 / factors.reshape(1, -1, 1, 1)
        writer.update_arg(1, reweigh(writer, argument(writer, "weight"), up.mul, "scaled_up"))
        writer.update_arg(2, constant(writer, bias * factors, "scaled_up_bias"))
        reader.update_arg(1, reweigh(reader, argument(reader, "weight"), down.mul, "scaled_down"))
    finish(result.module)
    return result


def table(rows: list[Row]) -> list[str]:
    """A Markdown table."""
    head = ["case", "ranked first", "cause", "float", "int8", "fixed", "by", "trials", "debug, s", "fix, s", ""]
    cells = [
        [
            row.case,
            f"{', '.join(row.found)} ({row.share:.0%} of the noise)",
            ", ".join(dict.fromkeys(row.causes)),
            *(f"{value:.3f}" for value in (row.float_accuracy, row.before, row.after)),
            row.knobs,
            str(row.trials),
            f"{row.debug_seconds:.0f}",
            f"{row.fix_seconds:.0f}",
            verdict(row.met),
        ]
        for row in rows
    ]
    return markdown(head, cells)


def line(row: Row) -> str:
    """One row, for the terminal."""
    return f"{row.case}: {', '.join(row.found)} first, {row.before:.3f} to {row.after:.3f} (float {row.float_accuracy:.3f}) by {row.knobs}"


def _widest(graph: Graph, name: str, calibration: np.ndarray) -> int:
    """The channel of a node that spans most, behind a relu."""
    import torch
    from torch import fx

    seen: dict[str, torch.Tensor] = {}

    class Watching(fx.Interpreter):
        """Keeps each channel's largest value."""

        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if n.name == name:
                largest = value.relu().amax((0, 2, 3))
                seen[name] = torch.maximum(seen.get(name, largest), largest)
            return value

    with torch.inference_mode():
        for image in calibration[:50]:
            Watching(graph.module).run(torch.from_numpy(image[None]))
    return int(seen[name].argmax())


def _float(name: str) -> Graph:
    import edgekit
    from edgekit.testing.reference import REFERENCE

    reference = REFERENCE[name]()
    return edgekit.load(reference.model, reference.example_inputs)


def _plain() -> Any:
    from edgekit.recipe import Recipe, pass_class

    return Recipe("plain", (pass_class("quantize")(scheme="w8a8", calibration="minmax"),))


def _data(name: str) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Calibration images, and labelled ones to choose with and to test on."""
    from edgekit.testing.data import cifar_test, cifar_train, normalized_nchw

    ready = normalized_nchw if name.startswith("cifar") else (lambda pixels: pixels.astype(np.float32))
    (train, labels), (images, truth) = cifar_train(), cifar_test()
    chosen = slice(IMAGES, IMAGES + CHOSEN_WITH)
    return ready(train[:IMAGES]), (ready(train[chosen]), labels[chosen]), (ready(images), truth)


def _named(graph: Graph, data: Any) -> Samples:
    from edgekit.data import Samples

    images, labels = data if isinstance(data, tuple) else (data, None)
    return Samples({graph.inputs[0].name: images}, None if labels is None else labels.astype(np.int64))


if __name__ == "__main__":
    raise SystemExit(main())
