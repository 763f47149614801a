"""Pages that are written at build time, where a marker stands alone on a line of a page.

`<!--exports plateaus.data-->` is what a room of the package exports, from its docstrings;
`<!--fields-->` is every field of a config, from its declaration. The page around the marker says in
its own words what it is about. A pattern of the contents that no page matches is left out, and a
Markdown file of the repository that is no page here is offered as a file.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

from building.docstrings import restructured
from sphinx.ext.napoleon import GoogleDocstring

from plateaus.build.reference import tables
from plateaus.config.component import Entry
from plateaus.config.reference import Record, records
from plateaus.fields import Field, declared

_EXPORTS = re.compile(r"^<!--exports ([\w.]+)-->$", re.MULTILINE)
_FIELDS = "<!--fields-->\n"
_OUTSIDE = re.compile(r"\]\(((?:\.\./)+[^)\s#]+\.md)(?:#[^)\s]*)?\)")
_PATTERN = re.compile(r"^[\w/*]*\*\n", re.MULTILINE)


def expand(text: str, page: Path, docs: Path) -> str:
    """Return the text of a page in the folder `docs` with what its markers stand for."""
    if _FIELDS in text:
        text = text.replace(_FIELDS, field_sections(tables()))
    text = _EXPORTS.sub(lambda match: exports(importlib.import_module(match.group(1))), text)
    text = _OUTSIDE.sub(lambda match: _offered(match, page, docs), text)
    if "{toctree}" not in text:
        return text
    return _PATTERN.sub(lambda m: m.group() * any(docs.glob(f"{m.group().strip()}.md")), text)


def _offered(match: re.Match[str], page: Path, docs: Path) -> str:
    path = (page.parent / match.group(1)).resolve()
    outside = path.is_file() and not path.is_relative_to(docs.resolve())
    return f"](path:{match.group(1)})" if outside else match.group()


def _block(text: str) -> str:
    return f"````{{eval-rst}}\n{text}\n````"


def exports(module: ModuleType) -> str:
    """Return an entry for everything that a module exports, but for rooms, which have pages."""
    return "\n\n".join(_entry(module, name) for name in module.__all__)


def _entry(module: ModuleType, name: str) -> str:
    value, path = getattr(module, name), f"{module.__name__}.{name}"
    if isinstance(value, ModuleType):
        inner = not hasattr(value, "__path__") and module.__name__ != "plateaus"
        heading = f"## {name}\n\n"
        members = _block(f".. automodule:: {value.__name__}\n   :members:")
        return heading + members if inner else ""
    if not inspect.isclass(value):
        return _block(f".. autofunction:: {path}")
    fields = _records_of(value)
    if fields:
        return _block(_described(path, value, fields))
    documented = [] if issubclass(value, tuple) else ["   :members:"]  # a record says its fields
    return _block("\n".join([f".. autoclass:: {path}", *documented]))


def _records_of(owner: type) -> list[Record]:
    """Return the declared fields of a spec or of knobs; none of any other class."""
    knobs = issubclass(owner, tuple) and hasattr(owner, "_fields")
    if not knobs and not dataclasses.is_dataclass(owner):
        return []
    found = {
        name: Entry(name, type(default), said, knobs, default)
        for name, (hint, default) in declared(owner).items()
        for said in getattr(hint, "__metadata__", ())
        if type(said) is Field
    }
    return records(found)


def _described(path: str, owner: type, rows: list[Record]) -> str:
    """Return the entry of a spec or of knobs, under the name by which it is exported."""
    said = str(GoogleDocstring(restructured(inspect.getdoc(owner) or "")))
    body = [said, ""]
    body += [f"* **{row.name}** = {_value(row)}: {_said(row)}; {_facts(row)}" for row in rows]
    return f".. py:class:: {path}\n\n{textwrap.indent(chr(10).join(body), '   ')}"


def _value(row: Record) -> str:
    return f"``{row.value}``" if row.value else '``""``'


def _said(row: Record) -> str:
    return restructured(row.help)


def _facts(row: Record) -> str:
    """Return what a field may be, and where it does nothing."""
    allowed = f"``{row.allowed}``" if row.allowed else row.kind
    units = f" {row.units}" if row.units else ""
    return f"{allowed}{units}" + (f"; neutral at ``{row.neutral}``" if row.neutral else "")


ROLES = {
    "knob": "A *knob*.",
    "spec": "A *spec*.",
    "observes": "Only *recorded*.",
    "derived": "It *follows* from other fields.",
}


def field_sections(titled: dict[str, list[Record]]) -> str:
    """Return a section for each table of fields, and in it an entry for each field.

    A name that several sections have is to be found, in the index and by the search, in the first.
    """
    seen: set[str] = set()
    parts = []
    for title, rows in titled.items():
        section, _, name = title.partition(".")
        chosen = f"{section}.name" if name else None  # stands in the heading
        entries = [_field(row, row.name in seen) for row in rows if row.name != chosen]
        seen |= {row.name for row in rows}
        heading = f"{section}.name = {name}" if name else title
        parts.append(f"## {heading}\n\n" + _block("\n\n".join(entries) or "It has no fields."))
    return "\n\n".join(parts) + "\n"


def _field(row: Record, again: bool) -> str:
    start = f".. confval:: {row.name}" + "\n   :no-index:" * again
    said = _said(row)
    default = "" if row.role == "derived" else f"Default {_value(row)}; allowed: {_facts(row)}. "
    return f"{start}\n\n   {said[:1].upper()}{said[1:]}.\n   {default}{ROLES[row.role]}"


def setup(app: Any) -> dict[str, bool]:
    """Expand the markers of every page as it is read."""

    def read(app: Any, name: str, source: list[str]) -> None:
        source[0] = expand(source[0], Path(app.env.doc2path(name)), Path(app.srcdir))

    app.connect("source-read", read)
    return {"parallel_read_safe": True}
