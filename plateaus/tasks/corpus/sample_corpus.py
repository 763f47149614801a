"""A small real corpus of what Python and our dependencies install: nothing is downloaded.

python -m plateaus.tasks.corpus.sample_corpus DIR
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from plateaus import files, paths
from plateaus.config.exit_codes import with_exit_code

FORMAT = 1  # of the corpus; a new one is another corpus
BYTES = 250_000  # of a domain, at most
OF_A_FILE = 16_000  # at most, so that a domain has many authors


def place() -> Path:
    """Return where the sample corpus of these versions of Python and packages is kept."""
    versions = [sys.version, *(metadata.version(name) for name in ("numpy", "matplotlib"))]
    identity = "\n".join([str(FORMAT), *versions, sysconfig.get_paths()["include"]])
    return files.cache() / "sample_corpus" / hashlib.sha256(identity.encode()).hexdigest()[:10]


def cached() -> Path:
    """Return the sample corpus in the user's cache, made there if it is not."""
    folder = place()
    if not folder.is_dir():
        make(folder)
    return folder


def make(folder: Path) -> None:
    """Write the corpus into a folder that is not there yet, whole or not at all.

    Domains: c_headers (of Python and NumPy), font_tables (Matplotlib's metrics of fonts), prose
    (Python's documentation), python_code (the standard library), type_stubs (NumPy's).
    """
    with files.new_folder(folder) as draft:
        for name, texts in _domains().items():
            (draft / name).mkdir()
            for title, text in _select(texts):
                (draft / name / title).write_bytes(text)


def _domains() -> dict[str, Iterable[tuple[str, bytes]]]:
    library = Path(os.__file__).parent
    include = Path(sysconfig.get_paths()["include"])
    numpy, fonts = _package("numpy"), _package("matplotlib") / "mpl-data" / "fonts"
    # NumPy's headers first: those of Python are not installed everywhere
    headers = [*sorted(numpy.glob("_core/include/numpy/*.h")), *sorted(include.glob("*.h"))]
    return {
        "c_headers": _read(headers),
        "font_tables": _read(sorted(fonts.glob("*/*.afm"))),
        "prose": _topics(),
        "python_code": _read(sorted(library.glob("*.py"))),
        "type_stubs": _read(sorted(numpy.glob("**/*.pyi"))),
    }


def _package(name: str) -> Path:
    """Return the folder of a package, without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def _topics() -> Iterator[tuple[str, bytes]]:
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield f"{name}.txt", topics[name].encode()


def _read(paths: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        yield path.name, path.read_bytes()


def _select(texts: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yield the first whole lines of UTF-8 texts, shuffled and numbered, up to `BYTES`.

    Shuffled, by a digest, so that the last of them, which are held out, are like the others.
    """
    total, seen = 0, set()
    for title, text in sorted(texts, key=lambda titled: hashlib.sha256(titled[1]).digest()):
        part = text[:OF_A_FILE]
        part = part[: part.rfind(b"\n") + 1]
        try:
            part.decode()
        except UnicodeDecodeError:
            continue
        if not part or part in seen:
            continue
        if total + len(part) > BYTES:
            return
        seen.add(part)
        total += len(part)
        yield f"{len(seen):03d}_{title}", part


@with_exit_code
def main(arguments: list[str]) -> int:
    """Make the corpus in a new folder; return the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m plateaus.tasks.corpus.sample_corpus DIR", file=sys.stderr)
        return 2
    folder = paths.expanded(arguments[0])
    if folder.exists():
        print(f"error: {folder}: exists already; name a new folder", file=sys.stderr)
        return 2
    try:
        make(folder)
    except OSError as error:
        print(f"error: {folder}: {error.strerror or error}", file=sys.stderr)
        return 2
    for domain in sorted(folder.iterdir()):
        size = sum(path.stat().st_size for path in domain.iterdir())
        print(f"{domain}: {size:,} bytes in {len(list(domain.iterdir()))} files")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
