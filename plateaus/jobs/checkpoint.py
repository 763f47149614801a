"""Named arrays on disk, verified by digests when read, and kept in two generations.

A pair of files holds one set of arrays: `NAME.npz`, a plain zip that `numpy.load` opens (arrays as
`arrays/<name>`, `header` as JSON), and its manifest `NAME.npz.json`, written after it. The pair is
valid if the manifest is, byte for byte, the one that follows from the data.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from plateaus.files import remove_leftovers, write_atomically

_HEADER, _ARRAYS = "header", "arrays/"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date of zip; so that equal arrays make equal files
_NAME = re.compile(r"checkpoint-(\d{8,})\.npz")
_USER_DEFINED = 2  # numpy.dtype.isbuiltin of bfloat16 and its kin, which .npy cannot name


class Damaged(ValueError):
    """A pair of files fails verification; the message is one line that names the file."""


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], meta: Mapping[str, Any]
) -> None:
    """Write named arrays and a JSON-able `meta` as a verified pair, `path` and `path`.json.

    Killed at any moment, this leaves the old pair, the new pair, or a pair that `read_arrays`
    refuses. Arrays (whatever `numpy.asarray` takes) of any shape and of every dtype but objects and
    records, bfloat16 and float8 included.

    Raises:
      TypeError: `meta` is not JSON, or an array holds objects or records.
      OSError: full disk and the like.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.npz"
    >>> write_arrays(path, {"step": np.int32(3)}, {"width": 8})
    >>> read_arrays(path)
    ({'step': array(3, dtype=int32)}, {'width': 8})
    """
    path = Path(path)
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject or array.dtype.names is not None:
            raise TypeError(f"array {name!r}: objects and records ({array.dtype}) are not kept")
    dtypes = {n: a.dtype.name for n, a in plain.items() if a.dtype.isbuiltin == _USER_DEFINED}
    header = json.dumps({"meta": dict(meta), "dtypes": dtypes}).encode()
    manifest = b""

    def fill(file: BinaryIO) -> None:
        nonlocal manifest
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            _add(archive, _HEADER, np.frombuffer(header, np.uint8))
            for name, array in plain.items():
                raw = array.view(f"u{array.dtype.itemsize}") if name in dtypes else array
                _add(archive, _ARRAYS + name, raw)
        manifest = _manifest(*_digest(file), dict(meta))

    write_atomically(path, fill)
    write_atomically(_manifest_path(path), manifest)


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays, with their dtypes and order, and the `meta` of a verified pair.

    Raises:
      Damaged: a bit is wrong, a file is cut short or either of the two is missing.
      OSError: they cannot be opened at all (permissions).
    """
    with _verified(Path(path)) as (archive, header):
        members = [member for member in archive.namelist() if member.startswith(_ARRAYS)]
        arrays = {m.removeprefix(_ARRAYS).removesuffix(".npy"): _get(archive, m) for m in members}
    for name, dtype in header["dtypes"].items():
        arrays[name] = arrays[name].view(getattr(ml_dtypes, dtype))
    return arrays, header["meta"]


def save(
    folder: str | os.PathLike[str], arrays: Mapping[str, Any], meta: Mapping[str, Any]
) -> Path:
    """Write a new generation into the folder and return its file; the newest two valid ones stay.

    Only one writer is allowed at a time. Older generations go only when the new one is durable.

    Raises:
      TypeError, OSError: see `write_arrays`; the older generations are untouched.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    older = _generations(folder)
    number = 1 + max(older, default=0)
    path = folder / f"checkpoint-{number:08d}.npz"
    try:
        write_arrays(path, arrays, meta)
    except BaseException:
        _remove(path)
        raise
    kept = False
    for candidate in older.values():
        if not kept and is_sound(candidate):
            kept = True
        else:
            _remove(candidate)
    return path


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def load(
    folder: str | os.PathLike[str], report: Callable[[str], None] = _say
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return the arrays and meta of the newest generation that verifies, or None if none does.

    `report` is called with a line about each newer generation, which does not verify.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> load(folder) is None
    True
    >>> for step in (100, 200):
    ...     path = save(folder, {"weights": np.zeros(2)}, {"step": step})
    >>> _ = path.write_bytes(path.read_bytes()[:-1])
    >>> arrays, meta = load(folder, report=lambda line: None)
    >>> meta
    {'step': 100}
    """
    for path in _generations(Path(folder)).values():
        try:
            return read_arrays(path)
        except Damaged as error:
            report(f"checkpoint passed over, {error}")
    return None


def newest_meta(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the meta of the newest generation, from its manifest alone: nothing is verified.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> path = save(folder, {"weights": np.zeros(2)}, {"step": 100})
    >>> newest_meta(folder)
    {'step': 100}
    """
    for path in _generations(Path(folder)).values():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return dict(json.loads(_manifest_path(path).read_bytes())["meta"])
    return None


@contextlib.contextmanager
def _verified(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """Open a pair; nothing is parsed before its digest is right."""
    try:
        with open(path, "rb") as file, open(_manifest_path(path), "rb") as manifest:
            content = manifest.read()
            digest, size = _digest(file)
            if digest.encode() not in content:
                raise Damaged(f"{path}: does not match its SHA-256 manifest")
            with zipfile.ZipFile(file) as archive:
                header = json.loads(_get(archive, f"{_HEADER}.npy").tobytes())
                if content != _manifest(digest, size, header["meta"]):
                    raise Damaged(f"{path}: its manifest {path.name}.json is damaged")
                yield archive, header
    except Damaged:
        raise
    except FileNotFoundError as error:
        raise Damaged(f"{path}: {Path(error.filename).name} is missing") from None
    except OSError as error:
        if error.errno != errno.EIO:  # a failing disk is damage; a closed door is not
            raise
        raise Damaged(f"{path}: {error.strerror}") from None
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError) as error:
        raise Damaged(f"{path}: not a checkpoint ({error})") from None


def _manifest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _digest(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 in hexadecimal, and size in bytes."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()  # type: ignore[arg-type] # a BinaryIO has all it needs


def _manifest(digest: str, size: int, meta: Any) -> bytes:
    content = {"sha256": digest, "bytes": size, "meta": meta}
    return json.dumps(content, indent=1).encode() + b"\n"


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
    with archive.open(entry, "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _get(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _generations(folder: Path) -> dict[int, Path]:
    """Data files by number, newest first; manifests alone count for nothing."""
    paths = {int(m[1]): path for path in folder.glob("*.npz") if (m := _NAME.fullmatch(path.name))}
    return dict(sorted(paths.items(), reverse=True))


def is_sound(path: Path) -> bool:
    """Return whether a pair is there and verifies."""
    try:
        with _verified(path):
            return True
    except Damaged:
        return False


def _remove(path: Path) -> None:
    """Remove a pair, manifest first: half-removed, it is not valid."""
    for file in (_manifest_path(path), path):
        with contextlib.suppress(OSError):
            file.unlink()
