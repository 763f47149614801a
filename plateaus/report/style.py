"""How figures look and how they reach the disk: colours, lines, fonts, whole files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from plateaus.files import write_atomically

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (2.5, 1)))
MARKERS = "os^Dv<>Pp*hX"
GREY, PALE = "0.35", "0.75"
# Okabe and Ito's, which stay apart for the colour-blind; without yellow, faint on white, and black,
# which is the baseline's.
CATEGORIES = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"),
    *("#882255", "#332288"),  # of Paul Tol, for where no dashes tell apart
)

SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same figure everywhere
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "text.parse_math": False,  # a swept string may hold a dollar sign
    "svg.hashsalt": "plateaus",
    "svg.fonttype": "path",
    "path.simplify": True,
}


class Look(NamedTuple):
    """Colour, dash and marker of one swept value: each alone sets it apart from its neighbours."""

    color: Any
    dash: Any
    marker: str
    width: float

    @property
    def line(self) -> dict[str, Any]:
        """The keywords of a line."""
        return {"color": self.color, "ls": self.dash, "lw": self.width}

    @property
    def mark(self) -> dict[str, Any]:
        """The keywords of its markers, edged in white so that they stand off the line."""
        return {"marker": self.marker, "mec": "white", "mew": 0.5}

    def handle(self, label: str, **options: Any) -> Line2D:
        """Return its entry in a legend; `options` are those of a line."""
        return Line2D([], [], label=label, **self.line, **options)


def looks(
    values: int, baseline: int | None = None, order: Sequence[float] | None = None
) -> list[Look]:
    """Return one look per swept value; no two of 24 are alike, in grey or for the colour-blind.

    Categories have Okabe and Ito's colours, the baseline black and heavier; dashes and markers
    tell apart what shares a colour. Values of an `order` go from dark to light in it. That map is
    cut before its lightest part, earlier for few values: every line is seen on white.
    """
    if order is None:
        colors: list[Any] = [CATEGORIES[i % len(CATEGORIES)] for i in range(values)]
        if baseline is not None:
            colors = [*colors[:baseline], "#000000", *colors[baseline:-1]]
    else:
        lightest = min(0.78, 0.45 + 0.07 * values)
        shades = matplotlib.colormaps["viridis"](np.linspace(0.0, lightest, values))
        ranks = np.argsort(np.argsort(order, kind="stable"), kind="stable")
        colors = [tuple(float(part) for part in shades[rank]) for rank in ranks]
    return [
        Look(
            color,
            DASHES[i % len(DASHES)],
            MARKERS[(i + i // len(MARKERS)) % len(MARKERS)],
            2.2 if i == baseline else 1.5,
        )
        for i, color in enumerate(colors)
    ]


def looks_of(names: Sequence[str]) -> dict[str, Look]:
    """Return the look of each of several names."""
    return dict(zip(names, looks(len(names)), strict=True))


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Apply the project's style while a figure is built or drawn."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def save(figure: Figure, directory: str | os.PathLike[str], stem: str) -> list[Path]:
    """Write `stem`.png (200 dpi) and `stem`.svg, whole or not at all; return their paths.

    The same figure gives the same bytes: no dates, fixed identifiers.

    Raises:
      OSError: if a file cannot be written; what was there before is left as it was.
    """
    _settle(figure)
    folder, paths = Path(directory), []
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg"):
        path = folder / f"{stem}.{suffix}"
        metadata = {"Date": None} if suffix == "svg" else {}
        draw = partial(figure.savefig, format=suffix, dpi=200, metadata=metadata)
        with styled():
            write_atomically(path, draw)
        paths.append(path)
    return paths


def _settle(figure: Figure) -> None:
    """Lay the figure out for good, and round where its axes are.

    The layout's solver is off by a last bit, now and then, and an SVG names clips by their corners.
    """
    with styled():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axes in figure.axes:
            edges = (round(float(edge), 9) for edge in axes.get_position().bounds)
            axes.set_position(Bbox.from_bounds(*edges))
