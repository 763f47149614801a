"""How the steps to escape fall with the batch, and where they stop falling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from plateaus.measures.by_task.prompts import drawn_a_step
from plateaus.measures.by_task.rows import ESCAPE, TaskRow, least, passages, refusal
from plateaus.report import bands, panels, survival, table, words
from plateaus.report.facets import TITLE_SIZE, legend_above
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks, styled
from plateaus.report.survival import Interval, Passages

BATCH = "batch"  # the swept field
FEWEST = 3  # batches: through two a power law always goes
LEAST = 0.1  # exponent from one batch to the next: a smaller fall is none
WIDTH, HEIGHT = 2.9, 2.6  # inches, of a panel
End = Literal["stop", "largest", "unmeasured"]


class Fall(NamedTuple):
    """A power law, steps ~ batch^slope, of the batches over which steps fall.

    Fields:
      slope: of the logarithms by least squares, seed by seed: the mean and its interval.
      level: mean over the seeds of log steps at a batch of 1, as the law has it.
      first, last: places of the smallest and the largest batch of the law.
      end: why it goes no further: steps "stop" falling there; it is the "largest" batch; or
        plateaus are "unmeasured" at the next one, too short or, of some seed, too long.
    """

    slope: Interval
    level: float
    first: int
    last: int
    end: End


def fall(batch: ArrayLike, steps: ArrayLike, floor: float = 0.0) -> Fall | None:
    r"""Return the power law by which steps fall with the batch, from the smallest on, or None.

    From one batch to the next steps fall if they do so at least as batch^-0.1 in the mean over the
    seeds (of log steps), and the 95% interval of that mean is below 0; of fewer than 8 seeds, if
    they fall in each. The first batch is the smallest at which every seed is measured; the last
    that to which steps fall without a break. On these $\log t_{sb} = a_s + c_s \log b$ is fitted
    for each seed s.

    Args:
      batch: [B], ascending.
      steps: [B, S]; NaN where a seed did not escape.
      floor: about the least that can be measured; a batch whose median is below it does not count.

    >>> steps = 1000 * np.array([[1.0, 1.2], [0.5, 0.6], [0.25, 0.3], [0.25, 0.31]])
    >>> found = fall([8, 32, 128, 512], steps)
    >>> round(found.slope.value, 6), found.first, found.last, found.end
    (-0.5, 0, 2, 'stop')
    """
    x, logs = np.log(np.asarray(batch, np.float64)), np.log(np.asarray(steps, np.float64))
    measured = np.isfinite(logs).all(axis=1) & (logs.shape[1] > 0)
    measured[measured] &= np.median(logs[measured], axis=1) >= math.log(max(floor, 1.0))
    if not measured.any():
        return None
    first = last = int(measured.argmax())
    end: End = "largest"
    while last + 1 < x.size:
        if not measured[last + 1]:
            end = "unmeasured"
            break
        if not _falls((logs[last + 1] - logs[last]) / (x[last + 1] - x[last])):
            end = "stop"
            break
        last += 1
    if last == first:
        return None
    places = slice(first, last + 1)
    slopes, levels = np.polyfit(x[places], logs[places], 1)
    return Fall(survival.mean_interval(slopes), float(levels.mean()), first, last, end)


def _falls(exponents: NDArray[np.float64]) -> bool:
    mean, _, high = survival.mean_interval(exponents)
    return mean <= -LEAST and bool(high < 0 if math.isfinite(high) else (exponents < 0).all())


class _Series(NamedTuple):
    """A task in a mixture, at each batch: prompts of it a step, and when its runs escape."""

    batch: list[float]
    own: list[float]
    runs: list[Passages]


def batches(
    dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]
) -> Figure | None:
    """Return each task's steps to escape against the batch, and against its own prompts in it.

    A panel for each task, a line for each mixture: the median over seeds of the steps, with a bar
    over their middle half of 8 seeds or more, and else a faint dot a seed; a triangle where some
    runs had not escaped by the horizon, which then stands for their time. Above: against all
    prompts of a step; below: against those of the task itself, so that what one task alone and a
    mixture do with as many prompts of it stands at the same place. Dashed: the power law of the
    batches over which steps fall; the legend has its exponent, the 95% interval of 8 seeds or more,
    and where steps stop falling: more slowly than batch^-0.1 to the next one, or not in every seed
    (of 8 or more: by the interval of their mean), or below the dotted line, about the shortest
    plateau that is measured. None unless three batches or more are swept.
    """
    if len(dict.fromkeys(r.setting.get(BATCH) for r in task_rows)) < FEWEST:
        return None
    series = _series(dataset, task_rows)
    tasks = list(dict.fromkeys(task for task, _ in series))
    mixtures = list(dict.fromkeys(name for _, name in series))
    if not tasks:
        return None
    palette = dict(zip(mixtures, looks(len(mixtures)), strict=True))
    floor = least(dataset)
    with styled():
        size = (0.6 + WIDTH * len(tasks), 0.9 + 2 * HEIGHT)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(2, len(tasks), sharey=True, squeeze=False)
        for column, task in enumerate(tasks):
            shown = {name: one for (of, name), one in series.items() if of == task}
            for axes, own in zip(grid[:, column], (False, True), strict=True):
                _panel(axes, shown, palette, floor, own=own)
            grid[0, column].set_title(words.lines(task.replace("_", " "), WIDTH, TITLE_SIZE))
        for axes in grid[:, 0]:
            axes.set_ylabel("steps to escape")
        handles = [
            grid[0, 0].plot([], [], label=n, **k.line, **k.mark)[0] for n, k in palette.items()
        ]
        legend_above(figure, handles)
    return figure


def _series(dataset: xr.Dataset, task_rows: Sequence[TaskRow]) -> Mapping[tuple[str, str], _Series]:
    """Return the tasks and mixtures of which some run escapes, batches in ascending order."""
    found: dict[tuple[str, str], _Series] = {}
    for row in sorted(task_rows, key=lambda row: float(row.setting[BATCH])):
        if refusal(dataset, row.index, row.task, ESCAPE) or not row.runs:
            continue
        others = {name: value for name, value in row.setting.items() if name != BATCH}
        name = table.label(others).removeprefix("variant=") or "as configured"
        one = found.setdefault((row.task, name), _Series([], [], []))
        one.batch.append(float(row.setting[BATCH]))
        one.own.append(drawn_a_step(dataset, row.index, row.task))
        one.runs.append(passages(dataset, row.index, row.task, ESCAPE))
    return {k: one for k, one in found.items() if any(runs.escaped.any() for runs in one.runs)}


def law(one: _Series, floor: float) -> Fall | None:
    """Return the power law of a series, over the seeds that every batch of it has."""
    seeds = one.runs[0].seeds
    for runs in one.runs[1:]:
        seeds = np.intersect1d(seeds, runs.seeds)
    times = [
        np.where(runs.escaped, runs.times, np.nan)[np.isin(runs.seeds, seeds)] for runs in one.runs
    ]
    return fall(one.batch, np.stack(times), floor)


def _panel(
    axes: Axes,
    shown: Mapping[str, _Series],
    palette: Mapping[str, Look],
    floor: float,
    *,
    own: bool,
) -> None:
    laws: list[tuple[str, Line2D]] = []
    for name, one in shown.items():
        look, x = palette[name], np.asarray(one.own if own else one.batch)
        middles = [float(np.median(runs.times)) for runs in one.runs]
        axes.plot(x, middles, color=look.color, lw=1.0, alpha=0.6)
        for at, runs in zip(x, one.runs, strict=True):
            cut = not runs.escaped.all()
            bands.median_point(axes, at, runs.times, look, marker="^" if cut else look.marker, ms=5)
        if found := law(one, floor):
            inside = slice(found.first, found.last + 1)
            steps = np.exp(found.level) * np.asarray(one.batch)[inside] ** found.slope.value
            (line,) = axes.plot(x[inside], steps, color=look.color, ls="--", lw=1.4)
            laws.append((described(found, one.batch), line))
    axes.axhline(floor, ls=":", lw=0.8, color=GREY)
    panels.log_axis(axes)
    panels.log_axis(axes, "x")
    axes.set_xlabel("prompts of the task in a step" if own else "prompts in a step")
    if laws and not own:
        axes.legend(
            [line for _, line in laws], [text for text, _ in laws], fontsize=6.5, loc="lower left"
        )


def described(found: Fall, batch: Sequence[float]) -> str:
    """Return a law in a few words: its exponent, and to where it holds.

    >>> described(Fall(Interval(-0.5, -0.6, -0.4), 8.0, 0, 2, "stop"), [8, 32, 128, 512])
    '-0.50 [-0.60, -0.40], stops at 128'
    >>> described(Fall(Interval(-0.5, math.nan, math.nan), 8.0, 0, 1, "largest"), [8, 32])
    '-0.50, beyond 32'
    """
    value, low, high = found.slope
    text = f"{value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if math.isfinite(low) else "")
    ends = {"stop": "stops at", "largest": "beyond", "unmeasured": "measured to"}
    return f"{text}, {ends[found.end]} {batch[found.last]:g}"
