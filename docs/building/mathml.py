"""Formulas as MathML, which browsers draw themselves: no script, and nothing from a network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError

_ARG = re.compile(r"\\arg(?![a-zA-Z])")  # the converter knows no \arg


def drawn(formula: str, display: str) -> str:
    """Return a formula of LaTeX as MathML, to be shown "inline" or as a "block".

    Raises ExtensionError for a command that is not known, which would stand there as it is.
    """
    try:
        text = str(convert(_ARG.sub(r"\\operatorname{arg}", formula), display=display))
    except Exception as error:
        raise ExtensionError(f"no formula: {formula}") from error
    if unknown := re.search(r">\s*(\\\w+)", text):
        raise ExtensionError(f"{unknown[1]} is not known, in the formula {formula}")
    return text


def inline(writer: Any, node: nodes.Element) -> None:
    """Write a formula within a line."""
    writer.body.append(drawn(node.astext(), "inline"))
    raise nodes.SkipNode


def block(writer: Any, node: nodes.Element) -> None:
    """Write a formula on a line of its own, which scrolls within itself where it is too wide."""
    writer.body.append(f'<div class="formula">{drawn(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer, which conf.py chooses by its name."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
