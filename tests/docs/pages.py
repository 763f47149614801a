"""What is on a page of the documentation: its blocks, each with its language and its title."""

import re
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")


class Block(NamedTuple):
    """A fenced block: its language, its title (the last `name` of the line above), its text."""

    language: str
    title: str
    text: str


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Return the blocks of a page, or those in one language, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        above = text[: match.start()].rstrip().rpartition("\n")[2]
        names = _SPAN.findall(above) if above.endswith(":") else []
        found.append(Block(match[1], names[-1] if names else "", match[2]))
    return [block for block in found if language in (None, block.language)]


def file(page: Path, title: str) -> str:
    """Return the text of the one block of this title."""
    (text,) = (block.text for block in blocks(page) if block.title == title)
    return text
