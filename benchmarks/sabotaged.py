"""Networks made to fail as int8: does `edgekit debug` find the layer, and does `--fix` win the accuracy back?

python -m benchmarks.sabotaged [--only CASE]... [--out build/bench-sabotaged]

Of one layer, the weights and bias of the output channel that spans most are multiplied by 50, and those with which the layer behind it
reads that channel divided by 50: in float nothing changes, while 8 bits have to hold both that channel and the others. (Multiplying all
channels changes nothing for int8 either, since the scales take it in: that is the control.) The recipe is plain int8, minmax ranges and no
equalization; it is calibrated on 200 training images. Knobs are chosen with 1000 others; the loss reported is on the 1000 test images.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
        layer: Module path of the layer whose channel is scaled up.
        whole: Scale all of its channels instead: the control, which int8 bears.
    """

    model: str
    layer: str
    whole: bool = False

    @property
    def name(self) -> str:
        """For the table, and ``--only``."""
        return f"{self.model} {self.layer}" + (", all channels" if self.whole else "")


CASES = (
    Case("cifar_resnet20", "layer1.0.conv1"),
    Case("cifar_resnet20", "layer1.1.conv1"),
    Case("cifar_resnet20", "layer2.0.conv1"),
    Case("cifar_resnet56", "layer1.0.conv1"),
    Case("cifar_resnet20", "layer1.0.conv1", whole=True),
)


@dataclass(frozen=True)
class Row:
    """What came of one case.

    Attributes:
        case: Its name.
        found: The layer that ``debug`` ranks first.
        share: Its part of the noise.
        cause: As named.
        first: Whether that is the layer that was scaled up.
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
    found: str
    share: float
    cause: str
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
        """Whether the layer was found first and the loss is inside the budget; of the control, whether it loses nothing."""
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
    rows = []
    for case in CASES:
        if not options.only or any(text in case.name for text in options.only):
            rows.append(run(case, options.out / case.name.replace(" ", "-").replace(",", "")))
            print(line(rows[-1]), file=sys.stderr, flush=True)
            keep(options.out, "sabotaged", rows=[{**asdict(row), "met": row.met} for row in rows])
    print("\n".join(table(rows)))
    return 0 if all(row.met for row in rows) else 1


def run(case: Case, folder: Path) -> Row:
    """Sabotage, convert, debug, fix."""
    from edgekit.conversion import convert
    from edgekit.debugging import debug, fix
    from edgekit.verification import verify

    folder.mkdir(parents=True, exist_ok=True)
    calibration, choice, test = _data()
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
    worst = found.ranked[0]
    assert before is not None and before.reference is not None and fixed.test is not None and fixed.test.metric is not None
    return Row(
        case=case.name,
        found=worst.name,
        share=worst.share,
        cause=worst.finding.cause if worst.finding else "",
        first=worst.name == case.layer,
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
    (space,) = (s for s in free_spaces(result) if [module_path(n) for n in s.writers] == [case.layer])
    (writer,), (reader,) = space.writers, space.readers
    factors = torch.full((writer.meta["val"].shape[1],), FACTOR if case.whole else 1.0)
    if not case.whole:
        factors[_widest(graph, writer.name, calibration)] = FACTOR
    bias = constant_value(argument(writer, "bias"))
    assert bias is not None
    writer.update_arg(1, reweigh(writer, argument(writer, "weight"), lambda w: w * factors.reshape(-1, 1, 1, 1), "scaled_up"))
    writer.update_arg(2, constant(writer, bias * factors, "scaled_up_bias"))
    reader.update_arg(1, reweigh(reader, argument(reader, "weight"), lambda w: w / factors.reshape(1, -1, 1, 1), "scaled_down"))
    finish(result.module)
    return result


def table(rows: list[Row]) -> list[str]:
    """A Markdown table."""
    head = ["case", "ranked first", "cause", "float", "int8", "fixed", "by", "trials", "debug, s", "fix, s", ""]
    cells = [
        [
            row.case,
            f"{row.found} ({row.share:.0%} of the noise)",
            row.cause,
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
    return f"{row.case}: {row.found} first, {row.before:.3f} to {row.after:.3f} (float {row.float_accuracy:.3f}) by {row.knobs}"


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
    from benchmarks import models

    module, inputs = getattr(models, name)()
    return edgekit.load(module, inputs)


def _plain() -> Any:
    from edgekit.recipe import Recipe, pass_class

    return Recipe("plain", (pass_class("quantize")(scheme="w8a8", calibration="minmax"),))


def _data() -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Calibration images, and labelled ones to choose with and to test on."""
    from edgekit.testing.data import cifar_test, cifar_train, normalized_nchw

    (train, labels), (images, truth) = cifar_train(), cifar_test()
    chosen = slice(IMAGES, IMAGES + CHOSEN_WITH)
    return normalized_nchw(train[:IMAGES]), (normalized_nchw(train[chosen]), labels[chosen]), (normalized_nchw(images), truth)


def _named(graph: Graph, data: Any) -> Samples:
    from edgekit.data import Samples

    images, labels = data if isinstance(data, tuple) else (data, None)
    return Samples({graph.inputs[0].name: images}, None if labels is None else labels.astype(np.int64))


if __name__ == "__main__":
    raise SystemExit(main())
