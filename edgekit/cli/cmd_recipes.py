"""`edgekit recipes`: the presets, the scheme names recipes are made of, and any recipe as TOML."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_recipe


@command("recipes")
@click.argument("name", required=False, shell_complete=complete_recipe)
def recipes(terminal: Terminal, name: str | None) -> None:
    """List the recipes, or print one as TOML to start your own from.

    NAME is a preset, a scheme (w8a8, w8a16, w8ad8, w8, w4b32, fp16, float32) or your own file:

    \b
      edgekit recipes int8 > mine.toml
      edgekit convert model.keras --recipe mine.toml
    """
    if name is not None:
        _print_one(terminal, name)
        return
    from edgekit.recipes import recipe_names, summary
    from edgekit.schemes import SCHEMES

    if terminal.as_json:
        presets = [{"name": n, "description": summary(n)} for n in recipe_names()]
        schemes = [{"name": n, "description": text} for n, text in SCHEMES.items()]
        terminal.emit("edgekit.recipes/1", {"recipes": presets, "schemes": schemes})
        return
    terminal.show(
        _table("recipe", {n: summary(n) for n in recipe_names()}), "", _table("scheme", SCHEMES), "\nw<bits>[b<block>][a<bits> | ad<bits>]"
    )


def _print_one(terminal: Terminal, name: str) -> None:
    from edgekit.recipes import load_recipe

    text = load_recipe(name).to_toml()
    if terminal.as_json:
        import tomllib

        terminal.emit("edgekit.recipes/1", {"recipe": tomllib.loads(text)})
    else:
        terminal.out.write(text)


def _table(title: str, rows: dict[str, str]) -> Any:
    from rich.table import Table

    table = Table(title, "what it does", box=None)
    for name, text in rows.items():
        table.add_row(name, text)
    return table
