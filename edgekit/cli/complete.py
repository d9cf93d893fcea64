"""What the shell offers for a name: targets, recipes, passes and devices as they are here now, and files."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Built-in targets, and the user's own ``.toml`` files; after a comma, the rest."""
    from edgekit.targets import target_names

    before, comma, _ = incomplete.rpartition(",")
    return _offer(tuple(f"{before}{comma}{name}" for name in target_names() if name not in before.split(",")), incomplete)


def complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Preset recipes, and the user's own ``.toml`` files."""
    from edgekit.recipes import recipe_names

    return _offer(recipe_names(), incomplete)


def complete_recipe_or_pass(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Preset recipes, passes, and the user's own ``.toml`` files."""
    from edgekit.recipe import PASSES
    from edgekit.recipes import recipe_names

    return _offer((*recipe_names(), *PASSES), incomplete)


def complete_device(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Devices that can be used now."""
    from edgekit.devices import find

    return [CompletionItem(found.address) for found in find() if found.ready and found.address.startswith(incomplete)]


def complete_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files and folders, where other words than a path are taken too."""
    return [CompletionItem(incomplete, type="file")]


def _offer(names: tuple[str, ...], incomplete: str) -> list[CompletionItem]:
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]
