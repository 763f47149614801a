"""Formulas as MathML, which browsers draw themselves: no script, and nothing from a network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError


def _drawn(node: nodes.Element, display: str) -> str:
    try:
        return str(convert(node.astext(), display=display))
    except Exception as error:
        raise ExtensionError(f"{node.source}:{node.line}: no formula: {node.astext()}") from error


def inline(writer: Any, node: nodes.Element) -> None:
    """Write a formula within a line."""
    writer.body.append(_drawn(node, "inline"))
    raise nodes.SkipNode


def block(writer: Any, node: nodes.Element) -> None:
    """Write a formula on a line of its own, which scrolls within itself where it is too wide."""
    writer.body.append(f'<div class="formula">{_drawn(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer, which conf.py chooses by its name."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
