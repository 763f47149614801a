"""Figures as SVG files that are small and stay the same: text as text, no date, no version."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.sax.saxutils import escape

from matplotlib import rc_context
from matplotlib.figure import Figure

from plateaus.report.style import styled

FONT = "font-family: 'DejaVu Sans', sans-serif"
_DIGEST = re.compile(rb"<dc:identifier>(\w+)</dc:identifier>")


def content(drawn: Figure, title: str, description: str = "", digest: str = "") -> bytes:
    """Return a figure as an SVG; the same figure gives the same bytes.

    What every text says of itself alike is said once: a third of the file.

    Args:
      drawn: the figure, its layout settled.
      title, description: what it shows, for a screen reader.
      digest: of what it was drawn from; `digest_of` reads it back.
    """
    result = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Title": " ".join(title.split())}
    metadata |= {"Identifier": digest} if digest else {}
    with styled(), rc_context({"svg.fonttype": "none"}):
        drawn.savefig(result, format="svg", metadata=metadata)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", result.getvalue())
    text = text.replace(f"; {FONT}", "").replace("</style>", f" text {{{FONT}}}</style>", 1)
    text = text.replace("<svg ", '<svg role="img" ', 1)
    if description:
        said = f"</title>\n <desc>{escape(description)}</desc>"
        text = text.replace("</title>", said, 1)
    return text.encode()


def digest_of(path: Path) -> str:
    """Return the digest of what an SVG was drawn from; "" if there is no such file, or none in it.

    >>> digest_of(Path("nowhere.svg"))
    ''
    """
    if not path.exists():
        return ""
    found = _DIGEST.search(path.read_bytes())
    return found.group(1).decode() if found else ""
