"""A verdict: what a claim's runs say of it, and what that rests on."""

from __future__ import annotations

import dataclasses
import math

from plateaus.evidence.observed import Observed
from plateaus.report.survival import NOTHING, Interval

# Words of a verdict, from the best one for a claim to the worst; then those that decide nothing.
DECIDED = ("supported", "supported, small", "not supported", "contradicted")
UNDECIDED = ("inconclusive", "not evaluable", "open", "not yet rerun", "not tested")
WORDS = (*DECIDED, *UNDECIDED)
FIGURES = "figures"  # folder of the claims' figures, in experiments/results/


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one claim; a number that there is not is NaN, 0 or "".

    Args:
      word: one of `WORDS`.
      estimate: ratio or difference of the treated setting and its baseline, with its interval.
      bound: ">" or "<" where the estimate is a bound only, since one of them never got there.
      sooner: share of the pairs in which the treated setting comes first.
      pairs: those that the numbers rest on.
      censored: pairs left out, since neither run got there.
      seeds: fresh ones, run so far.
      p_value: sequential, one-sided, before it is corrected for the paper's other claims.
      detectable: the smallest ratio (or difference) that could have been seen, if inconclusive.
      device, commit: of the runs.
      minutes: that all of the runs took.
      folders: of runs, in experiments/results/.
      why: one sentence: what is open, or why it cannot be evaluated.
      used: both settings' values, by seed, that the numbers rest on; None if no look was reached.
      series: which of its several differences the estimate is of.

    >>> Verdict(word="open", why="no pilot").pairs
    0
    """

    word: str
    estimate: Interval = NOTHING
    bound: str = ""
    sooner: float = math.nan
    pairs: int = 0
    censored: int = 0
    seeds: int = 0
    p_value: float = math.nan
    detectable: float = math.nan
    device: str = ""
    commit: str = ""
    minutes: float = 0.0
    folders: tuple[str, ...] = ()
    why: str = ""
    used: Observed | None = dataclasses.field(default=None, repr=False, compare=False)
    series: int = 0

    def __post_init__(self) -> None:
        """Refuse another word."""
        if self.word not in WORDS:
            raise ValueError(f"{self.word!r} is no verdict: {', '.join(WORDS)}")

    @property
    def has_figure(self) -> bool:
        """Whether it rests on kept runs, which a figure shows."""
        return self.used is not None and len(self.folders) == 1
