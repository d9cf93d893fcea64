"""`edgekit verify`: does the artifact still answer as the float model does?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.bars import bars
from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_file
from edgekit.cli.measuring import DELEGATE, ON, RUNTIME, write_text
from edgekit.cli.parse import nested_dims
from edgekit.cli.preprocessing import preprocess_options, take_preprocess
from edgekit.cli.process import importing
from edgekit.cli.section import option, section
from edgekit.cli.sources import source_options
from edgekit.cli.tables import label_table, table
from edgekit.cli.verifying import LIKENESS, likeness, verify_several

if TYPE_CHECKING:
    from edgekit.verification import Verdict


@command("verify")
@click.argument("artifacts", nargs=-1, required=True, shell_complete=complete_file)
@section(
    "The samples",
    option(
        "--data",
        "-d",
        shell_complete=complete_file,
        help="Samples and labels: .npz, .npy or a folder of images; by default those kept in the artifact.",
    ),
    option("--samples", type=click.IntRange(1), help="Use at most so many."),
    option("--metric", help="accuracy, top5, accuracy:OUTPUT, or FILE.py:FUNCTION; by default accuracy where there are labels."),
)
@section(
    "Gates",
    option("--max-drop", type=float, help="How far the metric may fall below the float model's, such as 0.01."),
    option("--min-accuracy", type=float, help="Least value of the metric."),
    option("--min-cosine", type=float, help="Least cosine, of every output."),
    option("--min-sqnr", type=float, help="Least signal to quantization noise ratio in dB, of every output."),
    option("--min-agreement", type=float, help="Least top-1 agreement, of every output of scores."),
)
@preprocess_options
@source_options
@section("Running it", ON, RUNTIME, DELEGATE)
@click.option("--layers", is_flag=True, help="Of several artifacts, also compare what they compute in each of your modules.")
@click.option("--no-record", is_flag=True, help="Leave the artifact's manifest as it is.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Also write a JUnit report here, a test case for each gate.")
def verify(terminal: Terminal, artifacts: tuple[str, ...], **options: Any) -> int:
    """Hold ARTIFACTS, run on their real runtimes, against the float model they were made from, on the same samples.

    ARTIFACTS are folders made by edgekit convert: one, or several of one model, which are also held against each other. Verdicts go
    into their manifests. A gate that is not met exits with 1.

    \b
      edgekit verify build/model --data test.npz --max-drop 0.01
      edgekit verify build/model --on qemu:cortex-a53
      edgekit verify build/all/android build/all/jetson build/all/mnn --data test.npz --layers
    """
    junit, layers = options.pop("junit"), options.pop("layers")
    if len(artifacts) > 1:
        return verify_several(terminal, artifacts, junit, options | {"layers": layers})
    if layers:
        raise click.UsageError("--layers compares several artifacts: name more than one.")
    (artifact,) = artifacts
    with bars(terminal, f"verifying {artifact}"):
        options |= {"preprocess": take_preprocess(options), "dims": nested_dims(options["dims"]), "record": not options.pop("no_record")}
        with importing():
            from edgekit.verification import verify as run
        verdict = run(artifact, options.pop("model"), **options)
    write_text(junit, verdict.to_junit)
    if terminal.as_json:
        terminal.emit_document(verdict.to_json())
        return 0 if verdict.passed else 1
    _show(terminal, verdict)
    verdict.require()
    return 0


def _show(terminal: Terminal, verdict: Verdict) -> None:
    rows = [("samples", str(verdict.samples)), ("ran on", f"{verdict.runtime}, {verdict.delegate}"), ("against", verdict.reference)]
    if metric := verdict.metric:
        rows += [(f"{metric.name}, float", str(metric.reference or "not measured")), (f"{metric.name}, artifact", str(metric.artifact))]
        rows += [("paired difference", str(metric.difference or "not measured"))]
    rows += [
        ("gate", f"{gate}: {'met' if gate.passed else 'NOT MET'}") for gate in verdict.gates if gate.name != "finite" or not gate.passed
    ]
    rows += [("note", note) for note in verdict.notes]
    figures = [(p.name, f"{p.max_abs:.3g}", f"{p.rmse:.3g}", *likeness(p)) for p in verdict.parity]
    terminal.show(label_table(rows), "", table(("output", "max abs", "RMSE", *LIKENESS), figures, right=range(1, 6)))
