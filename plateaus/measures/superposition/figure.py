"""The figure of mixed prompts: the mean over prompts, single prompts, and what sets them apart.

A line of four panels a setting. P = d in the mean is true of a model that answers each prompt by
all its tasks, in their shares, and of one that answers it by the task of its last example: the
panels beside the mean distinguish these.
"""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plateaus.measures.superposition import panels
from plateaus.measures.superposition import rows as superposition
from plateaus.report.facets import legend_above, spaced, title
from plateaus.report.selection import came_to_the_end
from plateaus.report.statistics import Row
from plateaus.report.style import styled

TITLES = ("mean over prompts", "single prompts", "between prompts", "effect of one example")


def mixed_prompts(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return what mixed prompts are answered at the end of training, a line of panels a setting.

    P is the probability of a task's answer. From the left: its mean over prompts, of the first of
    two tasks, against the task's share d of the examples; how P is spread over single prompts, as
    the share of them in each twentieth; saturation var P / (mean (1 - mean)) and switching
    1 - E[H] / H(E P), both 0 where all prompts are answered alike and 1 where each is answered by
    one task; what an example adds to P of its task, by its place, in the evenest mixture. Of more
    than two tasks the first has every answer to every mixture, a bar the median over seeds, and the
    next two every answer to the evenest. Medians over seeds; with their middle half or, of fewer
    than 8, each seed as a thin line or dot. Not data: dashed and red dashes, what a model says that
    answers by all tasks in their shares; dotted, what one would say that follows the majority of
    the last 3, 5 or 9 examples. Crosses and the red band: the models that the paper released.

    Source: paper 5, evaluation on mixed prompts; None without any.
    """
    chosen = spaced(came_to_the_end(dataset, rows, superposition.P))
    if not chosen:
        return None
    names = superposition.answers(dataset)
    two = len(names) == 2
    wide = 1.0 if two else min(2.0, max(1.0, dataset.sizes["mixture"] * len(names) / 16))
    with styled():
        size = (8.6 + 2.6 * wide, 1.3 + 2.2 * len(chosen))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(chosen), 4, squeeze=False, width_ratios=[wide, 1.1, 1, 1])
        for line, row in zip(grid, chosen, strict=True):
            if two:
                panels.mean(line[0], dataset, row)
                image = panels.prompts(line[1], dataset, row)
                panels.between(line[2], dataset, row)
            else:
                panels.means(line[0], dataset, row)
                image = panels.prompts_of_each(line[1], dataset, row)
                panels.between_of_each(line[2], dataset, row)
            panels.recency(line[3], dataset, row)
            first = f"mean P({names[0]})" if two else "mean P"
            line[0].set_ylabel(f"{title(row)}\n{first}" if row.setting else first)
            line[1].set_ylabel(f"P({names[0]})" if two else "P")
            line[2].set_ylabel("saturation, switching")
            line[3].set_ylabel("P(its task) - P(not its task)", fontsize=8)
        _alike([line[2] for line in grid])
        figure.colorbar(
            image,
            ax=list(grid[:, 1]),
            label="share of prompts",
            shrink=0.8,
            aspect=14 * len(chosen),
        )
        even = superposition.mixture_name(dataset, superposition.evenest(dataset))
        places = [f"share d of {names[0]} in the prompt"] * 3
        if not two:
            places = ["mixture: of one task, or its shares", *[f"answer, mixture {even}"] * 2]
        for axes, text in zip(grid[0], TITLES, strict=True):
            axes.set_title(text)
        for axes, place in zip(grid[-1], (*places, f"examples back, mixture {even}"), strict=True):
            axes.set_xlabel(place, fontsize=8 if len(place) > 30 else 9)
        legend_above(figure)
    return figure


def _alike(panels_between: Sequence[Axes]) -> None:
    """Give panels one vertical range, of what is drawn in any, and not less than a fifth."""
    lows, highs = zip(*(axes.get_ylim() for axes in panels_between), strict=True)
    low, high = max(min(lows), -0.05), min(max(highs), 1.05)
    high = min(max(high, low + 0.2), 1.05)
    low = min(low, high - 0.2)
    for axes in panels_between:
        axes.set_ylim(low, high)
