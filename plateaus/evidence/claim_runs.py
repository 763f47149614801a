"""The curves of a claim's settings, of the seeds that its verdict rests on, from a kept folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.evidence.claim import Claim
from plateaus.evidence.observed import Observed
from plateaus.evidence.settings import matches
from plateaus.report import kept_files
from plateaus.report.cells import swept_values
from plateaus.report.kept_curves import axis_texts
from plateaus.report.kept_runs import value_text
from plateaus.report.selection import followed
from plateaus.report.statistics import Row, summarise
from plateaus.variables import EVALUATIONS, SUFFIX, TASK

REFERENCES = ("uninformed_loss", "best_loss")  # of the run as a whole


class Metric(NamedTuple):
    """A recorded variable that a claim is about, along the steps.

    curves: of each setting, [run, step]. level: the value that counts as there; NaN for none.
    """

    curves: list[NDArray[np.float64]]
    label: str
    level: float


def of_folder(claim: Claim, used: Observed, folder: Path) -> tuple[xr.Dataset, list[Row]]:
    """Return results of the seeds that were used, and a row a setting, the baseline first.

    Of a claim about a task the test loss is that of this task.
    """
    results = kept_files.from_csv(folder)
    results = results.isel(seed=np.isin(results["seed"].values, used.seeds))
    if claim.task:
        loss = results[f"test_loss{SUFFIX}"].sel({TASK: claim.task}, drop=True)
        unknown = {name: results[name] * np.nan for name in REFERENCES}
        results = results.assign({"test_loss": loss, **unknown})
    rows = summarise(results)
    found = []
    for setting in settings(claim):
        texts = [{name: value_text(value) for name, value in row.setting.items()} for row in rows]
        found += [row for row, text in zip(rows, texts, strict=True) if matches(text, setting)][:1]
    return results, found


def settings(claim: Claim) -> list[dict[str, object]]:
    """Return the values of the settings that are drawn, the baseline first, if there is one."""
    treated = dict(claim.treated)
    return [treated] if claim.kind == "descriptive" else [dict(claim.baseline_setting), treated]


def variable_of(metric: str) -> str:
    """Return the recorded variable of which a column of runs.csv is.

    >>> variable_of("test_accuracy_reaches_0.5"), variable_of("gradient_cosine_mean_at_1.0")
    ('test_accuracy', 'gradient_cosine')
    """
    return re.split(r"_reaches_|_mean_at_|_on_plateau", metric)[0]


def metric(claim: Claim, results: xr.Dataset, rows: list[Row]) -> Metric | None:
    """Return the curves of the metric of a claim; None where there is none along the steps."""
    level = claim.metric.partition("_reaches_")[2]
    name, _, axis = variable_of(claim.metric).rstrip("]").partition("[")
    name += SUFFIX * bool(claim.task and f"{name}{SUFFIX}" in results)
    if name not in results or EVALUATIONS not in results[name].dims:
        return None
    variable = results[name]
    grid = [*swept_values(results), "seed", EVALUATIONS]
    others = [str(dim) for dim in variable.dims if dim not in grid]
    task = claim.task if TASK in others else ""
    places = {named: at for at, named in axis_texts(variable, others)}
    if (task, axis) not in places:
        return None
    chosen = variable.isel(dict(zip(others, places[task, axis], strict=True)), drop=True)
    alone = results.assign({name: chosen.transpose(*grid)})
    at = float(level) if level else claim.value if claim.statistic == "first_step" else np.nan
    label = str(variable.attrs.get("long_name") or name)
    return Metric([followed(alone, name, row) for row in rows], label, at)
