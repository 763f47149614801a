"""Files that appear whole or not at all, and a folder that belongs to one process at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_PARTIAL = ".partial"  # suffix of a file still being written
LOCK = ".lock"
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EISDIR}


class FolderBusy(RuntimeError):
    """Another process is working in the folder; the message is one line that says which."""


def write_atomically(
    path: str | os.PathLike[str], data: bytes | Callable[[BinaryIO], None]
) -> None:
    """Write a file so that a reader, a crash or a full disk sees all of the new one or the old one.

    Args:
      path: the file; its folder must exist.
      data: the content, or a function that writes it to a binary file open for reading, writing and
        seeking, whose `name` is a path that may also be written by name.

    Raises:
      OSError: the disk is full, the folder is gone, ...; the old file is untouched and nothing is
        left beside it. Whatever `data` raises is passed on likewise.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> write_atomically(path, b"whole")
    >>> path.read_bytes(), [p.name for p in path.parent.iterdir()]
    (b'whole', ['a.txt'])
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
    try:
        with open(partial, "x+b") as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
        _sync(partial)  # by name: `data` may have written it by name
        os.replace(partial, path)
    except BaseException:  # an interrupt too must leave nothing behind
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable, where the file system knows how (some networks do not).

    Raises:
      OSError: the disk failed.
    """
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _sync(path: str | os.PathLike[str]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: str | os.PathLike[str]) -> int:
    """Remove what killed writers left half-written directly in the folder; return how many files.

    Only for the one process that may write there (see `lock`).
    """
    removed = 0
    for partial in Path(folder).glob(f".*{_PARTIAL}"):
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
            removed += 1
    return removed


@contextlib.contextmanager
def lock(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the folder, made if need be, for this process alone; the kernel lets go if it dies.

    The file `.lock` stays behind: what counts is the lock on it, not that it exists.

    Raises:
      FolderBusy: another process, or another `lock` of this one, holds it.
      OSError: the folder cannot be made or written.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with lock(folder), contextlib.suppress(FolderBusy), lock(folder):
    ...     print("never printed")
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 1024, 0).decode(errors="replace").strip()
            raise FolderBusy(f"{folder} is in use by {holder or 'another process'}") from None
        with contextlib.suppress(OSError):  # a full disk: the lock holds without its label
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for children that inherited it by fork
    finally:
        os.close(descriptor)


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 digest of a file, in lower-case hexadecimal.

    Raises:
      OSError: it cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "empty"
    >>> write_atomically(path, b"")
    >>> sha256(path)[:16]
    'e3b0c44298fc1c14'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
