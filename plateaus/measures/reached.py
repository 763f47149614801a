"""When the accuracy over all items is at its levels: a table and a figure of each setting.

Where a task has items, of which a setting may train on some (subjects of facts), the loss over all
of them need not fall to its best; how many are answered rightly says what was learned. No jax.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from plateaus.measures.whole_curves import metrics_reached
from plateaus.report import csv_columns, main_panels, panels, statistics, table, words
from plateaus.report.facets import by_facet, names, styles_of
from plateaus.report.kept_columns import LEVELS, reaches
from plateaus.report.length_panels import has_ratios, length_panel, ratio_panel
from plateaus.report.selection import followed
from plateaus.report.statistics import Row
from plateaus.report.style import GREY
from plateaus.report.terminal import (
    empty_table,
    print_table,
    ratio_text,
    setting_cells,
    setting_headings,
    short,
)

COLUMNS = {  # fields of a row, by which the steps are those of its escape
    "runs": "runs",
    "escaped": "reached",
    "escape": "step_median",
    **{name: name for name in ("ratio", "bound", "sooner", "pairs", "pairs_censored")},
    **{name: name for name in ("pair_ratios", "p_value", "p_adjusted", "floor")},
}


class Reached(NamedTuple):
    """A setting, a metric and a level; `row` is as of the main table, of steps to the level."""

    metric: str
    level: float
    row: Row


def summarise(dataset: xr.Dataset, rows: Sequence[Row]) -> list[Reached]:
    """Return a row for each metric of all items, each level and each setting; p is by level."""
    return [
        Reached(metric, level, row)
        for metric, level, of_level in _by_level(dataset)
        for row in statistics.summarise(of_level)
    ]


def _by_level(dataset: xr.Dataset) -> Iterator[tuple[str, float, xr.Dataset]]:
    """Yield results whose escape is when a metric is at a level."""
    every = map(str, dataset.data_vars)
    metrics = [name for name in every if f"{name}_trained" in dataset and name != "test_loss"]
    if not metrics:
        return
    computed = metrics_reached(dataset)
    for metric in metrics:
        for level in LEVELS:
            column = reaches(metric, level)
            step = dataset.get(column, computed.get(column))  # kept curves are thinned
            if step is not None:
                yield metric, level, dataset.assign(escape_step=step)


def csv_text(found: Sequence[Reached]) -> str:
    """Return the table as CSV, a row for each metric, level and setting."""
    records = []
    for metric, level, row in found:
        record = csv_columns.swept(row.setting) | {"metric": metric, "level": level}
        record |= csv_columns.fields(row, COLUMNS)
        records.append(record | {"baseline": table.label(row.baseline)})
    return table.as_csv(records)


def show(found: Sequence[Reached]) -> None:
    """Print the median step to each level and its ratio to the baseline's, a line a setting."""
    for metric in dict.fromkeys(each.metric for each in found):
        by_level = {
            level: {each.row.index: each.row for each in found if each[:2] == (metric, level)}
            for level in LEVELS
        }
        first = next(iter(by_level.values()))
        fields = [*next(iter(first.values())).setting]
        compared = has_ratios([*first.values()])
        heads = [f"steps\nto {level}" for level in LEVELS]
        if compared:
            heads = [part for head in heads for part in (head, "ratio\n[95%]")]
        content = empty_table(setting_headings(fields, 1), heads)
        for index, row in first.items():
            values = [table.value_text(value) for value in row.setting.values()]
            numbers = []
            for rows in by_level.values():
                numbers.append(short(rows[index].escape.value, ".0f").replace("inf", "never"))
                ratio = ratio_text(rows[index].ratio, rows[index].bound)
                numbers += ["baseline" if row.is_baseline else ratio] * compared
            content.add_row(*setting_cells(values, 1), *numbers)
        lines = [f"{metric.replace('_', ' ')} over all items: median steps until it is at a level"]
        print_table(content, lines)


def metric_times(dataset: xr.Dataset, rows: Sequence[Row], found: Sequence[Reached]) -> Figure:
    """Return the accuracy over all items, and the steps until it is at each level.

    Left, the accuracy over all items, those that a setting does not train on among them, against
    log steps: the median over seeds; of up to 6 settings also the middle half of the seeds or, of
    fewer than 8, each seed as a thin line. Dotted: the levels. Right, a panel a level: the steps
    until the mean of three evaluations is at it, as a ratio to the baseline's run of the same seed:
    a faint dot a seed, the geometric mean and its 95% interval; without a baseline the steps
    themselves. An arrow is a bound: one of the two was not there by the horizon.
    """
    metric = found[0].metric
    of_level = {level: each for name, level, each in _by_level(dataset) if name == metric}
    row_of = {(each.level, each.row.index): each.row for each in found if each.metric == metric}

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        left, *others = part.subplots(1, 1 + len(of_level), width_ratios=(3, *[2] * len(of_level)))
        looks, steps = styles_of(facet), dataset["eval_step"].values
        panels.log_step_axis(left, steps, facet[0].horizon, most=5)
        curves = [followed(dataset, metric, row) for row in facet]
        main_panels.median_curves(left, steps, curves, looks)
        left.set_ylabel(f"{metric.replace('_', ' ')}, all items")
        for axes, (level, results) in zip(others, of_level.items(), strict=True):
            left.axhline(level, ls=":", lw=0.8, color=GREY, zorder=0)
            shown = [
                (row_of[level, row.index], look) for row, look in zip(facet, looks, strict=True)
            ]
            _level_panel(axes, results, shown, level)
        labels = names(facet) if facet[0].setting else [""]
        lines = [words.lines(label, 1.6) for label in labels]
        others[0].set_yticks(range(len(facet)), lines)

    lines = max(words.lines(name, 1.6).count("\n") + 1 for name in names(rows))
    most = max(len(rows) // max(len({row.index[:-1] for row in rows}), 1), 1)
    return by_facet(rows, (10.5, max(2.6, 0.9 + most * (0.1 + 0.15 * lines))), draw)


def _level_panel(axes: Axes, results: xr.Dataset, shown: main_panels.Styled, level: float) -> None:
    """Draw the times to one level, a row for each setting, the first on top."""
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_yticks([])
    if has_ratios([row for row, _ in shown]):
        ratio_panel(axes, results, shown)
        axes.set_xlabel("steps, ratio to\nthe baseline's")
    else:
        steps = results["eval_step"].values
        first = float(steps[steps > 0].min(initial=shown[0][0].horizon))
        length_panel(axes, results, shown, (first, float(shown[0][0].horizon)))
        axes.set_xlabel("optimiser steps")
    axes.set_title(f"until it is at {level}")
