"""A `Line` over asyncssh: one connection, its event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import shlex
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from edgekit.devices import MAX_OUTPUT, Address, SshPlace
from edgekit.errors import DeviceFailed, DeviceLost, DeviceUnavailable
from edgekit_runtimes.transports._line import Output
from edgekit_runtimes.transports._posix import refuse_if_full
from edgekit_runtimes.transports._script import quoted_path

T = TypeVar("T")
CONNECT_SECONDS = 15.0
KEEPALIVE_SECONDS, KEEPALIVES = 5, 3
"""A connection without a sign of life for their product is lost."""


class SshLine:
    """Logs in at once.

    Raises:
        DeviceUnavailable: No such host, nobody there, an unknown or changed host key, or no key of ours is accepted.
    """

    def __init__(self, address: Address, place: SshPlace) -> None:
        self._address = address
        self._running: set[asyncssh.SSHClientProcess[bytes]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"edgekit {address}", daemon=True)
        self._thread.start()
        try:
            self._connection = self._do(_connect(address, place), CONNECT_SECONDS + 5)
        except BaseException:
            self._stop()
            raise

    def execute(self, script: str, *, timeout: float, limit: int = MAX_OUTPUT) -> Output:
        """See `Line`."""
        return self._do(self._execute(script, None, timeout, limit), timeout + 30)

    def send(self, file: Path, path: str, *, timeout: float) -> None:
        """See `Line`."""
        done = self._do(self._execute(f"cat >{quoted_path(path)}", file, timeout, MAX_OUTPUT), timeout + 30)
        if done.client_code:
            refuse_if_full(done.stderr, self._address)
            words = done.stderr.decode("utf-8", "replace").strip()
            raise DeviceFailed(f"{self._address} did not take {file.name}: {words or f'exit code {done.client_code}'}")

    def interrupt(self) -> None:
        """See `Line`."""
        with suppress(RuntimeError):  # the loop is closed: nothing runs
            for process in list(self._running):
                self._loop.call_soon_threadsafe(_end, process)

    def close(self) -> None:
        """See `Line`."""
        with suppress(Exception):  # it may be lost already, and closing never raises
            self._do(self._close(), 10)
        self._stop()

    async def _execute(self, script: str, source: Path | None, timeout: float, limit: int) -> Output:
        """The login shell may be any: it is asked for nothing but ``exec /bin/sh`` and single quotes."""
        command = f"exec /bin/sh -c {shlex.quote(script)}"
        try:
            process = await self._connection.create_process(command, encoding=None, stdin=str(source) if source else asyncssh.PIPE)
        except (asyncssh.Error, OSError) as error:
            raise self._lost(error) from None
        self._running.add(process)
        try:
            async with asyncio.timeout(timeout):
                out, err = await asyncio.gather(_read(process.stdout, limit), _read(process.stderr, limit))
                await process.wait_closed()
        except (asyncssh.Error, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise self._lost(error) from None
        finally:
            self._running.discard(process)
            _end(process)
        if process.exit_status is None and process.exit_signal is None and source is not None:
            raise self._lost(None)
        return Output(out, err, process.returncode)

    async def _close(self) -> None:
        self._connection.abort() if self._connection.is_closed() else self._connection.close()
        await self._connection.wait_closed()

    def _lost(self, error: BaseException | None) -> DeviceLost:
        said = f": {error}" if error and str(error) else ""
        return DeviceLost(f"the connection to {self._address} was lost{said}", next_step="is it still on, and in the network?")

    def _do(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        """Run a coroutine in the loop's thread and wait for it; Ctrl-C and an overdue answer cancel it."""
        if not self._loop.is_running() and self._loop.is_closed():
            work.close()
            raise self._lost(None)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            raise self._lost(None) from None
        except BaseException:
            future.cancel()
            raise

    def _stop(self) -> None:
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        if not self._thread.is_alive():
            self._loop.close()


async def _connect(address: Address, place: SshPlace) -> asyncssh.SSHClientConnection:
    options: dict[str, Any] = {"keepalive_interval": KEEPALIVE_SECONDS, "keepalive_count_max": KEEPALIVES, "login_timeout": CONNECT_SECONDS}
    options |= {key: value for key, value in (("port", place.port), ("username", place.user)) if value is not None}
    try:
        return await asyncio.wait_for(asyncssh.connect(place.host, **options), CONNECT_SECONDS)
    except asyncssh.HostKeyNotVerifiable as error:
        raise DeviceUnavailable(
            f"the host key of {address} is not known, or has changed: {error.reason}",
            accepted="a host key in ~/.ssh/known_hosts",
            next_step=f"log in once by hand and compare the fingerprint: {_command(place)}",
        ) from None
    except asyncssh.PermissionDenied:
        raise DeviceUnavailable(f"{address} accepts none of our keys", next_step=f"ssh-copy-id, or try: {_command(place)}") from None
    except (asyncssh.Error, OSError, TimeoutError, ValueError) as error:
        reason = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error) or "no answer"
        raise DeviceUnavailable(f"{address} cannot be reached: {reason}", next_step=f"try: {_command(place)}") from None


def _command(place: SshPlace) -> str:
    port = f"-p {place.port} " if place.port else ""
    return f"ssh {port}{place.user + '@' if place.user else ''}{place.host}"


def _end(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """Close its input, for the dead man's switch, and its channel."""
    with suppress(OSError):
        if not process.stdin.is_closing():
            process.stdin.write_eof()
    process.close()


async def _read(stream: Any, limit: int) -> bytes:
    data = bytearray()
    while chunk := await stream.read(65536):
        data += chunk
        if len(data) > limit:
            raise DeviceFailed(f"the program printed more than {limit} bytes", next_step="is it the right program?")
    return bytes(data)


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
