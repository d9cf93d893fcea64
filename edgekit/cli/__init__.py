"""The command line: `edgekit convert | verify | profile | compare | explain | debug | recipes | targets | doctor`.

One file a command (``cmd_convert.py``), imported when that command is used. A command's file imports click and nothing
heavier; what it calls is imported inside its function, so that ``edgekit --help`` and completion answer at once.

Exit codes: 0 ok, 1 a gate failed, 2 usage, 3 invalid measurement, 4 device unavailable, 5 conversion failed,
70 internal error, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        arguments: Without the program's name; default ``sys.argv[1:]``.
    """
    from edgekit.cli.app import run

    return run(arguments)


def script() -> None:
    """What the ``edgekit`` command runs: `main`, and an end without ceremony."""
    from edgekit.cli.process import leave

    leave(main())
