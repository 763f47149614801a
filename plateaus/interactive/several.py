"""Several run folders in one table and one figure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias, overload

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plateaus import paths
from plateaus.interactive import display, notebook
from plateaus.interactive.names import plain
from plateaus.interactive.refusals import refusals
from plateaus.interactive.result import Result
from plateaus.report import facets, main_panels, table, words
from plateaus.report.cells import swept_values
from plateaus.report.style import Look, looks, styled

Place: TypeAlias = str | os.PathLike[str]
RUN = "run"  # the column that names the folder
_SHOWN = ("runs", "escaped", "escape_step_median", "plateau_ratio", "p_holm", "final_test_loss")


class Several(Sequence[Result]):
    """The results of several run folders.

    Each keeps its own baseline: a ratio in the table is to that of its own folder.

    Attributes:
      names: of the folders, as short as tells them apart.
      table: their tables under one another; the column "run" has the name.
      runs: their runs, likewise.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = tuple(results)
        self.names = paths.distinct([result.folder for result in results])

    def __getitem__(self, index):
        """Return the results of one folder, or of several."""
        return Several(self._results[index]) if isinstance(index, slice) else self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each setting of each folder; what a folder does not sweep is missing there."""
        return self._joined([result.table for result in self])

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row for each run of each folder, and for each task of it."""
        return self._joined([result.runs for result in self])

    def _joined(self, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Return tables under one another, the swept fields of all folders before the rest."""
        named = dict(zip(self.names, frames, strict=True))
        joined = pd.concat(named, names=[RUN]).reset_index(RUN).reset_index(drop=True)
        return joined[list(dict.fromkeys([RUN, *self._fields(), *joined.columns]))]

    def _fields(self) -> list[str]:
        return [plain(field) for result in self for field in swept_values(result.data)]

    def plot(self) -> Figure:
        """Return one figure of all: loss and share of runs still on the plateau.

        As in the main figure: the median over seeds, and the estimate by Kaplan and Meier.
        """
        notebook.show_figures()
        return overlaid(dict(zip(self.names, self, strict=True)))

    def __repr__(self) -> str:
        """Return the main columns of the table."""
        return display.text(f"{len(self)} runs", {}) + f"\n{self._brief().to_string(index=False)}"

    def _repr_html_(self) -> str:
        return self._brief().to_html(index=False)

    def _brief(self) -> pd.DataFrame:
        return self.table[list(dict.fromkeys([RUN, *self._fields(), *_SHOWN]))]


@overload
def open(place: Place) -> Result: ...
@overload
def open(place: Place, other: Place, /, *more: Place) -> Several: ...
def open(place: Place, *more: Place) -> Result | Several:
    """Return the results in a run folder, a kept one, or a results.nc; of several, all together.

    Also of runs under way, until their last report. Imports no JAX.

    Raises Refused for what is not there, holds no results, or is damaged.
    """
    with refusals():
        results = [Result.of(paths.expanded(os.fspath(one))) for one in (place, *more)]
    if not more:
        return results[0]
    return Several(results)


def overlaid(results: dict[str, Result]) -> Figure:
    """Return a figure of the losses and the survival of all settings of several results."""
    labels = [
        ", ".join(filter(None, (name, table.label(row.setting))))
        for name, result in results.items()
        for row in result.rows
    ]
    styles = iter(looks(len(labels)))
    shown = {name: [(row, next(styles)) for row in result.rows] for name, result in results.items()}
    all_looks = [look for rows in shown.values() for _, look in rows]
    datasets = {name: result._dataset for name, result in results.items()}
    steps = np.concatenate([dataset["eval_step"].values for dataset in datasets.values()])
    last = max(float(row.horizon) for rows in shown.values() for row, _ in rows)
    first = float(min(steps[steps > 0].min(initial=last), last / 2))
    with styled():
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        loss, survival = figure.subplots(1, 2)
        for axes in (loss, survival):
            words.log_steps(axes, first, last)
        limits = []
        for name, dataset in datasets.items():
            main_panels.loss_panel(loss, dataset, shown[name])
            main_panels.survival_panel(survival, dataset, shown[name])
            limits.append(loss.get_ylim())
        lows, highs = zip(*limits, strict=True)
        loss.set_ylim(min(lows), max(highs))
        loss.set_title("loss: median of the seeds")
        survival.set_title("Kaplan-Meier estimate; |: censored")
        facets.legend_above(figure, [_handle(*one) for one in zip(labels, all_looks, strict=True)])
    return figure


def _handle(label: str, look: Look) -> Line2D:
    return look.handle(label, **look.mark, ms=5)
