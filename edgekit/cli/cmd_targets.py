"""`edgekit targets`: the devices edgekit can convert for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.command import Terminal, command
from edgekit.cli.complete import complete_target
from edgekit.cli.tables import label_table, table

if TYPE_CHECKING:
    from edgekit.targets import Target


@command("targets")
@click.argument("name", required=False, shell_complete=complete_target)
def targets(terminal: Terminal, name: str | None) -> None:
    """List the targets, or what one of them demands.

    NAME is a built-in target or the path of your own target file; a new device is a new file:

    \b
      edgekit targets android
      edgekit targets ./my-board.toml
    """
    from edgekit.targets import load_target, target_names

    found = [load_target(n) for n in ([name] if name else target_names())]
    if terminal.as_json:
        terminal.emit("edgekit.targets/1", {"targets": [_as_data(t) for t in found]})
    elif name:
        terminal.show(_detail(found[0]))
    else:
        terminal.show(_overview(found))


def _overview(found: list[Target]) -> object:
    rows = ((t.name, t.format, t.recipe, ", ".join(t.runtimes), t.description) for t in found)
    return table(("target", "format", "default recipe", "runtimes", "description"), rows)


def _detail(target: Target) -> object:
    demanded = ((key, value) for key, value in _as_data(target).items() if value not in (None, [], {}))
    return label_table((key.replace("_", " "), _words(value)) for key, value in demanded)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _as_data(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "description": target.description,
        "format": target.format,
        "recipe": target.recipe,
        "trained_recipe": target.trained_recipe,
        "runtimes": list(target.runtimes),
        "input_dtype": target.input_dtype,
        "output_dtype": target.output_dtype,
        "channel_alignment": target.channel_alignment,
        "kernels": {} if target.kernels == type(target.kernels)() else asdict(target.kernels),
        "flash_bytes": target.flash_bytes,
        "ram_bytes": target.ram_bytes,
        "compute": list(target.compute),
        "versions": [f"{target.platform.name} {v}" for v in target.platform.versions] if target.platform else [],
        "oldest_version": f"{target.platform.name} {target.platform.minimum}" if target.platform else None,
        "needs": {f"{target.platform.name} {first}": what for first, what in _needs(target)} if target.platform else {},
        "int8_operators": sorted(target.rules.activations[8].kernels) if 8 in target.rules.activations else [],
    }


def _needs(target: Target) -> list[tuple[str, list[str]]]:
    """What only newer versions of the platform read, by the first that does."""
    platform = target.platform
    assert platform is not None
    since = {**platform.features, **platform.operators}
    return [(version, [what for what, first in since.items() if first == version]) for version in platform.versions]
