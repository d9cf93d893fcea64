"""Boards over SSH, by asyncssh: the user's own configuration, keys and agent; a host key that is not known is refused."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from edgekit.devices import Address, Found, SshPlace, Transport
from edgekit.errors import DeviceUnavailable
from edgekit.plugins import require
from edgekit_runtimes.transports._posix import PosixTransport


class Ssh:
    """The plug-in."""

    name = "ssh"
    exclusive = True

    def find(self) -> Iterator[Found]:
        """Hosts of the user's ssh configuration. None is contacted."""
        if find_spec("asyncssh") is None:
            yield Found(
                "ssh", "boards over SSH", False, missing="the package asyncssh is not installed", next_step="pip install 'edgekit[devices]'"
            )
            return
        names = sorted(_configured(Path.home() / ".ssh" / "config"))
        for name in names:
            yield Found(f"ssh:{name}", "from ~/.ssh/config, not contacted")
        if not names:
            yield Found(
                "ssh", "boards over SSH", False, missing="~/.ssh/config names no host", next_step="name one yourself: ssh:USER@HOST"
            )

    def open(self, address: Address) -> Transport:
        """See `edgekit.devices.Transports`."""
        require("asyncssh", "devices")
        from edgekit_runtimes.transports._ssh_line import SshLine  # noqa: PLC0415 - loads asyncssh and cryptography

        line = SshLine(address, SshPlace.parse(address.place))
        try:
            return PosixTransport(address, line, _cache(line))
        except BaseException:
            line.close()
            raise


def _cache(line: object) -> str:
    """The cache folder: in the user's home, or where he keeps caches."""
    output = line.execute('echo "${XDG_CACHE_HOME:-$HOME/.cache}/edgekit-device"', timeout=30.0)  # type: ignore[attr-defined]
    path = output.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if not path.startswith("/") or path.startswith("/.cache"):
        raise DeviceUnavailable(f"the device does not say where a cache may be: {path!r}", next_step="check the login's HOME there")
    return str(path)


def _configured(config: Path) -> Iterator[str]:
    """Names after ``Host`` that are no patterns."""
    try:
        lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.replace("=", " ", 1).split()
        if words and words[0].lower() == "host":
            yield from (name for name in words[1:] if not set(name) & set("*?!"))


TRANSPORT = Ssh()
