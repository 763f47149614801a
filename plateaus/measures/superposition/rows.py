"""The rows of mixed prompts: how much of two tasks there is in one answer, and how much in turns.

A mean P(task) that follows the share of the task is no superposition by itself: a model that
answers each prompt by one task alone, and another the next, has that mean as well.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.report.selection import came_to_the_end, interval, last, settings_with
from plateaus.report.statistics import Row
from plateaus.report.survival import Interval

P, SHARE, SATURATION = "mixed_probability", "mixed_share", "mixed_saturation"
ENTROPY, ENTROPY_OF_MEAN = "mixed_entropy", "mixed_entropy_of_mean"
KL, COMPLETED, HISTOGRAM = "mixed_kl", "mixed_completed", "mixed_histogram"
SAME, OTHER = "mixed_recency_same", "mixed_recency_other"

# Source: paper 5, released results: two tasks, 100 examples, each of task 0 with probability d.
RELEASED = {
    "ret": {0.1: 0.009, 0.3: 0.133, 0.5: 0.489, 0.7: 0.844, 0.9: 0.990},
    "plus": {0.1: 0.114, 0.3: 0.299, 0.5: 0.492, 0.7: 0.690, 0.9: 0.899},
}
RELEASED_SATURATION = (0.96, 0.999)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixedRow:
    """One answer to the prompts of one mixture in one setting, at the horizon.

    Every measure is a run's mean over prompts, then the mean over runs with a t interval.

    Args:
      setting, index: of the sweep, as in the main table.
      mixture: its label; `answer`: name of the task; `answers`: all K of them.
      named_share: of the task, by the mixture's label; `share`: that in the prompts.
      runs: that came to the horizon.
      probability: P of the answer; `paper`: that of the released model, where comparable.
      saturation: var(P) over prompts / (mean (1 - mean)): 1 if every P is 0 or 1, 0 if all equal.
      entropy: of the outputs to a prompt, nats; `entropy_of_mean`: of their mean over prompts.
      switching: 1 - entropy / entropy_of_mean, what of the mean's entropy is between prompts.
      kl: of the shares from P, nats; `completed`: answers among the K most probable outputs.
      recency: P where the last example is of this task, less P where it is of another.
    """

    setting: dict[str, Any]
    index: tuple[int, ...]
    mixture: str
    answer: str
    answers: tuple[str, ...]
    runs: int
    named_share: float
    share: Interval
    probability: Interval
    paper: float
    saturation: Interval
    entropy: Interval
    entropy_of_mean: Interval
    switching: Interval
    kl: Interval
    completed: Interval
    recency: Interval


def summarise(dataset: xr.Dataset, rows: Sequence[Row]) -> list[MixedRow]:
    """Return a row for each setting at the horizon, mixture and answer, if prompts were mixed."""
    ended = came_to_the_end(dataset, rows, P)
    return [row for setting in ended for row in _rows(dataset, setting)]


def with_mixed_prompts(dataset: xr.Dataset, rows: Sequence[Row]) -> list[Row]:
    """Return the settings with a run that was given mixed prompts."""
    return settings_with(dataset, rows, P)


def answers(dataset: xr.Dataset) -> tuple[str, ...]:
    """Return the names of the K tasks that are mixed."""
    return tuple(str(name) for name in dataset["answer"].values)


def named_shares(dataset: xr.Dataset) -> NDArray[np.float64]:
    """Return the shares [mixture, K] that the labels of the mixtures name.

    >>> named_shares(xr.Dataset(coords={"mixture": ["1:3", "1:1"]})).tolist()
    [[0.25, 0.75], [0.5, 0.5]]
    """
    parts = [[float(x) for x in str(label).split(":")] for label in dataset["mixture"].values]
    shares = np.array(parts)
    return shares / shares.sum(axis=1, keepdims=True)


def mixture_name(dataset: xr.Dataset, mixture: int) -> str:
    """Return a name of a mixture that fits an axis.

    >>> three = {"mixture": ["1:0:0", "1:1:2"], "answer": ["a", "b", "c"]}
    >>> mixture_name(xr.Dataset(coords=three), 0), mixture_name(xr.Dataset(coords=three), 1)
    ('a', '1:1:2')
    """
    shares = named_shares(dataset)[mixture]
    if shares.max() == 1:
        return answers(dataset)[int(shares.argmax())]
    if shares.size > 4 and np.ptp(shares) < 1e-9:
        return f"all {shares.size} evenly"
    return str(dataset["mixture"].values[mixture])


def evenest(dataset: xr.Dataset) -> int:
    """Return the number of the mixture whose shares are nearest to equal ones."""
    shares = named_shares(dataset)
    return int(np.argmin(np.abs(shares - 1 / shares.shape[1]).max(axis=1).round(9)))


def several(dataset: xr.Dataset) -> NDArray[np.bool_]:
    """Return which mixtures are of more than one task: only there is anything to superpose."""
    return np.sum(named_shares(dataset) > 0, axis=1) > 1


def switching(dataset: xr.Dataset, row: Row) -> NDArray[np.float64]:
    """Return 1 - E[H] / H(E P) of each run and mixture at the last evaluation; NaN of 0 / 0."""
    whole = last(dataset, ENTROPY_OF_MEAN, row)
    ratio = last(dataset, ENTROPY, row) / np.where(whole > 1e-6, whole, 1.0)
    return np.where(whole > 1e-6, 1 - ratio, np.nan)


def recency(dataset: xr.Dataset, row: Row) -> NDArray[np.float64]:
    """Return the effect [run, mixture, j, K] of the example j back on P at the last evaluation."""
    return last(dataset, SAME, row) - last(dataset, OTHER, row)


def family(names: Sequence[str]) -> str | None:
    """Return which of the paper's two pairs of tasks these are like, if any.

    >>> family(("ret2", "ret4")), family(("plus3", "ret4")), family(("ret1", "ret2", "ret3"))
    ('ret', None, None)
    """
    stems = {name.rstrip("0123456789") for name in names}
    return next((stem for stem in RELEASED if len(names) == 2 and stems == {stem}), None)


def released(names: Sequence[str]) -> dict[float, float]:
    """Return the paper's mean P of the first of two tasks by its share; {} where not comparable."""
    kind = family(names)
    return RELEASED[kind] if kind else {}


def examples(dataset: xr.Dataset, row: Row) -> int | None:
    """Return the examples of a mixed prompt; None where the config does not say."""
    config = _config(dataset, row)
    if config.get("mixed_examples"):
        return int(config["mixed_examples"])
    return int(config["task.examples"]) - 1 if "task.examples" in config else None


def independent(dataset: xr.Dataset, row: Row) -> bool:
    """Return whether each example draws its task by itself, rather than by exact counts."""
    return _config(dataset, row).get("mixed_order", "iid") == "iid"


def _config(dataset: xr.Dataset, row: Row) -> dict[str, Any]:
    """Return the fields of a setting: what its variant sets goes before what holds for all."""
    variants = json.loads(dataset.attrs.get("variants", "{}"))
    of_variant = variants.get(row.setting.get("variant"), {})
    return json.loads(dataset.attrs["config"]) | of_variant | row.setting


def _rows(dataset: xr.Dataset, row: Row) -> list[MixedRow]:
    names, shares = answers(dataset), named_shares(dataset)
    paper = released(names)
    of_answer = {"share": SHARE, "probability": P, "saturation": SATURATION}
    of_mixture = {
        "entropy": ENTROPY,
        "entropy_of_mean": ENTROPY_OF_MEAN,
        "kl": KL,
        "completed": COMPLETED,
    }
    by_answer = {field: last(dataset, name, row) for field, name in of_answer.items()}
    by_answer["recency"] = recency(dataset, row)[:, :, 0]
    by_mixture = {field: last(dataset, name, row) for field, name in of_mixture.items()}
    by_mixture["switching"] = switching(dataset, row)
    return [
        MixedRow(
            setting=row.setting,
            index=row.index,
            mixture=str(label),
            answer=name,
            answers=names,
            runs=int(np.isfinite(by_answer["probability"][:, m, k]).sum()),
            named_share=float(shares[m, k]),
            paper=_paper(paper, shares[m, 0]) if k == 0 else math.nan,
            **{field: interval(values[:, m, k]) for field, values in by_answer.items()},
            **{field: interval(values[:, m]) for field, values in by_mixture.items()},
        )
        for m, label in enumerate(dataset["mixture"].values)
        for k, name in enumerate(names)
    ]


def _paper(released: Mapping[float, float], share: float) -> float:
    """Return the paper's mean P at a share; NaN at any but its own."""
    return next((p for d, p in released.items() if abs(d - share) < 1e-6), math.nan)
