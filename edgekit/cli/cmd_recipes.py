"""`edgekit recipes`: the presets, the passes and schemes recipes are made of, and any recipe as TOML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_recipe_or_pass
from edgekit.cli.tables import label_table, table

if TYPE_CHECKING:
    from edgekit.documenting import PassText


@command("recipes")
@click.argument("name", required=False, shell_complete=complete_recipe_or_pass)
@click.option("--passes", is_flag=True, help="List the passes that recipes are made of instead of the recipes.")
def recipes(terminal: Terminal, name: str | None, passes: bool) -> None:
    """List the recipes, print one as TOML to start your own from, or say what a pass does and takes.

    NAME is a preset, a scheme (w8a8, w8a16, w8ad8, w8, w4b32, fp16, float32), your own file, or a pass (--passes lists them):

    \b
      edgekit recipes int8 > mine.toml
      edgekit recipes prune_channels
      edgekit convert model.keras --recipe mine.toml
    """
    from edgekit.recipe import PASSES

    if name in PASSES:
        _print_pass(terminal, name)
    elif name is not None:
        _print_one(terminal, name)
    elif passes:
        _list_passes(terminal)
    else:
        _list_recipes(terminal)


def _list_recipes(terminal: Terminal) -> None:
    from edgekit.recipe import PASSES
    from edgekit.recipes import recipe_names, summary
    from edgekit.schemes import SCHEMES

    if terminal.as_json:
        presets = [{"name": n, "description": summary(n)} for n in recipe_names()]
        schemes = [{"name": n, "description": text} for n, text in SCHEMES.items()]
        terminal.emit("edgekit.recipes/1", {"recipes": presets, "schemes": schemes, "passes": list(PASSES)})
        return
    terminal.show(
        _table("recipe", {n: summary(n) for n in recipe_names()}),
        "",
        _table("scheme", SCHEMES),
        "\nw<bits>[b<block>][a<bits> | ad<bits>]",
        f"\nmade of the passes {', '.join(PASSES)}: edgekit recipes --passes",
    )


def _list_passes(terminal: Terminal) -> None:
    from edgekit.documenting import pass_text, plain
    from edgekit.recipe import PASSES

    found = [pass_text(name) for name in PASSES]
    if terminal.as_json:
        terminal.emit("edgekit.recipes/1", {"passes": [_as_data(text) for text in found]})
    else:
        terminal.show(_table("pass", {text.name: plain(text.summary) for text in found}))


def _print_pass(terminal: Terminal, name: str) -> None:
    from rich.text import Text

    from edgekit.documenting import pass_text, plain

    text = pass_text(name)
    if terminal.as_json:
        terminal.emit("edgekit.recipes/1", {"pass": _as_data(text)})
        return
    about = label_table((label, plain(value)) for label, value in (("given", text.given), ("result", text.result), ("source", text.source)))
    rows = []
    for option in text.options:
        choices = "".join(f"\n{key}: {meaning}" for key, meaning in option.choices.items())
        rows.append((option.name, option.default or "must be given", plain(option.text) + choices))
    options = table(("option", "default", "what it is"), rows)
    terminal.show(Text(plain(text.summary)), "", about, *(Text(f"\n{plain(paragraph)}") for paragraph in text.details), "", options)


def _as_data(text: PassText) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(text)


def _print_one(terminal: Terminal, name: str) -> None:
    from edgekit.recipes import load_recipe

    text = load_recipe(name).to_toml()
    if terminal.as_json:
        import tomllib

        terminal.emit("edgekit.recipes/1", {"recipe": tomllib.loads(text)})
    else:
        terminal.out.write(text)


def _table(title: str, rows: dict[str, str]) -> Any:
    return table((title, "what it does"), rows.items())
