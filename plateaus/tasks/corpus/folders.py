"""Folders of UTF-8 files: which domains there are, what they hold, what cannot be read."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from plateaus import paths
from plateaus.tasks.corpus import sample_corpus

_CHUNK = 2**22  # bytes read at once


class Refused(ValueError):
    """A folder or a tokenizer that cannot be used; the message is one line."""


def where(folder: str) -> Path:
    """Return the folder meant; "" is the sample corpus, made in the user's cache if need be."""
    if folder:
        return paths.expanded(folder)
    with readable_errors(sample_corpus.place()):
        return sample_corpus.cached()


def field_name(name: str) -> str:
    """Return a folder's name as letters, digits and underscores; "" if none is left.

    >>> field_name("C++ headers, 3rd ed."), field_name("...")
    ('C_headers_3rd_ed', '')
    """
    return re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name)).strip("_")


def domains(folder: Path) -> dict[str, Path]:
    """Return the sub-folders, sorted, by names fit for fields; hidden ones are left out.

    Raises Refused for no folder, no sub-folder, names of which nothing is left, or that clash.
    """
    if not folder.is_dir():
        raise Refused(f"{'is no folder' if folder.exists() else 'no such folder'}: {folder}")
    with readable_errors(folder):
        inside = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not inside:
        raise Refused(f"has no sub-folders, one for each domain: {folder}")
    by_name: dict[str, Path] = {}
    for path in inside:
        name = field_name(path.name)
        if not name:
            raise Refused(f"the name of {path} needs a letter or a digit")
        if name in by_name:
            raise Refused(f"{by_name[name].name!r} and {path.name!r} would both be called {name}")
        by_name[name] = path
    return by_name


def texts(domain: Path) -> list[Path]:
    """Return the files of a domain, below it at any depth, sorted; hidden ones are left out.

    Links to folders are followed. Raises Refused for one that leads back, and for what is no file.
    """

    def fail(error: OSError) -> None:
        raise error

    paths = []
    with readable_errors(domain):
        for place, inner, names in os.walk(domain, onerror=fail, followlinks=True):
            inner[:] = [name for name in inner if name[0] != "."]
            for path in (Path(place, name) for name in inner if Path(place, name).is_symlink()):
                within = [p.resolve() for p in path.parents if p.is_relative_to(domain)]
                if any(p.is_relative_to(path.resolve()) for p in within):
                    raise Refused(f"{path} leads back to a folder that it is in")
            paths += [Path(place, name) for name in names if name[0] != "."]
    for path in paths:
        if path.exists() and not path.is_file():
            raise Refused(f"{path} is no file")
    return sorted(paths, key=lambda path: path.relative_to(domain).parts)


def checked(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, in parts, as far as they are UTF-8."""
    decoder, start = codecs.getincrementaldecoder("utf-8")(), 0
    with readable_errors(path), path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                offset = start - held + error.start
                raise Refused(f"{path} is not UTF-8: byte {offset} ({error.reason})") from None
            if not chunk:
                return
            yield chunk
            start += len(chunk)


@contextlib.contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turn what the system refuses into one line that names the path."""
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise Refused(f"{place} cannot be read or written: {error.strerror or error}") from None
