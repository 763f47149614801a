"""What runs.csv says of whole curves, before they are thinned: areas, means, times.

No jax.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from plateaus.measures.plateau import normalised, passage_step
from plateaus.report.cells import evaluated_every
from plateaus.report.kept_columns import (
    COLUMNS,
    FLAT,
    LEVELS,
    MEANS,
    at_tenth,
    declared,
    mean_at,
    on_plateau,
    reaches,
)
from plateaus.report.kept_runs import by_tenth
from plateaus.variables import EVALUATIONS, SUFFIX, TASK

BOUNDS = ("uninformed_loss", "best_loss")
HEIGHT = (0.9, 1.1)  # of the plateau, in normalised loss


def areas(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the mean normalised test loss up to each tenth of the horizon, by variable.

    1 / (s - s_0) integral of (L - L_best) / (L_uninformed - L_best) from s_0 to s, by the trapezoid
    rule: from the first evaluation to the last by the tenth. NaN where the run ended before it, and
    nothing where the two bounds are not recorded.
    """
    if any(name not in dataset for name in BOUNDS):
        return {}
    losses = dataset["test_loss"].transpose(..., EVALUATIONS)
    runs = losses.isel({EVALUATIONS: 0}, drop=True)
    bounds = (dataset[name].transpose(*runs.dims).values for name in BOUNDS)
    levels, steps = normalised(losses.values, *bounds), dataset[EVALUATIONS].values
    found = {}
    for tenth, step in by_tenth(dataset).items():
        name, upto = at_tenth("area", tenth), steps <= step
        part, at = levels[..., upto], steps[upto]
        with np.errstate(invalid="ignore", over="ignore"):
            mean = np.trapezoid(part, at) / np.ptp(at) if at.size > 1 else part[..., 0]
        attributes = {"long_name": COLUMNS[name].meaning, "units": "1"}
        area = runs.copy(data=mean.astype(np.float32)).assign_attrs(attributes)
        found[name] = area.where((dataset["last_step"] >= step) & np.isfinite(area))
    return found


def is_test_metric(variable: xr.DataArray) -> bool:
    """Return whether a variable is a metric, not the loss, of the test law."""
    facts = [variable.attrs.get(fact) for fact in ("family", "law")]
    return facts == ["metric", "test"] and variable.attrs.get("measure") != "loss"


def metrics_reached(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return when each test metric other than a loss reaches each level, also by task.

    The first evaluation at which its mean over three evaluations is at least the level, counted
    from the first step of the run; NaN if it never is.
    """
    found = {}
    for name in map(str, dataset.data_vars):
        metric = dataset[name]
        if not is_test_metric(metric):
            continue
        if {*metric.dims} - {TASK} != {*dataset["test_loss"].dims}:  # by layer, say
            continue
        curves = metric.transpose(..., EVALUATIONS)
        for level in LEVELS:
            end = SUFFIX if TASK in metric.dims else ""
            column = reaches(name.removesuffix(SUFFIX), level)
            # at least: the next number above, with signs turned, is not reached
            beyond = float(np.nextafter(-level, np.inf))
            step = passage_step(-curves.values, dataset[EVALUATIONS].values, beyond)
            declaration = declared(column)
            assert declaration is not None
            attributes = {"long_name": declaration.meaning, "units": declaration.units}
            dims = [dim for dim in curves.dims if dim != EVALUATIONS]
            found[column + end] = xr.DataArray(step, dims=dims, attrs=attributes)
    return found


def metrics_by_tenth(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return each test metric of the whole test law at the last evaluation by each tenth.

    NaN where the run ended before.
    """
    found: dict[str, xr.DataArray] = {}
    if not _is_whole(dataset):
        return found
    for name in map(str, dataset.data_vars):
        metric = dataset[name]
        if not is_test_metric(metric) or "items" in metric.attrs or not _is_curve(dataset, name):
            continue
        for tenth, step in by_tenth(dataset).items():
            there = metric.isel({EVALUATIONS: _count(dataset, step) - 1}, drop=True)
            found[at_tenth(name, tenth)] = there.where(dataset["last_step"] >= step)
    return _described(found)


def means(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the means of what is `averaged`: up to some tenths, and before the escape.

    Of runs that never escape all evaluations are on the plateau. NaN where the run ended before the
    tenth.
    """
    found: dict[str, xr.DataArray] = {}
    if not _is_whole(dataset):
        return found
    for name in map(str, dataset.data_vars):
        variable = dataset[name]
        if "averaged" not in variable.attrs or not _is_curve(dataset, name):
            continue
        for tenth, step in by_tenth(dataset).items():
            if tenth in MEANS:
                mean = variable.isel({EVALUATIONS: slice(_count(dataset, step))}).mean(EVALUATIONS)
                found[mean_at(name, tenth)] = mean.where(dataset["last_step"] >= step)
        found[on_plateau(name)] = variable.where(_before_escape(dataset)).mean(EVALUATIONS)
    return _described(found)


def flat(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the share of the evaluations before the escape that are at the plateau's height.

    Those with a normalised test loss from .9 to 1.1: 1 of a loss that is flat until it falls, less
    of one that comes down to the plateau, or has only a shoulder there.
    """
    if not _is_whole(dataset) or any(name not in dataset for name in BOUNDS):
        return {}
    losses = dataset["test_loss"].transpose(..., EVALUATIONS)
    runs = losses.isel({EVALUATIONS: 0}, drop=True)
    levels = losses.copy(
        data=normalised(losses.values, *(dataset[n].transpose(*runs.dims).values for n in BOUNDS))
    )
    before = _before_escape(dataset) & np.isfinite(losses)
    there = before & (levels >= HEIGHT[0]) & (levels <= HEIGHT[1])
    counted = before.sum(EVALUATIONS)
    return _described({FLAT: there.sum(EVALUATIONS) / counted.where(counted > 0)})


def _is_whole(dataset: xr.Dataset) -> bool:
    """Return whether all evaluations are there: curves that were kept are thinned."""
    return bool((np.diff(dataset[EVALUATIONS].values) == evaluated_every(dataset)).all())


def _is_curve(dataset: xr.Dataset, name: str) -> bool:
    """Return whether a variable is one number a run at each evaluation."""
    return {*dataset[name].dims} == {*dataset["test_loss"].dims}


def _count(dataset: xr.Dataset, step: int) -> int:
    """Return how many evaluations there are up to a step."""
    return int(np.searchsorted(dataset[EVALUATIONS].values, step, side="right"))


def _before_escape(dataset: xr.Dataset) -> xr.DataArray:
    escape = dataset["escape_step"]
    return dataset[EVALUATIONS] < escape.where(np.isfinite(escape), np.inf)


def _described(found: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """Return variables with the meanings of their columns."""
    for name, array in found.items():
        column = declared(name)
        assert column is not None
        array.attrs = {"long_name": column.meaning, "units": "1"}
    return found
