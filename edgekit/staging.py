"""Folders and files that appear whole or not at all.

`new_folder` gives a private folder beside the destination and renames it into place when the block ends
well. An exception, Ctrl-C included, leaves the destination as it was. A run that is killed outright leaves
only a hidden folder, which the next run into the same destination removes.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from edgekit.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows: the rename is still atomic, only the early refusal of a second run is lost
    fcntl = None  # type: ignore[assignment]

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def new_folder(destination: Path, *, replaceable: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Yield an empty folder that becomes `destination` when the block ends without an exception.

    Args:
        destination: The folder to make.
        replaceable: Says whether what is at `destination` may be replaced; None where it may not.

    Raises:
        UsageError: `destination` exists and may not be replaced, cannot be written, another run is writing
            it, or the disk is full.
    """
    destination = destination.absolute()
    with _told(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
    with _lock(destination):
        folder = _open(destination, replaceable)
        try:
            with _told(destination, only_in=folder):
                yield folder
            with _told(destination):
                _publish(folder, destination)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Replace a file's content in one step; the folder it lies in is made if need be.

    Raises:
        UsageError: It cannot be written or the disk is full.
    """
    with _told(path):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


@contextmanager
def _told(destination: Path, only_in: Path | None = None) -> Iterator[None]:
    """Translate the operating system's refusals to write `destination`.

    With `only_in`, other people's code runs in the block: only a full disk and errors about files in that folder are ours.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UsageError(f"the disk is full: {destination} was not written", next_step="free some space, or write elsewhere") from None
        if only_in is not None and not str(error.filename or "").startswith(str(only_in)):
            raise
        raise UsageError(f"cannot write {destination}: {error.strerror or error}", next_step="choose a folder you may write") from None


@contextmanager
def _lock(destination: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    path = destination.parent / f".{destination.name}.lock"
    with _told(destination):
        file = _locked(path, destination)
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path, destination: Path) -> IO[bytes]:
    while True:
        file = path.open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise UsageError(f"another run is writing {destination}", next_step="wait for it, or choose another folder") from None
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # its last holder removed it between our opening and our locking it: try again


def _open(destination: Path, replaceable: Callable[[Path], bool] | None) -> Path:
    with _told(destination):
        _check_free(destination, replaceable)
        _sweep(destination)
        return Path(tempfile.mkdtemp(prefix=_prefix(destination), dir=destination.parent))


def _check_free(destination: Path, replaceable: Callable[[Path], bool] | None) -> None:
    if not destination.exists() and not destination.is_symlink():
        return
    if replaceable is None:
        raise UsageError(f"{destination} exists already", next_step="choose another folder, or --force (overwrite=True)")
    if not replaceable(destination):
        raise UsageError(f"{destination} exists and is no artifact, so it is not overwritten", next_step="choose another folder")


def _prefix(destination: Path) -> str:
    return f".{destination.name}.part-"


def _sweep(destination: Path) -> None:
    """Remove what killed runs left; the lock says that no other run is alive."""
    if fcntl is None:
        return
    for stale in destination.parent.glob(f"{glob.escape(_prefix(destination))}*"):
        shutil.rmtree(stale, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with suppress(OSError):  # some file systems cannot sync a directory
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _publish(folder: Path, destination: Path) -> None:
    folder.chmod(0o777 & ~_umask())
    _flush(folder)
    if not destination.exists():
        folder.rename(destination)
        return
    old = Path(tempfile.mkdtemp(prefix=_prefix(destination), dir=destination.parent))
    try:
        destination.rename(old / "old")
        try:
            folder.rename(destination)
        except BaseException:
            if not destination.exists():
                (old / "old").rename(destination)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
