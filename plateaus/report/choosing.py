"""How much bias to give the data: chosen from the first steps of short runs. No jax.

With more bias (a larger Zipf exponent, a smaller subset) a network sees the same points more
often. At first it learns them by heart: the training loss falls, the test loss does not. Too
little of that and the plateau is long; too much and nothing but that is learned. A `Rule` says
how large the gap should be, and takes the amount of bias at which it is so large.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from plateaus.variables import EVALUATIONS, WINDOWS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """The amount at which the gap between test and training loss is of a given size.

    G(a) = mean over seeds, and over steps in (T/2, T], of
           (L_test - L_train) / (L_uninformed - L_best)

    amount = the first a at which G, linear between the amounts that are probed, is at the level

    Args:
      field: what is chosen, a swept field of the results.
      amounts: those that are probed, in the order of growing bias.
      step: T, in optimiser steps; the runs may end there.
      level: G at the amount to choose; 0 is no gap, 1 is training data learned by heart.
    """

    field: str = "data.zipf_exponent"
    amounts: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25)
    step: int = 500
    level: float = 0.2

    @property
    def digest(self) -> str:
        """Return the digest of the rule: its equation, above, and its numbers.

        >>> Rule(level=0.1).digest == Rule(level=0.2).digest
        False
        """
        equation = " ".join((Rule.__doc__ or "").split())  # Python 3.13 indents it otherwise
        content = [equation, dataclasses.asdict(self)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def choose(self, results: xr.Dataset) -> float:
        """Return the amount that the rule chooses, from the results of runs of `step` steps.

        results: of a sweep of `field` over `amounts`, and perhaps others, as
          `plateaus.report.load` returns them; where something else was swept, too, of one value
          of it: `results.sel({"variant": "width 100"})`.

        Raises ValueError if an amount was not run, and as `gaps` and `first_crossing` do.
        """
        ran, gap = gaps(results, self.field, self.step)
        if missing := [amount for amount in self.amounts if amount not in ran]:
            raise ValueError(f"{self.field} = {missing[0]}: is to be probed, and was not run")
        probed = dict(zip(ran.tolist(), gap.tolist(), strict=True))
        return first_crossing(self.amounts, [probed[a] for a in self.amounts], self.level)


# The level was set on the parity of 6 of 20 signs at learning rates .05, .1 and .2 (seeds 0 to 7,
# exponents 0 to 1.25 by quarters). The parabola through the mean log escape step at .75, 1 and 1.25
# is lowest at .92, .93 and .90, where G is .19, .21 and .18; the rule takes .94, .92 and .91. A
# constant of .92 does as well there: whether the rule is better elsewhere is still to be tested.
RULE = Rule()


def gaps(
    results: xr.Dataset, field: str, step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the amounts of a sweep and the gap of each, [amount]: see `Rule`.

    Runs that have no loss there, because they ended or diverged, are left out; NaN if all have.

    Raises ValueError if `field` is not all that is swept, or there is nothing in (step/2, step].
    """
    swept = [str(name) for name in results["uninformed_loss"].dims]
    if swept != [field, "seed"]:
        raise ValueError(f"results: must be of {field} and seed only, are of {', '.join(swept)}")
    losses = []
    for name, time in (("test_loss", EVALUATIONS), ("train_loss", WINDOWS)):
        steps = results[time].values
        there = (steps > step / 2) & (steps <= step)
        if not there.any():
            raise ValueError(f"step = {step}: results have no {name} in ({step / 2:g}, {step}]")
        losses.append(results[name].values[..., there].astype(np.float64).mean(axis=-1))
    span = (results["uninformed_loss"] - results["best_loss"]).values.astype(np.float64)
    gap = (losses[0] - losses[1]) / span
    ran = np.isfinite(gap)
    number = ran.sum(axis=-1)
    total = np.where(ran, gap, 0.0).sum(axis=-1)
    mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    return results[field].values.astype(np.float64), mean


def first_crossing(amounts: ArrayLike, values: ArrayLike, level: float) -> float:
    """Return the amount at which values first reach a level, linear between neighbours.

    The order of the amounts is that of growing bias: exponents rise, fractions fall. The first
    amount if its value is there already; the last one if none is.

    Raises ValueError if the two are not of one length, of none, or a value is NaN.

    >>> first_crossing([0.5, 0.75, 1.0], [0.0, 0.1, 0.5], level=0.2)
    0.8125
    """
    x, y = np.asarray(amounts, np.float64), np.asarray(values, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise ValueError(f"{x.shape} amounts, {y.shape} values: must be two lists of one length")
    if np.isnan(y).any():
        raise ValueError(f"value {np.isnan(y).argmax()} is NaN: no run of its amount has a loss")
    if not (y >= level).any():
        return float(x[-1])
    i = int((y >= level).argmax())
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (level - y[i - 1]) / (y[i] - y[i - 1]))
