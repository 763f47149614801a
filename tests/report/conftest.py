"""Synthetic results in the format of results.nc: a plateau, then a sigmoid drop, per run."""

import itertools
import json

import numpy as np
import pytest
import xarray as xr

VARIABLES = {
    "train_loss": ("step", "training loss", "squared error"),
    "test_loss": ("eval_step", "test loss", "squared error"),
    "test_accuracy": ("eval_step", "test accuracy", ""),
    "uninformed_loss": (None, "loss of the uninformed predictor", "squared error"),
    "best_loss": (None, "loss of the optimal predictor", "squared error"),
    "escape_step": (None, "step at which the plateau is left", "optimiser steps"),
    "half_step": (None, "step of half the loss", "optimiser steps"),
    "completion_step": (None, "step of a tenth of the loss", "optimiser steps"),
    "status": (None, "state of the run", ""),
    "last_step": (None, "last step of the run", "optimiser steps"),
}


def synthetic(swept, centres, seeds=16, horizon=50_000, every=500, baseline=None, noise=0.3):
    """Results of runs that leave a plateau of height 1 about step `centres[setting]`.

    `swept`: name -> values. `centres`: array over the settings; inf for a setting that never
    escapes, NaN for one that diverges. `baseline`: name -> neutral value, None by default.
    """
    rng = np.random.default_rng(0)
    shape = tuple(len(values) for values in swept.values())
    evals, steps = np.arange(0, horizon + 1, every), np.arange(every // 5, horizon + 1, every // 5)
    sizes = {"step": (steps.size,), "eval_step": (evals.size,), None: ()}
    data = {
        name: np.full((*shape, seeds, *sizes[axis]), np.nan, np.float32)
        for name, (axis, _, _) in VARIABLES.items()
    }
    data |= {name: data[name].astype(np.float64) for name in data if name.endswith("_step")}
    data["status"] = np.ones((*shape, seeds), np.int8)
    data["last_step"] = np.full((*shape, seeds), horizon, np.int32)
    data["uninformed_loss"][...], data["best_loss"][...] = 1.0, 0.0
    for index in itertools.product(*map(range, shape), range(seeds)):
        centre = np.asarray(centres)[index[:-1]] * rng.lognormal(0, noise)
        if np.isnan(centre):
            data["status"][index], data["last_step"][index] = 2, horizon // 10
            data["test_loss"][index][: evals.size // 10] = 10.0 ** np.arange(evals.size // 10)
            data["escape_step"][index] = 2 * every  # recorded, and not to be believed
            continue
        width = centre / rng.uniform(8, 20) if np.isfinite(centre) else 1.0
        for name, x in (("train_loss", steps), ("test_loss", evals)):
            drop = 1 / (1 + np.exp(np.clip((x - centre) / width, -50, 50)))
            data[name][index] = drop + 0.02 * rng.standard_normal(x.size)
        data["test_accuracy"][index] = 1 - data["test_loss"][index] / 2
        for name, level in (("escape_step", 0.8), ("half_step", 0.5), ("completion_step", 0.1)):
            under = np.convolve(data["test_loss"][index], np.ones(3) / 3, "valid") < level
            data[name][index] = evals[2:][under.argmax()] if under.any() else np.nan
    variables = {
        name: (
            (*swept, "seed", *([axis] if axis else [])),
            data[name],
            {"long_name": long_name, "units": units},
        )
        for name, (axis, long_name, units) in VARIABLES.items()
    }
    coordinates = {**swept, "seed": np.arange(seeds), "step": steps, "eval_step": evals}
    neutral = dict.fromkeys(swept) | (baseline or {})
    attributes = {
        "title": "sparse_parity: zipf",
        "config": "{}",
        "swept": json.dumps(list(swept)),
        "baseline": json.dumps(neutral),
        "horizon": horizon,
    }
    return xr.Dataset(variables, coords=coordinates, attrs=attributes)


@pytest.fixture(scope="session")
def make_results():
    return synthetic


@pytest.fixture(scope="session")
def zipf_results():
    """Six exponents, the baseline first; some runs of the baseline never escape."""
    values = [0.0, 0.5, 0.75, 1.0, 1.25, 1.5]
    centres = [36_000, 24_000, 12_000, 15_000, 26_000, np.inf]
    return synthetic({"data.zipf_exponent": values}, centres, baseline={"data.zipf_exponent": 0.0})
