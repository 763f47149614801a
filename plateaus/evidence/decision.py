"""From the differences of a claim to its verdict, by a rule that was fixed before the runs.

Differences are by seed, in the order of the seeds, so turned that what is claimed is negative;
NaN where a pair says nothing. All tests are one-sided sign flips that allow for the looks.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from plateaus.evidence import sequential
from plateaus.evidence.sequential import FLIPS
from plateaus.report.survival import NOTHING, Interval

Kind = Literal["less", "equal", "at least as good"]
Word = Literal[
    "supported", "supported, small", "not supported", "contradicted", "inconclusive", "open"
]
LEVEL = 0.025  # a side
POWER = 0.8  # with which the smallest detectable effect would have been seen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision:
    """What the data say of a claim.

    Args:
      word: the verdict.
      seeds: how many it rests on: the look that decided, else the last one reached; what comes
        later is not looked at.
      estimate: mean difference at that look, and its repeated interval (an end is infinite before
        anything is excluded on its side). Of several series, those of the one furthest from
        support.
      p_value: the sequential one-sided p of the claim, at that look, before Holm.
      series: which of several it is that the estimate and the p are of.
      detectable: inconclusive claims: the least effect (margin, of the other kinds) that would
        have been seen with power .8, in the unit and with the sign of `effect`; else NaN.
    """

    word: Word
    seeds: int
    estimate: Interval
    p_value: float
    detectable: float
    series: int = 0


def decide(
    differences: ArrayLike | Sequence[ArrayLike],
    effect: float,
    looks: Sequence[int],
    level: float = LEVEL,
    holm_level: float | None = None,
    kind: Kind = "less",
    *,
    flips: int = FLIPS,
) -> Decision:
    """Return what the differences say of a claim.

    Args:
      differences: one series; of kind "at least as good" it may be a list of several, each of
        which has to hold (which needs no correction).
      effect: the smallest that counts. Kind "less": negative. Kind "equal": the mean is between
        -effect and effect. Kind "at least as good": the mean is below effect, the margin.
      looks: growing numbers of seeds, the last one the cap.
      level: of each test, one-sided.
      holm_level: what Holm asks of the claim (see `holm_levels`); `level` if there is none.
      kind: what is claimed of the mean.
      flips: a power of 2; see `sequential.crossed`.

    Raises ValueError if the effect has the wrong sign.

    >>> faster = [-0.5, -0.2, -0.4, -0.7, 0.1, -0.3, -0.6, -0.4] * 2
    >>> decision = decide(faster, math.log(0.8), (16, 32))
    >>> decision.word, decision.seeds, round(decision.estimate.value, 3)
    ('supported', 16, -0.375)
    """
    word, seeds = outcome(differences, effect, looks, level, holm_level, kind, flips=flips)
    every = [series[:seeds] for series in _several(differences)]
    tests = [supporting(series, effect, kind) for series in every]
    p_values = [max(sequential.sequential_p(t, looks, flips=flips) for t in ts) for ts in tests]
    means = [_mean(series) for series in every]
    worst = max(range(len(every)), key=lambda k: (p_values[k], means[k]))
    estimate = NOTHING
    if not math.isnan(means[worst]):
        estimate = sequential.repeated_interval(every[worst], looks, level, flips=flips)
    detectable = math.nan
    if word == "inconclusive":
        support_level = level if holm_level is None else holm_level
        sizes = [detectable_effect(s, looks, support_level, kind, flips=flips) for s in every]
        detectable = max(sizes, key=abs)
    return Decision(
        word=word,
        seeds=seeds,
        estimate=estimate,
        p_value=p_values[worst],
        detectable=detectable,
        series=worst,
    )


def outcome(
    differences: ArrayLike | Sequence[ArrayLike],
    effect: float,
    looks: Sequence[int],
    level: float = LEVEL,
    holm_level: float | None = None,
    kind: Kind = "less",
    *,
    flips: int = FLIPS,
) -> tuple[Word, int]:
    """Return the verdict alone, and the seeds that it rests on; arguments as of `decide`.

    The first look decides at which the claim is shown, or at which what would count is excluded
    ("not supported", also where both are: then there is an effect, but not one that counts).

    >>> outcome([0.1, -0.1] * 32, math.log(0.5), (16, 32, 64))
    ('not supported', 16)
    """
    if not (effect < 0 if kind == "less" else effect > 0):
        raise ValueError(f"effect = {effect!r}: has the wrong sign for a claim of kind {kind!r}")
    every = _several(differences)

    def look(test: NDArray, at: float) -> float:
        return sequential.crossed(test, looks, at, flips=flips) or math.inf

    support_level = level if holm_level is None else holm_level
    shown = max(look(test, support_level) for s in every for test in supporting(s, effect, kind))
    excluded = min(look(test, level) for s in every for test in excluding(s, effect, kind))
    stop = min(shown, excluded)
    if math.isinf(stop):
        reached = [n for n in looks if n <= min(series.size for series in every)]
        last = reached[-1] if reached else 0
        return ("inconclusive" if last == looks[-1] else "open"), last
    seeds = int(stop)
    if excluded <= shown:
        worse = kind == "less" and math.isfinite(look(-every[0][:seeds], level))
        return ("contradicted" if worse else "not supported"), seeds
    small = kind == "less" and _mean(every[0][:seeds]) > effect
    return ("supported, small" if small else "supported"), seeds


def _several(differences: ArrayLike | Sequence[ArrayLike]) -> list[NDArray]:
    if isinstance(differences, list | tuple) and differences and np.ndim(differences[0]):
        return [np.asarray(series, np.float64) for series in differences]
    return [np.asarray(differences, np.float64)]


def _mean(values: NDArray) -> float:
    heard = values[~np.isnan(values)]
    return float(heard.mean()) if heard.size else math.nan


def supporting(values: NDArray, effect: float, kind: Kind) -> list[NDArray]:
    """Return what all must have a mean below 0, for the claim to be shown."""
    if kind == "less":
        return [values]
    return [values - effect, -values - effect] if kind == "equal" else [values - effect]


def excluding(values: NDArray, effect: float, kind: Kind) -> list[NDArray]:
    """Return what shows, if one of it has a mean below 0, that the effect is not what counts."""
    return [effect - values, values + effect] if kind == "equal" else [effect - values]


def detectable_effect(
    differences: ArrayLike,
    looks: Sequence[int],
    level: float,
    kind: Kind = "less",
    *,
    flips: int = FLIPS,
) -> float:
    """Return the effect that such differences would have shown with power .8, or NaN.

    A mean m is seen at the last look if it is beyond c * sqrt(1 + (m / s) ** 2), c being what the
    differences would have needed had they a mean of 0, and s their spread, which m adds to under
    flips. So m = c * sqrt(1 + (m / s) ** 2) + z(.8) * s / sqrt(n); for "equal" z(.9), since both
    of its tests have to see it. That an earlier look might see it too adds a little to the power.
    Negative of kind "less", else the margin. NaN before the cap, or with too few pairs.

    >>> round(detectable_effect([-1, 1] * 32, (64,), 0.025), 2)
    -0.41
    """
    values = np.asarray(differences, np.float64)[: looks[-1]]
    needed = -sequential.critical_mean(values, looks, level, flips=flips)
    values = values[~np.isnan(values)]
    spread = float(values.std()) if values.size else 0.0
    if not 0 < needed < spread:
        return math.nan
    power = (1 + POWER) / 2 if kind == "equal" else POWER
    noise = float(stats.norm.ppf(power)) * spread / math.sqrt(values.size)
    size = 0.0
    for _ in range(50):
        size = needed * math.hypot(1, size / spread) + noise
    return -size if kind == "less" else size


def holm_levels(p_values: Mapping[str, float], level: float = LEVEL) -> dict[str, float]:
    """Return the level that Holm asks of each claim of a paper, given the p of the others.

    With r others that Holm rejects by themselves, going up from the least p at level / n,
    level / (n - 1) and so on, it is level / (n - r). A claim whose p is at most its level is just
    what Holm rejects. A p that is NaN counts as 1.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65.

    >>> holm_levels({"a": 0.001, "b": 0.02, "c": 0.5}, 0.03)
    {'a': 0.01, 'b': 0.015, 'c': 0.015}
    """
    levels = {}
    for name in p_values:
        others = sorted(1.0 if math.isnan(p) else p for key, p in p_values.items() if key != name)
        divisor = len(p_values)
        for p in others:
            if p > level / divisor:
                break
            divisor -= 1
        levels[name] = level / max(divisor, 1)
    return levels
