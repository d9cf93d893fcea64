"""The `edgekit` group: finds a command's file by name, and turns how it ended into an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module

import click

import edgekit
from edgekit.wording import suggestion

COMMANDS = (
    "convert",
    "verify",
    "profile",
    "compare",
    "explain",
    "pack",
    "unpack",
    "debug",
    "devices",
    "recipes",
    "targets",
    "doctor",
    "completion",
)
"""In the order a user meets them."""

USAGE = 2


class Commands(click.Group):
    """Imports ``edgekit.cli.cmd_<name>`` when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"edgekit.cli.cmd_{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's own, with each command's first sentence whole."""
        commands = ((name, self.get_command(ctx, name)) for name in COMMANDS)
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit=200)) for name, command in commands if command])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's own, and name the nearest command for a mistyped one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = suggestion(args[0], COMMANDS)
            ctx.fail(f"No such command {args[0]!r}" + (near or f". Commands: {', '.join(COMMANDS)}."))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(edgekit.__version__, prog_name="edgekit", help="Show the version and exit.")
def app() -> None:
    """Make a PyTorch or Keras model small and fast for one named device, prove it still answers the same, and measure it.

    \b
      edgekit convert model.keras --target android --calibration train.npz --out build/model
      edgekit verify build/model --data test.npz
      edgekit profile build/model
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `app`; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app.main(args=given, prog_name="edgekit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        if "--json" in given:
            refused = {"type": "UsageError", "message": error.format_message(), "exit_code": USAGE}
            click.echo(json.dumps({"schema": "edgekit.error/1", "error": refused}, indent=2))
        return USAGE
    except click.Abort:
        return 130
    return code if isinstance(code, int) else 0
