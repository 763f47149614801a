"""Standard output and error as a command writes them: in any encoding, and never an error.

What a command prints is a copy of what it writes into files: a pipe that closes, a full disk or an
encoding without Greek may cost the copy, not the run.
"""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

# Of tables, lines and labels; letters with accents lose them.
_PLAIN = str.maketrans(
    {"─": "-", "━": "-", "╸": "-", "╺": "-", "–": "-", "—": "-", "−": "-", "…": "...", "•": "*"}
    | {"×": "x", "·": "*", "±": "+-", "≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "∞": "inf"}
    | {"│": "|", "‘": "'", "’": "'", "“": '"', "”": '"'}
)


class Forgiving:
    """A text stream whose reader may go away, or which may be closed or full: no write raises.

    `failure` is why something was lost last, but to a reader that went away, who wants no more; ""
    without that.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure = ""  # the error itself would keep the frames of all who print

    def write(self, text: str) -> int:
        """Write as much of the text as the stream takes; return its length."""
        with self._forgiven():
            try:
                self._stream.write(text)
            except UnicodeEncodeError:  # which itself may name no encoding but "charmap"
                self._stream.write(representable(text, self._stream.encoding or "ascii"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the lines, likewise."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream, if it can be."""
        with self._forgiven():
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return bool(self._stream.isatty())
        return False

    def settle(self) -> None:
        """Write out what is still to be written; what cannot be must not fail again at exit."""
        with contextlib.suppress(ValueError, AttributeError):
            try:
                self._stream.flush()
            except OSError as error:
                self._note(error)
                self._hang_up()

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._note(error)
            if isinstance(error, BrokenPipeError):
                self._hang_up()
        except (ValueError, AttributeError):  # it is closed, or there is none
            pass

    def _note(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.failure = error.strerror or str(error)

    def _hang_up(self) -> None:
        """Redirect the stream to the null device, since its buffer would fail again at exit."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            number = self._stream.fileno()  # a stream in memory has none
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, number)
            finally:
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def representable(text: str, encoding: str) -> str:
    """Return a text with what an encoding lacks written otherwise, or as question marks.

    >>> representable("Adām: ½ ─── ≥ 2", "ascii"), representable("é ≥ λ", "latin-1")
    ('Adam: 1/2 --- >= 2', 'é >= ?')
    """

    def fitting(character: str) -> str:
        letters = unicodedata.normalize("NFKD", character).replace("\u2044", "/")
        parts = (p for p in letters if not unicodedata.combining(p))
        for other in (character, character.translate(_PLAIN), "".join(parts)):
            with contextlib.suppress(UnicodeEncodeError):
                other.encode(encoding)
                return other
        return "?"

    return "".join(map(fitting, text))


@contextlib.contextmanager
def forgiving() -> Iterator[Forgiving]:
    """Make standard output and error forgiving for a while; yield the output.

    A descriptor that is closed is opened on the null device: else the next file opened would take
    its number, and what libraries write on standard error would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number
    before = sys.stdout, sys.stderr
    for stream in before:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.set_blocking(stream.fileno(), True)  # another program may have left it otherwise
    output, error = (Forgiving(stream) for stream in before)
    sys.stdout, sys.stderr = output, error
    try:
        yield output
    finally:
        sys.stdout, sys.stderr = before
        output.settle()
        error.settle()
