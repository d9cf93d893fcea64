"""Boards to log in to, on a loopback port of this machine: asyncssh's server in this process, or a real OpenSSH."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest


class SshBoard:
    """asyncssh's server; a context manager.

    Args:
        home: Empty folder that becomes the client's home: its key, its configuration, its known hosts.
        environment: Of the commands run there.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        import asyncssh  # noqa: PLC0415

        self.home, self._asyncssh = home, asyncssh
        self.environment = {**os.environ, "HOME": str(home / "board"), **(environment or {})}
        (home / "board").mkdir(parents=True, exist_ok=True)
        self._host_key, self._key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self._connections: list[Any] = []

    def __enter__(self) -> SshBoard:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._do(self._listen())
        folder = self.home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._key.write_private_key(str(folder / "id_ed25519"))
        (folder / "id_ed25519").chmod(0o600)
        self.know(self._host_key)
        return self

    def __exit__(self, *details: object) -> None:
        self.drop()
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    @property
    def address(self) -> str:
        """Its name."""
        return f"ssh:pi@127.0.0.1:{self.port}"

    def know(self, key: Any) -> None:
        """Make `key` the one this host is known by."""
        public = key.export_public_key().decode().strip()
        (self.home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}\n")

    def other_key(self) -> Any:
        """A key that is not the server's."""
        return self._asyncssh.generate_private_key("ssh-ed25519")

    def drop(self) -> None:
        """Abort every connection, as a network that fails does."""
        for connection in self._connections:
            self._loop.call_soon_threadsafe(connection.abort)
        self._connections.clear()

    async def _listen(self) -> int:
        board, keys = self, self._asyncssh.import_authorized_keys(self._key.export_public_key().decode())

        class Server(self._asyncssh.SSHServer):  # type: ignore[misc,name-defined]
            def connection_made(self, connection: Any) -> None:
                board._connections.append(connection)

        self._server = await self._asyncssh.create_server(
            Server, "127.0.0.1", 0, server_host_keys=[self._host_key], authorized_client_keys=keys, process_factory=self._run, encoding=None
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _shut(self) -> None:
        self._server.close()
        ending = asyncio.all_tasks() - {asyncio.current_task()}
        _, rest = await asyncio.wait(ending, timeout=10) if ending else ((), ())  # programs see the end of their input
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _run(self, process: Any) -> None:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_shell(
            process.command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, env=self.environment
        )
        feeder = asyncio.create_task(_feed(process.stdin, child.stdin))
        await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
        code = await child.wait()
        feeder.cancel()
        with suppress(OSError):  # the client has left
            process.exit(code) if code >= 0 else process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


async def _feed(source: Any, sink: Any) -> None:
    """From the client to the program; the end of the connection is the end of the program's input, and nothing else happens to it."""
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


async def _pump(source: Any, sink: Any) -> None:
    """From the program to the client, whether it still listens or not."""
    while data := await source.read(65536):
        with suppress(OSError):
            sink.write(data)
            await sink.drain()


@contextmanager
def openssh(home: Path) -> Iterator[str]:
    """Yield the address of a real OpenSSH server with keys and a port of its own; skips where it is not installed."""
    sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH server here: apt-get install openssh-server")
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, parents=True)
    for file in (home / "host", folder / "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": home / "host", "AuthorizedKeysFile": folder / "id_ed25519.pub",
        "StrictModes": "no", "UsePAM": "no", "PidFile": "none", "PasswordAuthentication": "no",
    }  # fmt: skip
    (home / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in options.items()))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(home / 'host.pub').read_text()}")
    Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
    with (home / "log").open("w") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", str(home / "sshd_config")], stderr=log, stdin=subprocess.DEVNULL)
    try:
        _await_port(port, server, home / "log")
        import getpass  # noqa: PLC0415

        yield f"ssh:{getpass.getuser()}@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _await_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if server.poll() is not None:
            pytest.skip(f"the OpenSSH server does not start here: {log.read_text().strip()}")
        time.sleep(0.05)
    pytest.fail("the OpenSSH server did not listen within 30 s")
