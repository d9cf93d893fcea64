"""Write the pages that say what the code says: the command line, the errors, and what each format can express.

python -m docs.generate            write them (make docs)
python -m docs.generate --check    fail if one is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs.engine_table import engine_table
from docs.evaluator_page import evaluator
from docs.pass_page import passes
from edgekit.canonicalize.vocabulary import VOCABULARY
from edgekit.targets import Rules, load_rules, load_target
from edgekit_converters.coreml.registry import EMITTERS as COREML
from edgekit_converters.litert.registry import EMITTERS as LITERT
from edgekit_converters.litert.registry import Emitter
from edgekit_converters.onnx.registry import EMITTERS as ONNX

FOLDER = Path(__file__).parent
NOTICE = "<!-- written by `make docs`; edit the code instead -->\n\n"


def command_line() -> str:
    """Every command's help, as the terminal shows it."""
    import click

    from edgekit.cli.app import COMMANDS, app

    settings = {**app.context_settings, "max_content_width": 100, "terminal_width": 100}
    context = click.Context(app, info_name="edgekit", **settings)
    parts = ["# Command line\n\nEach command takes `--json` (one document on stdout, nothing else). Exit codes: [errors.md](errors.md).\n"]
    parts.append(f"```\n{app.get_help(context)}\n```\n")
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        parts.append(f"## edgekit {name}\n\n```\n{command.get_help(inner)}\n```\n")
    return "\n".join(parts)


def error_table() -> str:
    """The exception tree with its exit codes."""
    from edgekit import errors
    from edgekit.cli import failures

    rows = [("0", "", "done"), *_error_rows(errors.EdgekitError)]
    rows.append(
        (str(failures.INTERNAL), "anything else", "A defect of edgekit: the message says where the traceback is and how to report it.")
    )
    rows.append(
        (str(failures.INTERRUPTED), "`KeyboardInterrupt`", "Ctrl-C. What was being written is not there; what was measured is kept.")
    )
    table = "\n".join(f"| {code} | {name} | {meaning} |" for code, name, meaning in sorted(rows, key=lambda row: int(row[0])))
    return f"# Errors and exit codes\n\n{_ERRORS}\n\n| exit code | Python | meaning |\n|---|---|---|\n{table}\n"


_ERRORS = """\
Every error edgekit raises on purpose is an `edgekit.EdgekitError`. It says what was got, what would have been accepted
(`.accepted`), which of your own modules is concerned (`.module`), and the next step (`.next_step`). A library's own
exception never reaches you raw; native code runs in a process of its own, so that its crash is an error like any other.

With `--json`, a failing command prints `{"schema": "edgekit.error/1", "error": {...}}` on stdout, with the same fields and the
exit code. What libraries printed is in a log file under `$XDG_STATE_HOME/edgekit/log` (by default `~/.local/state/edgekit/log`);
the message names the file. The last 20 are kept."""


def _error_rows(base: type[Exception]) -> list[tuple[str, str, str]]:
    rows = []
    for cls in base.__subclasses__():
        if cls.__module__ == base.__module__:
            rows.append((str(getattr(cls, "exit_code", "")), f"`{cls.__name__}`", (cls.__doc__ or "").splitlines()[0]))
            rows += _error_rows(cls)
    return rows


def operator_table() -> str:
    """Which canonical operators each format has, and in which arithmetic."""
    rules, table = load_rules("litert"), {_base_name(target): e for target, e in LITERT.entries.items()}
    names = sorted({_base_name(target) for target in VOCABULARY if hasattr(target, "_schema")})
    lines = "\n".join(f"| `{name}` | {_operator_row(name, table.get(name), rules)} | {_coreml(name)} | {_onnx(name)} |" for name in names)
    header = "| operator | LiteRT float | LiteRT int8 | LiteRT int16×8 | fused | Core ML | ONNX (TensorRT) |\n|---|---|---|---|---|---|---|"
    return f"# Operators by format\n\n{_OPERATORS}\n\n{header}\n{lines}\n"


_OPERATORS = """\
What a canonical graph may hold ([`edgekit/canonicalize`](../edgekit/canonicalize/__init__.py)), by ATen name, and what each
format does with it. *Rewritten*: expressed in other operators of this table before quantization. *Any*: moves no data, so
dtype and grid stay. *Fused*: activations the operator's kernel applies for free. An operator with *no* is an error that
names your module, as is any that is not listed."""


def _coreml(name: str) -> str:
    """Whether Core ML packages have an operator, and from which iOS on."""
    target = load_target("ios")
    assert target.platform is not None
    if name in target.platform.operators:
        return f"since iOS {target.platform.operators[name]}, else rewritten"
    if name in target.rules.lower:
        return "rewritten"
    return "yes" if name in COREML.supported else "no"


def _onnx(name: str) -> str:
    """Whether ONNX files for TensorRT have an operator, and whether it has an int8 kernel."""
    rules = load_rules("tensorrt")
    if name in rules.lower:
        return "rewritten"
    if name not in ONNX.supported:
        return "no"
    return "yes, int8" if name in rules.activations[8].kernels else "yes"


def _operator_row(name: str, emitter: Emitter | None, rules: Rules) -> str:
    if name in rules.lower:
        return "rewritten | by its parts | by its parts | "
    if emitter is None:
        return "no | no | no | "
    if emitter.view:
        return "yes | any | any | "
    integer = ["yes" if bits in rules.activations and name in rules.activations[bits].kernels else "no" for bits in (8, 16)]
    return f"yes | {integer[0]} | {integer[1]} | {', '.join(sorted(rules.fuse.get(name, ())))}"


def _base_name(target: Any) -> str:
    schema = getattr(target, "_schema", None)
    return schema.name.partition("::")[2] if schema is not None else str(target)


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": command_line,
    "errors.md": error_table,
    "operators.md": operator_table,
    "engines.md": engine_table,
    "coreml-evaluator.md": evaluator,
    "passes.md": passes,
}


def outdated() -> list[str]:
    """Pages that are not what the code says."""
    return [
        name
        for name, make in PAGES.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != NOTICE + make()
    ]


def main() -> int:
    """Write or check; returns the exit code."""
    stale = outdated()
    if "--check" in sys.argv:
        print("\n".join(f"docs/{name} is out of date: make docs" for name in stale) or "docs are current")
        return bool(stale)
    for name in stale:
        (FOLDER / name).write_text(NOTICE + PAGES[name](), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
