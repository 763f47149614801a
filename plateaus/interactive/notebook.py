"""Notebooks: whether there is one, and a figure in it of the losses so far, while runs train."""

from __future__ import annotations

import functools
import io
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from plateaus.information import Unknown, informative
from plateaus.interactive.display import brief
from plateaus.jobs.pace import Piece
from plateaus.jobs.progress import Progress
from plateaus.report import words
from plateaus.report.style import looks, styled

SHARE = 0.05  # of the time, at most, that drawing may take
MOST_NAMED = 12  # settings, of which the key has names


def shell() -> Any:
    """Return the notebook's shell that this code runs under; None elsewhere."""
    ipython = sys.modules.get("IPython")
    found = ipython.get_ipython() if ipython is not None else None
    return found if getattr(found, "kernel", None) is not None else None


def shown(progress: bool) -> Callable[..., Progress] | None:
    """Return what shows the progress of runs: nothing, a figure, or, as None, the command's."""
    if not progress:
        return functools.partial(Progress, stream=io.StringIO(), plain_every=float("inf"))
    return Live if shell() is not None else None


def show_figures() -> None:
    """Have a notebook show Matplotlib figures as pictures, unless it does already."""
    if (found := shell()) is None:
        return
    formatter = found.display_formatter.formatters["image/png"]
    try:
        formatter.lookup_by_type(Figure)
    except KeyError:
        formatter.for_type(Figure, png)


def png(figure: Figure, dpi: int = 90) -> bytes:
    """Return a figure as a notebook shows it."""
    stream = io.BytesIO()
    with styled():
        figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


class Live(Progress):
    """The progress as the title of a figure, which is drawn anew every second or more seldom.

    Devices only hand over the losses; it is drawn by the thread that waits for them.
    """

    def __init__(self, pieces: Sequence[Piece], lanes: int) -> None:
        super().__init__(pieces, lanes, io.StringIO(), plain_every=float("inf"))
        self._at: dict[int, Piece] = {}  # by lane
        self._curves: dict[Any, tuple[int, list[np.ndarray]]] = {}  # by run
        self._next, self._handle = 0.0, None
        self._failed = False

    def begin(self, lane: int, piece: Piece) -> None:
        """Note that a device takes one of the chunks."""
        super().begin(lane, piece)
        with self._lock:
            self._at[lane] = piece

    def update(
        self, lane: int, run_steps: int, *counts: int, losses: Any = None, **more: int
    ) -> None:
        """Add what a device's chunk has done since the last call, and its losses."""
        super().update(lane, run_steps, *counts, **more)
        if losses is not None:
            with self._lock:
                piece = self._at[lane]
                for member, values in zip(piece.members, losses, strict=True):
                    self._curves.setdefault(member, (piece.phase, []))[1].append(values)

    def message(self, line: str) -> None:
        """Print a line."""
        print(line, file=sys.stderr)

    def show(self) -> None:
        """Draw how things stand by now, unless that was just done."""
        if time.monotonic() >= self._next:
            self._redraw()

    def __exit__(self, *_: object) -> None:
        """Draw how things stand at the end."""
        super().__exit__()
        self._redraw()

    def _redraw(self) -> None:
        began = time.monotonic()
        if not self._failed:  # a figure that cannot be shown stops no run
            drawn = informative(self._draw_figure)()
            self._failed = isinstance(drawn, Unknown)
        now = time.monotonic()
        self._next = now + max(1.0, (now - began) / SHARE)

    def _draw_figure(self) -> None:
        from IPython.display import Image, display

        with self._lock:
            columns = self._columns(self._clock())
            curves = {run: (phase, [*parts]) for run, (phase, parts) in self._curves.items()}
        joined = {run: (phase, np.concatenate(parts)) for run, (phase, parts) in curves.items()}
        title = "  ".join(text.strip() for text in columns.values() if text)
        image = Image(data=png(losses_so_far(joined, title)))
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)


def losses_so_far(curves: dict[Any, tuple[int, np.ndarray]], title: str) -> Figure:
    """Return a figure of the test losses of runs, a thin line each, in the colour of its setting.

    Args:
      curves: a run, with its `values` -> steps between evaluations, and the losses at each.
      title: of the figure.
    """
    settings = list(dict.fromkeys(run.values for run in curves))
    with styled():
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.subplots()
        for setting, look in zip(settings, looks(len(settings)), strict=True):
            name = ", ".join(map(brief, setting)) or "all runs"
            for run, (phase, losses) in curves.items():
                if run.values == setting and losses.size > 1:
                    steps = phase * np.arange(1, losses.size)
                    label = name if name not in axes.get_legend_handles_labels()[1] else None
                    axes.plot(steps, losses[1:], color=look.color, lw=0.8, label=label)
        ends = [(phase, phase * max(2, len(losses) - 1)) for phase, losses in curves.values()]
        firsts, lasts = zip(*(ends or [(1, 10)]), strict=True)
        words.log_steps(axes, min(firsts), max(lasts))
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("test loss")
        axes.set_title(title)
        if 0 < len(axes.get_legend_handles_labels()[1]) <= MOST_NAMED and len(settings) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
