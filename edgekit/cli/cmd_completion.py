"""`edgekit completion`: the script that makes a shell complete edgekit's commands, options, targets and recipes."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from edgekit.cli.command import Terminal, command


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(terminal: Terminal, shell: str) -> None:
    """Print a shell's completion script.

    \b
      bash:  eval "$(edgekit completion bash)"        in ~/.bashrc
      zsh:   eval "$(edgekit completion zsh)"         in ~/.zshrc
      fish:  edgekit completion fish | source         in ~/.config/fish/config.fish
    """
    from edgekit.cli.app import app

    maker = get_completion_class(shell)
    assert maker is not None
    script = maker(app, {}, "edgekit", "_EDGEKIT_COMPLETE").source()
    if terminal.as_json:
        terminal.emit("edgekit.completion/1", {"shell": shell, "script": script})
    else:
        terminal.out.write(script + "\n")
