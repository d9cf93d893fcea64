"""One line of POSIX shell around a program on a device: arguments as they are, an exit code that cannot be mistaken, and no orphans.

Devices have different shells (dash, bash, busybox, mksh, toybox), so only what all of them know is used, on one line.

*A dead man's switch.* The shell reads its standard input beside the program. When that ends - we closed it, were killed, the cable was
pulled - it kills its whole process group. That one mechanism serves time limits, Ctrl-C, lost connections and our own death.

*The exit code* is the last line on standard error, behind a token the program cannot know. Without that line the connection was lost,
whatever exit code the client of the transport made up.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgekit.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Guarded:
    """A command with its switch, and the token its exit code stands behind.

    Attributes:
        command: Shell text of what is to be run.
        token: Random.
    """

    command: str
    token: str = field(default_factory=lambda: f"edgekit-{secrets.token_hex(8)}")

    @property
    def script(self) -> str:
        """The line for ``sh -c``; it must be started as leader of a process group, or only the program itself is killed."""
        return "; ".join(
            (
                "exec 3<&0 </dev/null",
                f"( {self.command} ) 3<&- & c=$!",
                "read -r s </proc/$$/stat; s=${s##*) }; set -- $s",  # after the name in parentheses: state, parent, group
                'g=$c; [ "$3" = $$ ] && g=-$$',
                "{ while read -r s <&3; do :; done; kill -9 $g; } >/dev/null 2>&1 & w=$!",
                "wait $c; e=$?",
                "kill -9 $w 2>/dev/null",
                f"printf '\\n%s %s\\n' {self.token} $e >&2",
            )
        )

    def read(self, stderr: bytes) -> tuple[bytes, int | None]:
        """What the program itself complained, and its exit code, or None if it did not live to tell it."""
        said, mark, code = stderr.rpartition(f"\n{self.token} ".encode())
        digits = code.strip()
        return (said, int(digits)) if mark and digits.isdigit() else (stderr, None)


def program(argv: Sequence[str], folder: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Shell text that becomes the program: every argument reaches it as it is.

    Raises:
        UsageError: Nothing to run, a name no variable can have, or a NUL byte, which no argument can hold.
    """
    variables = environment or {}
    if not argv or not argv[0]:
        raise UsageError("no program was named to run on the device")
    for name in variables:
        if not _NAME.fullmatch(name):
            raise UsageError(f"no environment variable can be called {name!r}")
    for text in (*argv, *variables.values(), folder or ""):
        if "\0" in text:
            raise UsageError(f"{text!r} holds a NUL byte, which no argument can")
    parts = [f"cd {quoted_path(folder)}"] if folder is not None else []
    parts += [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    return " && ".join([*parts, "exec " + " ".join(shlex.quote(a) for a in argv)])


def quoted_path(path: str) -> str:
    """A path for shell text; one that starts with a dash is no option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)
