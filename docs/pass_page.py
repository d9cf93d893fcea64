"""The page of all passes: what each takes and gives, where it is from, and its options, as their docstrings say."""

from __future__ import annotations

from edgekit.documenting import Option, PassText, pass_text
from edgekit.ordering import CLASHES, NEEDS
from edgekit.recipe import PASSES
from edgekit.recipes import recipe_names, summary

_INTRODUCTION = """\
A recipe is an ordered list of passes; each maps the model's graph to another graph. `edgekit recipes int8 > mine.toml` prints one to
start from, `edgekit recipes prune_channels` says on the terminal what is said here. What a pass imposes on a weight (zeros, tables,
integer grids) is kept by those after it; how they go together is in [compression.md](compression.md)."""


def passes() -> str:
    """Every pass, the presets made of them, and the orders that cannot work."""
    presets = "\n".join(f"| `{name}` | {summary(name)} |" for name in recipe_names())
    parts = [f"# Passes and recipes\n\n{_INTRODUCTION}\n", f"## Presets\n\n| recipe | |\n|---|---|\n{presets}\n", _orders()]
    return "\n".join([*parts, *(_section(pass_text(name)) for name in PASSES)])


def _orders() -> str:
    rows = [(clash.late, "after", clash.early, clash.reason) for clash in CLASHES]
    rows += [(need.late, "without", need.early, need.reason) for need in NEEDS]
    lines = "\n".join(f"| {_names(late)} | {word} {_names(early)} | {reason} |" for late, word, early, reason in rows)
    return f"## Orders that cannot work\n\nThey are refused, with the reason.\n\n| pass | | because |\n|---|---|---|\n{lines}\n"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _section(text: PassText) -> str:
    about = "\n".join(
        f"* **{label}**: {_marked(value)}" for label, value in (("Given", text.given), ("Result", text.result), ("Source", text.source))
    )
    details = "".join(f"\n{_marked(paragraph)}\n" for paragraph in text.details)
    options = "\n".join(_row(option) for option in text.options)
    table = f"\n| option | default | |\n|---|---|---|\n{options}\n" if options else ""
    return f"## `{text.name}`\n\n{_marked(text.summary)}\n\n{about}\n{details}{table}"


def _row(option: Option) -> str:
    choices = "".join(f"<br>`{key}`: {_marked(meaning)}" for key, meaning in option.choices.items())
    default = f"`{option.default}`" if option.default else "must be given"
    return f"| `{option.name}` | {default} | {_cell(_marked(option.text))}{_cell(choices)} |"


def _marked(text: str) -> str:
    """A docstring's text as Markdown, which has one backquote where reStructuredText has two."""
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
