"""What every command has: ``--json``, ``--quiet``, ``--debug``, diverted noise, and one way to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from edgekit.cli.failures import failed
from edgekit.cli.section import write_sections
from edgekit.cli.terminal import Terminal, diverted

PIPE_CLOSED = 141
"""What a shell reports of a process that SIGPIPE ended."""


class Command(click.Command):
    """Runs its callback on a `Terminal`, and ends with the exit code of what happened."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By the headings that `section` gives."""
        write_sections(self.get_params(ctx), ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the callback; its return value, if it is an int, is the exit code."""
        flags = {name: ctx.params.pop(name) for name in ("as_json", "quiet", "debug")}
        with diverted(ctx.info_name or "edgekit", **flags) as terminal:
            ctx.obj = terminal
            try:
                code = super().invoke(ctx)
                terminal.out.flush()
            except (click.ClickException, click.exceptions.Exit):
                raise
            except BrokenPipeError:  # the reader of our output has left: `edgekit … | head`
                code = PIPE_CLOSED
            except BaseException as error:
                code = failed(error, terminal)
        ctx.exit(code or 0)


def command(name: str) -> Callable[[Callable[..., int | None]], click.Command]:
    """Make a function ``(terminal, **parameters) -> exit code or None`` a command."""

    def decorate(function: Callable[..., int | None]) -> click.Command:
        made = click.command(name, cls=Command)(click.pass_obj(function))
        made.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document on stdout instead of tables."),
            click.Option(["--quiet", "-q"], is_flag=True, help="Show no progress."),
            click.Option(["--debug"], is_flag=True, help="Show library output and tracebacks instead of logging them."),
        ]
        return made

    return decorate


__all__ = ["Command", "Terminal", "command"]
