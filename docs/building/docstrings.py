"""Docstrings as Sphinx reads them: they are written as Markdown is, and are no such text."""

from __future__ import annotations

import re
from typing import Any

_DISPLAY = re.compile(r"\s*\$\$(.+?)\$\$[ \t]*([.,;:]?)", re.DOTALL)
_ASIDE = re.compile(
    r"(?P<code>`[^`]+`)|\$(?P<formula>[^$]+)\$|(?P<bold>(?<!\w)\*(?=\S)[^*\n]+(?<=\S)\*(?!\w))"
)
_BULLET = re.compile(r"^([ \t]*)\\\* ", re.MULTILINE)
_SPECIAL = re.compile(r"\*|\|(?=\S)|(?<=\w)_(?!\w)|(?i:(?<=\bfile)|(?<=\bdata)):(?=\S)")  # no URL


def restructured(text: str) -> str:
    r"""Return a docstring as reStructuredText: code in two backticks, formulas in their role.

    >>> restructured("Use $g + b$, where `b` is *stored*, in update(*, key).")
    'Use :math:`g + b`, where ``b`` is *stored*, in update(\\*, key).'

    A formula between two dollars becomes a block of its own, and what follows it a paragraph.
    Examples (`>>>`) stay as they are.
    """
    blocks = re.split(r"(\n[ \t]*\n)", text)
    return "".join(b if b.lstrip().startswith(">>>") else _prose(b) for b in blocks)


def _prose(text: str) -> str:
    """Return a paragraph; what is code or a formula is set aside, and so is changed once."""
    kept: list[str] = []

    def aside(piece: str) -> str:
        kept.append(piece)
        return f"\0{len(kept) - 1}\0"

    def display(match: re.Match[str]) -> str:
        first = text.find(text.lstrip()) - text.rfind("\n", 0, text.find(text.lstrip())) - 1
        indent = " " * first
        formula = " ".join(match.group(1).split())
        rest = text[match.end() :].strip()
        return aside(f"\n\n{indent}.. math:: {formula}\n\n{indent if rest else ''}")

    def inline(match: re.Match[str]) -> str:
        words = " ".join((match.group("code") or match.group("formula") or match.group()).split())
        if match.group("code"):
            return aside(f"`{words}`")
        return aside(f":math:`{words}`" if match.group("formula") else match.group())

    text = _ASIDE.sub(inline, _DISPLAY.sub(display, text))
    text = _BULLET.sub(r"\1* ", _SPECIAL.sub(lambda match: "\\" + match.group(), text))
    return re.sub(r"\0(\d+)\0", lambda match: kept[int(match.group(1))], text)


def rewrite(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place, before napoleon reads its sections."""
    lines[:] = restructured("\n".join(lines)).splitlines()


def shorten(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returned: str
) -> tuple[str, str] | None:
    """Return the signature of a NamedTuple as its fields alone, if short; they stand below it."""
    if what != "class" or not issubclass(obj, tuple) or not hasattr(obj, "_fields"):
        return None
    fields = obj._fields
    given = getattr(obj, "_field_defaults", {})
    text = ", ".join(f"{field}=..." if field in given else field for field in fields)
    return (f"({text})" if len(text) < 60 else ""), ""


def setup(app: Any) -> dict[str, bool]:
    """Connect to autodoc, ahead of napoleon."""
    app.connect("autodoc-process-docstring", rewrite, priority=100)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True}
