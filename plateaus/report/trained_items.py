"""The main figure again, of the items alone that a setting trains on."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.figure import Figure

from plateaus.report.figures import plateau
from plateaus.report.statistics import Row, summarise

PASSAGES = ("escape_step", "half_step", "completion_step")


def trained_plateau(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the main figure, of the loss on those items alone that a setting trains on.

    Where a setting does not train on all items, the loss over all of them cannot fall to the best,
    and says little of what was learned. (a) Normalised test loss on trained items, 1 where a model
    knows nothing of them and 0 at the best: the median over seeds, the middle half of the seeds
    shaded or, of fewer than 8, each seed as a thin line. (b) The share of runs whose loss is still
    on its plateau, by Kaplan and Meier, with the pointwise 95% band of 8 runs and more; a tick
    marks censored runs; below it, how many runs had not escaped before a step. (c) Steps to escape
    as a ratio to the baseline's run of the same seed: a faint dot a seed, the geometric mean and
    its 95% interval; the number of pairs and p of the sign-flip test, Holm-adjusted. An arrow is a
    bound: one of the two had not escaped by the horizon, which the mean takes for its escape. None
    where all escapes are those of the main figure.

    Args:
      dataset: labelled results.
      rows: its table, of which nothing is used.
    """
    if "test_loss_trained" not in dataset:
        return None
    trained = {name: dataset[f"trained_{name}"] for name in PASSAGES}
    if all(dataset[name].equals(trained[name].rename(name)) for name in PASSAGES):
        return None
    of_trained = dataset.assign(trained | {"test_loss": dataset["test_loss_trained"]})
    return plateau(of_trained, summarise(of_trained))
