"""Paths as users write them, and names of files that every system takes."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

_LONGEST = 120  # bytes of a name; systems take 255, and some software less
_REFUSED = re.compile(
    r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]'
)  # by Windows, or by any system
_DEVICES = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)\d)(?=\.|$)", re.IGNORECASE)  # of Windows


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with `~` as the user's home, and `~name` as another's, if there is one."""
    return Path(os.path.expanduser(path))  # Path's own raises an error where there is none


def distinct(folders: Sequence[Path]) -> list[str]:
    """Return the last parts of paths, as many as tell them apart.

    >>> distinct([Path("a/runs/one"), Path("b/runs/one")]), distinct([Path("a/one"), Path("two")])
    (['a/runs/one', 'b/runs/one'], ['one', 'two'])
    """
    parts = [Path(os.path.abspath(folder)).parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = [str(Path(*part[-length:])) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    numbers = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    return [f"{name} ({n})" if n > 1 else name for name, n in zip(names, numbers, strict=True)]


def package() -> Path:
    """Return the folder of the package's code."""
    return Path(__file__).resolve().parent


def experiments() -> Path:
    """Return the folder of the presets and claims: the repository's, or the copy in a wheel."""
    inside = package() / "experiments"
    return inside if inside.is_dir() else package().parent / "experiments"


def folder(text: str) -> Path:
    """Return the folder that a text names, which may be a new one.

    Raises ValueError for a text that names none, with the reason.

    >>> folder("")
    Traceback (most recent call last):
    ValueError: must be a folder or a new name
    """
    path = expanded(text)
    if text:
        try:
            os.lstat(path)
        except FileNotFoundError:
            return path
        except (OSError, ValueError) as error:  # a name too long, a null byte, no permission
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"must be a folder or a new name: {reason}") from None
        if path.is_dir():
            return path
    raise ValueError("must be a folder or a new name")


def portable(names: Iterable[str]) -> list[str]:
    """Return names of files for names of anything, in order: each such that every system takes it.

    No two are the same to a system that does not tell capitals from small letters.

    >>> portable(["data.subset=0.1", "Adam: a/b?", "ADAM_ a_b_", "nul", "..", ""])
    ['data.subset=0.1', 'Adam_ a_b_', 'ADAM_ a_b_-2', 'nul_', '_', '_-2']
    """
    taken: set[str] = set()
    files = []
    for name in names:
        file = unique = _portable(name)
        number = 1
        while unicodedata.normalize("NFC", unique).casefold() in taken:
            number += 1
            unique = f"{file}-{number}"
        taken.add(unicodedata.normalize("NFC", unique).casefold())
        files.append(unique)
    return files


def _portable(name: str) -> str:
    file = _REFUSED.sub("_", name).rstrip(" .") or "_"
    file = _DEVICES.sub(lambda found: f"{found[0]}_", file) if _DEVICES.match(file) else file
    try:
        size = len(os.fsencode(file))
    except UnicodeEncodeError:  # a locale of ASCII
        file = ascii(file)[1:-1].replace("\\", "_")
        size = len(file)
    if size <= _LONGEST:
        return file
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    cut = file
    while len(os.fsencode(cut)) > _LONGEST - len(digest) - 1:
        cut = cut[:-1]
    return f"{cut}-{digest}"
