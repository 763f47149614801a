"""What runs.csv says of whole curves, before they are thinned: areas, and when metrics are reached.

No jax.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from plateaus.measures.plateau import normalised, passage_step
from plateaus.report.kept_columns import COLUMNS, LEVELS, at_tenth, declared, reaches
from plateaus.report.kept_runs import by_tenth
from plateaus.variables import EVALUATIONS, SUFFIX, TASK

BOUNDS = ("uninformed_loss", "best_loss")


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


def metrics_reached(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return when each test metric other than a loss reaches each level, also by task.

    The first evaluation at which its mean over three evaluations is at least the level, counted
    from the first step of the run; NaN if it never is.
    """
    found = {}
    for name in map(str, dataset.data_vars):
        metric = dataset[name]
        facts = [metric.attrs.get(fact) for fact in ("family", "law")]
        if facts != ["metric", "test"] or metric.attrs.get("measure") == "loss":
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
