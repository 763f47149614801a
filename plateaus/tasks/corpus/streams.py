"""A folder of UTF-8 files as streams of tokens, one sub-folder a domain, mapped from disk."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plateaus import files, paths
from plateaus.tasks.corpus.folders import Refused, checked, domains, readable_errors, texts

BYTES = 256  # tokens of a byte-level vocabulary; the last, between files, is no byte of UTF-8


class Corpus(NamedTuple):
    """Domains as streams.

    Fields:
      names: of the domains, fit for fields.
      streams: one for each domain, [L_g] of uint8, uint16 or int32, mapped from disk.
      vocabulary: the number of tokens, the separator of files among them (the last one).
    """

    names: tuple[str, ...]
    streams: tuple[NDArray, ...]
    vocabulary: int


def contents(folder: Path, tokenizer: str = "") -> str:
    """Return a digest of what a corpus holds: domains, texts in their order, tokenizer.

    Raises Refused for what `domains` does, for a file that cannot be read, or is not UTF-8 (named
    with the offset of the first wrong byte), and for a bad tokenizer.
    """
    total = hashlib.sha256()
    for name, path in domains(folder).items():
        total.update(f"domain {name}\n".encode())
        for text in texts(path):
            text_hash = hashlib.sha256()
            for chunk in checked(text):
                text_hash.update(chunk)
            total.update(text_hash.digest())
    if tokenizer:
        place = paths.expanded(tokenizer)
        _vocabulary(tokenizer)
        with readable_errors(place):
            total.update(b"tokenizer" + hashlib.sha256(place.read_bytes()).digest())
    return total.hexdigest()[:16]


def _vocabulary(tokenizer: str) -> int:
    """Return the number of tokens, added ones too, with the separator."""
    return max(_tokenizer(tokenizer).get_vocab().values()) + 2 if tokenizer else BYTES


def _tokenizer(path: str) -> Any:
    """Return the tokenizer of a file of the `tokenizers` library, imported only if one is named.

    Raises Refused for no such file, a bad one, or where the package is missing.
    """
    try:
        stat = paths.expanded(path).stat()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    return _load(path, (stat.st_size, stat.st_mtime_ns))


@functools.lru_cache(4)
def _load(path: str, stamp: tuple[int, int]) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        need = "needs the package tokenizers: pip install 'plateaus[text]'"
        raise Refused(f"{path} {need}") from None
    try:
        return Tokenizer.from_file(str(paths.expanded(path)))
    except Exception as error:  # the library raises nothing narrower
        reason = " ".join(str(error).split())
        raise Refused(f"{path} is no file of a tokenizer: {reason}") from None


def _place(digest: str) -> Path:
    return files.cache() / "text" / digest


def kept(digest: str) -> bool:
    """Return whether the user's cache has the corpus of this digest."""
    return bool(digest) and (_place(digest) / "index.json").exists()


@functools.lru_cache(8)
def corpus(folder: Path, tokenizer: str, digest: str) -> Corpus:
    """Return the corpus that has this digest, from the user's cache or written there first.

    A corpus in the cache stays what it was when its folder changes under a run.
    Raises Refused, also where the folder holds something else by now.
    """
    place = _place(digest)
    with readable_errors(place):
        if not kept(digest):
            _write(place, folder, tokenizer, digest)
        index = json.loads((place / "index.json").read_bytes())
        mapped = np.memmap(place / "tokens.bin", np.dtype(index["dtype"]), "r")
    ends = np.cumsum(index["lengths"])
    streams = tuple(np.split(mapped, ends[:-1]))
    return Corpus(tuple(index["names"]), streams, index["vocabulary"])


def _write(place: Path, folder: Path, tokenizer: str, digest: str) -> None:
    """Write a corpus to its place, whole or not at all."""
    vocabulary = _vocabulary(tokenizer)
    dtype = next(d for d in ("uint8", "uint16", "int32") if vocabulary - 1 <= np.iinfo(d).max)
    with files.new_folder(place) as draft:
        lengths = []
        with (draft / "tokens.bin").open("wb") as out:
            for path in domains(folder).values():
                before = out.tell()
                for tokens in _tokens(path, tokenizer, vocabulary - 1):
                    out.write(tokens.astype(dtype).tobytes())
                lengths.append((out.tell() - before) // np.dtype(dtype).itemsize)
            if not sum(lengths):
                raise Refused(f"holds no text: {folder}")
        names = list(domains(folder))
        index = {"names": names, "lengths": lengths, "dtype": dtype, "vocabulary": vocabulary}
        (draft / "index.json").write_text(json.dumps(index), encoding="utf-8")
        if contents(folder, tokenizer) != digest:
            raise Refused(f"changed while it was read: {folder}")


def _tokens(domain: Path, tokenizer: str, separator: int) -> Iterator[NDArray]:
    """Yield the tokens of a domain's files, in parts, with a separator between two files."""
    begun = False
    for path in texts(domain):
        with readable_errors(path):
            if not path.stat().st_size:
                continue  # as are the empty __init__.py of Python packages
        if begun:
            yield np.array([separator])
        begun = True
        if tokenizer:
            with readable_errors(path):
                text = path.read_bytes().decode()
            encoded = _tokenizer(tokenizer).encode(text, add_special_tokens=False)
            yield np.array(encoded.ids, np.int64)
        else:
            yield from (np.frombuffer(chunk, np.uint8) for chunk in checked(path))


def decoded(tokens: NDArray, tokenizer: str, vocabulary: int) -> str:
    """Return tokens as text; a separator of files reads as a line of its own.

    >>> decoded(np.frombuffer("é".encode() + b"\\xffa", np.uint8), "", BYTES)
    'é\\na'
    """
    between = np.flatnonzero(np.asarray(tokens) == vocabulary - 1)
    parts = [part[i > 0 :] for i, part in enumerate(np.split(np.asarray(tokens), between))]
    if tokenizer:
        decode = _tokenizer(tokenizer).decode
        return "\n".join(decode(part.tolist(), skip_special_tokens=False) for part in parts)
    return "\n".join(part.astype(np.uint8).tobytes().decode(errors="replace") for part in parts)
