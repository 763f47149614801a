"""Files and folders that appear whole or not at all, locks on folders, and the user's cache."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs
from filelock import FileLock, Timeout

_PARTIAL = ".partial"  # suffix of what is still being written
LOCK = ".lock"
# What a file system answers that does not know how: to make a file durable, to lock one.
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_FOLDER_SYNC = _NO_SYNC | {errno.EACCES, errno.EPERM, errno.EISDIR}
_NO_LOCK = _NO_SYNC | {errno.ENOLCK, 524}  # the last is an NFS's, which C has no name for


class FolderBusy(RuntimeError):
    """Another process is working in the folder; the message is one line that says which."""


def cache() -> Path:
    """Return the user's cache folder of this project; it need not be there yet.

    A user without a home, as in some containers, has it below the current folder.
    """
    place = platformdirs.user_cache_path("plateaus", appauthor=False)
    return place if place.is_absolute() else Path(".cache", "plateaus").absolute()


def beside(path: Path) -> Path:
    """Return a new path beside `path`, on the same disk, for its replacement."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")


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
    partial = beside(path)
    try:
        with open(partial, "x+b") as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
        _sync(partial, _NO_SYNC, os.O_RDWR)  # by name: `data` may have written it by name
        os.replace(partial, path)
    except BaseException as error:  # an interrupt too must leave nothing behind
        with contextlib.suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(partial), partial):
            error.filename = str(path)
        raise
    sync_folder(path.parent)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill, which then becomes `folder`: whole, or on an error not at all.

    Folders above it are made. If another process was first, its folder stays and ours is dropped.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "a"
    >>> with new_folder(folder) as draft:
    ...     (draft / "b").write_text("whole", encoding="utf-8")
    5
    >>> [path.name for path in folder.parent.glob("**/*")]
    ['a', 'b']
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = beside(folder)
    draft.mkdir()  # unlike a temporary folder, as readable as the user's others
    try:
        yield draft
        try:
            draft.rename(folder)
        except OSError:
            if not (folder.is_dir() and any(folder.iterdir())):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def replace_folder(new: Path, folder: Path) -> None:
    """Put one folder in the place of another, if there is one, which is removed.

    Raises:
      OSError: the old folder is unchanged.
    """
    old = beside(folder)
    if folder.exists():  # a full folder cannot be renamed over
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable, where the file system knows how (some networks do not).

    Raises:
      OSError: the disk failed.
    """
    _sync(folder, _NO_FOLDER_SYNC, os.O_RDONLY)


def _sync(path: str | os.PathLike[str], unknown: Collection[int], mode: int) -> None:
    """Make a file or a folder durable; errors in `unknown` mean that the system cannot."""
    try:
        descriptor = os.open(path, mode)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in unknown:
            raise


def remove_leftovers(folder: str | os.PathLike[str], start: str = "") -> int:
    """Remove half-written files and folders of killed writers from a folder; return their number.

    Only the process that holds the folder may call this (see `lock`). `start` is how the intended
    names begin; it protects other names that may be written at the same time.
    """
    partials = [p for p in Path(folder).glob(f".*{_PARTIAL}") if p.name.startswith(f".{start}")]
    for partial in partials:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
    return len(partials)


@contextlib.contextmanager
def lock(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the folder, made if need be, for this process alone; the kernel lets go if it dies.

    The file `.lock` stays behind: what counts is the lock on it, not that it exists.

    Raises:
      FolderBusy: another process, or another `lock` of this one, holds it.
      OSError: the folder cannot be made, written or locked; what was made of it is removed.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with lock(folder), contextlib.suppress(FolderBusy), lock(folder):
    ...     print("never printed")
    """
    folder = Path(folder)
    new, label = missing(folder), folder / LOCK
    held = FileLock(label, timeout=0, fallback_to_soft=False)
    there = label.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except OSError as error:
        if isinstance(error, Timeout):
            raise _busy(folder, label) from None
        if not there:
            with contextlib.suppress(OSError):
                label.unlink()
        remove_empty(new)
        if error.errno in _NO_LOCK:
            error.strerror = f"its file system cannot lock a file ({error.strerror})"
        raise
    try:
        with contextlib.suppress(OSError):  # a full disk, say: the lock holds without its label
            text = f"process {os.getpid()} on {socket.gethostname()}\n"
            label.write_text(text, encoding="utf-8")
        yield
    finally:
        held.release()  # also for children that inherited it by fork


def _busy(folder: Path, label: Path) -> FolderBusy:
    holder = ""
    with contextlib.suppress(OSError):  # Windows lets nobody else read it
        holder = label.read_text(encoding="utf-8", errors="replace").strip()
    return FolderBusy(f"{folder} is in use by {holder or 'another process'}")


def missing(folder: Path) -> list[Path]:
    """Return the folder, and those above it, as far as they are not there yet, the lowest first."""
    return [path for path in (folder, *folder.parents) if not os.path.exists(path)]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the lowest first, as far as they are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


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
