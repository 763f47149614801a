"""Every figure and every table of a job's runs, one line each, in the order they are named in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.figure
import xarray as xr

from plateaus.measures import reached, whole_curves
from plateaus.measures.attention import figure as attention
from plateaus.measures.by_task import batches, counts, distances, forest, task_sets
from plateaus.measures.by_task import figures as by_task_figures
from plateaus.measures.by_task import maps as by_task_maps
from plateaus.measures.by_task import rows as by_task
from plateaus.measures.by_task import table as task_table
from plateaus.measures.curvature import figure as curvature
from plateaus.measures.gradients import figure as gradients
from plateaus.measures.mixing import figure_gram as mixing_gram
from plateaus.measures.mixing import figure_shares as mixing_shares
from plateaus.measures.mixing import figures as mixing_figures
from plateaus.measures.mixing import rows as mixing
from plateaus.measures.mixing import table as mixing_table
from plateaus.measures.progress import figure as progress_figure
from plateaus.measures.progress import table as progress_table
from plateaus.measures.superposition import figure as superposition_figure
from plateaus.measures.superposition import figure_dynamics, figure_sizes, steps
from plateaus.measures.superposition import rows as superposition
from plateaus.measures.superposition import table as superposition_table
from plateaus.measures.task_vectors import figure as task_vectors
from plateaus.report import (
    csv_columns,
    curves,
    figures,
    kept_curves,
    kept_runs,
    predictors,
    robustness,
    table,
    trained_items,
    trained_tasks,
)
from plateaus.report.statistics import Row

SUMMARY, TASKS, MIXING = "summary.csv", "tasks.csv", "mixing.csv"
METRICS = "metrics.csv"
MIXED, MIXED_STEPS = "superposition.csv", "superposition_steps.csv"
PROGRESS = "progress.csv"
# What has one of these axes is read at the horizon only, by every table and figure.
AT_THE_END = frozenset(
    {
        *("prefix", "back", "bin", "layer", "head", "draw"),
        *("stream_layer", "path", "point", "coordinate", "cloud"),
    }
)


class Table(NamedTuple):
    """One table of the results.

    Fields:
      summarise: (results, rows of the main table) -> its own rows; none where there is nothing.
      csv: rows -> the text of its file.
      show: (results, rows of the main table, its own rows) -> None, printed in the terminal.
    """

    summarise: Callable[[xr.Dataset, Sequence[Row]], Sequence[Any]]
    csv: Callable[[Sequence[Any]], str]
    show: Callable[[xr.Dataset, Sequence[Row], Sequence[Any]], None]


class Figure(NamedTuple):
    """One figure of the results.

    Fields:
      draw: (results, rows of the main table, rows of each table it needs) -> a figure, or None
        where the results have nothing to show in it.
      needs: files of these tables; it is not drawn where one of them has no rows.
    """

    draw: Callable[..., matplotlib.figure.Figure | None]
    needs: tuple[str, ...] = ()


TABLES: dict[str, Table] = {  # by file
    SUMMARY: Table(
        lambda dataset, rows: rows,
        csv_columns.csv_text,
        lambda dataset, rows, _: table.show(rows, trained_tasks.other_tasks(dataset, rows)),
    ),
    METRICS: Table(reached.summarise, reached.csv_text, lambda *results: reached.show(results[-1])),
    TASKS: Table(by_task.summarise, task_table.csv_text, task_table.show),
    MIXING: Table(
        mixing.summarise, mixing_table.csv_text, lambda *results: mixing_table.show(results[-1])
    ),
    MIXED: Table(
        superposition.summarise,
        superposition_table.csv_text,
        lambda *results: superposition_table.show(results[-1]),
    ),
    MIXED_STEPS: Table(steps.summarise, steps.csv_text, lambda *results: steps.show(results[-1])),
    PROGRESS: Table(
        progress_table.summarise,
        progress_table.csv_text,
        lambda *results: progress_table.show(results[-1]),
    ),
}
FIGURES: dict[str, Figure] = {  # by file, without its ending
    "plateau": Figure(figures.plateau),
    "trained_plateau": Figure(trained_items.trained_plateau),
    "metric_times": Figure(reached.metric_times, needs=(METRICS,)),
    "learning_curves": Figure(figures.learning_curves),
    "metrics": Figure(curves.metrics),
    "predictors": Figure(predictors.predictors),
    "prefixes": Figure(predictors.prefixes),
    "robustness": Figure(robustness.robustness),
    "baselines": Figure(robustness.baselines),
    "loss_ratios": Figure(curves.loss_ratios),
    "examples": Figure(curves.examples),
    "gradient_cosine": Figure(gradients.cosine),
    "gradient_layers": Figure(gradients.layers),
    "example_gradients": Figure(gradients.examples),
    "weight_norms": Figure(curves.weight_norms),
    "attention_heads": Figure(attention.scores),
    "head_ablation": Figure(attention.ablation),
    "heads_by_outcome": Figure(attention.by_outcome),
    "head_persistence": Figure(attention.persistence),
    "landscape": Figure(curvature.landscape),
    "progress": Figure(progress_figure.measures),
    "superposition": Figure(superposition_figure.mixed_prompts),
    "superposition_dynamics": Figure(figure_dynamics.dynamics),
    "superposition_sizes": Figure(figure_sizes.sizes),
    "task_losses": Figure(by_task_figures.losses),
    "task_mechanism": Figure(by_task_figures.mechanism),
    "task_prefixes": Figure(by_task_figures.prefixes),
    "task_sequences": Figure(by_task_figures.sequences),
    "mixture": Figure(mixing_shares.mixture),
    "loss_against_compute": Figure(mixing_figures.loss_against_compute),
    "domains": Figure(mixing_figures.domains),
    "gram_noise": Figure(mixing_gram.gram_noise),
    "task_vectors": Figure(task_vectors.task_vectors),
    "task_escapes": Figure(forest.escapes, needs=(TASKS,)),
    "task_counts": Figure(counts.counts, needs=(TASKS,)),
    "task_batches": Figure(batches.batches, needs=(TASKS,)),
    "transfer": Figure(by_task_maps.transfer, needs=(TASKS,)),
}


def kept_files(dataset: xr.Dataset, rows: Sequence[Row]) -> dict[str, bytes]:
    """Return runs.csv and curves.csv.gz, of which tables and figures can be made again, by file."""
    whole = distances.plateau_distances(dataset, rows) | whole_curves.areas(dataset)
    whole |= whole_curves.metrics_reached(dataset) | whole_curves.metrics_by_tenth(dataset)
    whole |= whole_curves.means(dataset) | whole_curves.flat(dataset)
    return {
        kept_runs.FILE: kept_runs.text(dataset, whole).encode(),
        kept_curves.FILE: kept_curves.content(
            dataset, frozenset(mixing.steps_read(dataset, rows)), AT_THE_END
        ),
    }


def summaries(dataset: xr.Dataset, rows: Sequence[Row]) -> dict[str, Sequence[Any]]:
    """Return the rows of every table, by file."""
    return {file: entry.summarise(dataset, rows) for file, entry in TABLES.items()}


def printed(
    dataset: xr.Dataset, rows: Sequence[Row], found: Mapping[str, Sequence[Any]]
) -> list[str]:
    """Return the tables that are printed, by file, first what the settings were made to compare.

    Mixed prompts, where there are some; the accuracy over all items, where a task has items;
    measures of progress; ways to mix, where the settings mix differently; each task among others
    beside itself alone, where they train on different tasks. The main table comes after these, and
    not where each of its rows would be a mean over other tasks than the baseline.
    """
    order = [MIXED, MIXED_STEPS, METRICS]
    order += [PROGRESS] * progress_table.tested(found[PROGRESS])
    order += [MIXING] * mixing.differ(dataset, rows)
    order += [TASKS] * task_sets.compared(found[TASKS])
    if TASKS not in order or task_sets.some_alike(dataset, rows):
        order.append(SUMMARY)
    return [file for file in order if found[file]]


def show_tables(dataset: xr.Dataset, rows: Sequence[Row]) -> None:
    """Print the tables that answer what the settings were made to compare: see `printed`."""
    found = summaries(dataset, rows)
    order = printed(dataset, rows, found)
    for file in order:
        TABLES[file].show(dataset, rows, found[file])
    if SUMMARY not in order:
        print(f"{SUMMARY}: losses over all tasks of a setting, another quantity in every row")


def drawn(
    dataset: xr.Dataset, rows: Sequence[Row], tables: Mapping[str, Sequence[Any]]
) -> dict[str, matplotlib.figure.Figure]:
    """Return every figure that the results have something for, by file."""
    result = {}
    for file, entry in FIGURES.items():
        needed = [tables[name] for name in entry.needs]
        figure = entry.draw(dataset, rows, *needed) if all(needed) else None
        if figure is not None:
            result[file] = figure
    return result
