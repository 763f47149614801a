"""Files of the `tokenizers` library: text to numbers and back; imported only when one is named."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@functools.lru_cache(4)
def _load(path: str, stamp: tuple[int, int]) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ValueError(
            f"{path} needs the package tokenizers: pip install 'plateaus[text]'"
        ) from None
    try:
        return Tokenizer.from_file(str(Path(path).expanduser()))
    except Exception as error:  # the library raises nothing narrower
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no file of a tokenizer: {reason}") from None


def _tokenizer(path: str) -> Any:
    """Return the tokenizer of a file.

    Raises ValueError, one line, for no such file, a bad one, or where the package is missing.
    """
    try:
        stat = Path(path).expanduser().stat()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    return _load(path, (stat.st_size, stat.st_mtime_ns))


def size(path: str) -> int:
    """Return the number of tokens, added ones too."""
    return max(_tokenizer(path).get_vocab().values()) + 1


def encode(path: str, text: str) -> NDArray:
    """Return the tokens of a text, without those that mark its ends."""
    return np.array(_tokenizer(path).encode(text, add_special_tokens=False).ids, np.int64)


def decode(path: str, tokens: NDArray) -> str:
    """Return the text of tokens."""
    return str(_tokenizer(path).decode(tokens.tolist(), skip_special_tokens=False))
