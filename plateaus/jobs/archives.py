"""Run folders to read: as they are, or out of an archive, of which nothing is trusted."""

from __future__ import annotations

import contextlib
import functools
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from plateaus import files
from plateaus.config.schema import ConfigError

CONFIG = "config.json"
KINDS = ".zip, .tar or .tar.gz"
KEPT = ("states", "weights")  # folders of what may be kept beside the records
_TAKEN = (
    *("config.json", "provenance.json", "checkpoints/finished/*"),
    *(f"checkpoints/{name}/*" for name in KEPT),
)
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
_ENCRYPTED = (RuntimeError, NotImplementedError)  # of zipfile: encrypted, or packed otherwise


class Source(NamedTuple):
    """A run folder on this disk, and the name by which messages call it."""

    folder: Path
    name: str

    def named(self, text: str) -> str:
        """Return a message with this name in place of where the folder was unpacked."""
        return text.replace(str(self.folder), self.name)


def opened(held: contextlib.ExitStack, path: Path, locked: bool) -> list[Source]:
    """Return the run folders that a path holds: itself, or all in an archive.

    A folder is locked where it can be (`locked`); an archive is unpacked to a place of its own, and
    both end with `held`. Raises ConfigError for what is neither, is in use or cannot be trusted.
    """
    if path.is_dir():
        if not (path / CONFIG).is_file():
            raise ConfigError(f"--merge {path}: not a run folder (it has no {CONFIG})")
        if locked:
            _lock(held, path)
        return [Source(path, str(path))]
    if not path.exists():
        raise ConfigError(f"--merge {path}: no such folder or archive")
    place = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="plateaus-")))
    try:
        with _entries(path) as entries:
            for name, opener in entries:
                _unpack(path, name, opener, place)
    except (*_BROKEN, *_ENCRYPTED) as error:
        raise ConfigError(f"--merge {path}: cannot be unpacked: {error}") from None
    except OSError as error:
        raise ConfigError(f"--merge {path}: {error.strerror or error}") from None
    roots = sorted(found.parent for found in place.rglob(CONFIG))
    if not roots:
        raise ConfigError(f"--merge {path}: holds no run folder (no {CONFIG})")
    inside = [str(root.relative_to(place)) for root in roots]
    return [
        Source(root, str(path) if name == "." or len(roots) == 1 else f"{path}: {name}")
        for root, name in zip(roots, inside, strict=True)
    ]


def _lock(held: contextlib.ExitStack, path: Path) -> None:
    try:
        held.enter_context(files.lock(path))
    except files.FolderBusy as busy:
        raise ConfigError(f"--merge: {busy}") from None
    except OSError:  # read-only: what is finished is never rewritten, and every pair is verified
        pass


Opener = Callable[[], IO[bytes] | None]


@contextlib.contextmanager
def _entries(path: Path) -> Iterator[Iterator[tuple[str, Opener | None]]]:
    """Open an archive of any kind: the names in it, with openers of its regular files."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield (
                (one.filename, None if one.is_dir() else functools.partial(archive.open, one))
                for one in archive.infolist()
            )
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            yield (
                (one.name, functools.partial(tar.extractfile, one) if one.isreg() else None)
                for one in tar
            )
    else:
        raise ConfigError(f"--merge {path}: neither a folder nor an archive ({KINDS})")


def _unpack(path: Path, name: str, opener: Opener | None, place: Path) -> None:
    """Write one file of an archive into `place`, if it is part of the record of runs."""
    inside = PurePosixPath(name.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts or PureWindowsPath(name).drive:
        raise ConfigError(f"--merge {path}: names a place outside itself ({name!r}); not read")
    if opener is None or not any(inside.match(pattern) for pattern in _TAKEN):
        return
    content = opener()
    assert content is not None  # of a regular file
    target = place.joinpath(*inside.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, open(target, "xb") as file:
        shutil.copyfileobj(content, file)
