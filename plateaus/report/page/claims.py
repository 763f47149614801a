"""The page of claims and their verdicts: counts, filters, and each claim with its charts.

It is made of plain data, so that it knows nothing of how a verdict is reached.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import xarray as xr

from plateaus.report.page import charts, comparisons, series, telling, vega, writing
from plateaus.report.page.series import Measure, Record
from plateaus.report.statistics import Row
from plateaus.report.survival import FEWEST_RUNS

INTRODUCTION = (
    "A claim is one sentence of a paper with one rule, fixed before the runs that decide it; a "
    "verdict compares two settings on the same seeds. A claim opens to its numbers, its charts, "
    "its runs, and the command that goes on with it. Bold: a paper's primary claims."
)
CAPTIONS = (
    (
        "ratios",
        "Comparison",
        "A faint dot is a seed; a triangle among them a bound, since one of its two runs never got "
        "there. The large mark is the estimate of the verdict, the line its interval, which holds "
        "for all looks together; a large triangle is a bound. Shaded: the effect that counts. "
        "Dashed: no effect. n counts the pairs of runs, or the runs where there is one setting.",
    ),
    (
        "curves",
        "Learning curves",
        "A thin line for each run that the verdict rests on; the thick line is the median, the "
        f"band holds the middle half of the seeds, from {FEWEST_RUNS} runs on. Where it begins, "
        "the axis shows nearly all that was recorded; zoom out for the rest.",
    ),
    (
        "survival",
        "Time on the plateau",
        "Kaplan-Meier estimate of the fraction of runs that have not escaped yet, with a pointwise "
        f"95% band from {FEWEST_RUNS} runs on. A tick marks runs that were followed no further.",
    ),
)


class Runs(NamedTuple):
    """The runs that a claim's curves are drawn of: results, a row and a name a setting.

    measures: what can be shown, the first one first. is_time: whether escapes are compared.
    """

    results: xr.Dataset
    rows: Sequence[Row]
    names: Sequence[str]
    measures: Sequence[Measure]
    is_time: bool
    horizon: int


class Entry(NamedTuple):
    """One claim as the page shows it.

    facts: terms and what they are, in the order in which they are read.
    comparison, axis: a record of `series.ratios`, and the axis that it is drawn on.
    """

    id: str
    paper: int
    sentence: str
    word: str
    is_primary: bool = False
    estimate: str = ""
    facts: Sequence[tuple[str, str]] = ()
    parts: Sequence[str] = ()
    command: str = ""
    comparison: Record | None = None
    axis: comparisons.Axis = comparisons.STEPS
    runs: Runs | None = None


def page(entries: Sequence[Entry], meanings: Mapping[str, str], decided: Sequence[str]) -> str:
    """Return the page of claims.

    Args:
      entries: the claims, in the order in which they are shown.
      meanings: what each verdict means, in the order in which they are counted.
      decided: the verdicts that are answers.

    Raises:
      ConfigError: the extra `html` is not installed.
    """
    library = vega.library()
    papers = sorted({entry.paper for entry in entries})
    words = [word for word in meanings if any(entry.word == word for entry in entries)]
    ids = {entry.id for entry in entries}
    parts = {part for entry in entries for part in entry.parts}
    counted = [(e.word, e.paper) for e in entries if e.id not in parts]
    counts = [(word, [*(counted.count((word, paper)) for paper in papers)]) for word in words]
    return writing.rendered(
        "claims",
        library=library,
        claims=entries,
        introduction=INTRODUCTION,
        papers=[
            {"number": paper, "claims": [_shown(e, ids) for e in entries if e.paper == paper]}
            for paper in papers
        ],
        counts=[(word, [*numbers, sum(numbers)]) for word, numbers in counts],
        words=words,
        decided=[word for word in words if word in decided],
        meanings=[(word, meanings[word]) for word in words],
        captions=CAPTIONS,
    )


def _shown(entry: Entry, ids: Collection[str]) -> dict[str, Any]:
    parts = [(part, part in ids) for part in entry.parts]  # a link to those that are shown
    return {**entry._asdict(), "parts": parts, "charts": _charts(entry)}


def _charts(entry: Entry) -> list[dict[str, Any]]:
    """Return the charts of a claim: heading, looks, measures, and Vega with its text in words."""
    found: list[tuple[str, Any, Sequence[dict[str, Any]]]] = []
    if entry.comparison is not None:
        looks = vega.Looks(telling.styles_of_arms(1))
        seeds = entry.comparison["r"]
        found.append(
            ("ratios", comparisons.chart([entry.comparison], looks, seeds, entry.axis), [])
        )
    if (runs := entry.runs) is not None:
        styles = telling.styles_of_arms(len(runs.rows))
        looks, seeds = vega.Looks(styles), runs.results["seed"].values.tolist()
        grid = series.grid(runs.results)
        span = min(grid, default=runs.horizon), max(runs.horizon, 2)
        shown = [{**s, "label": name} for s, name in zip(styles, runs.names, strict=True)]
        if records := series.curves(runs.results, runs.rows, runs.measures):
            spec = charts.curves(records, runs.measures, looks, seeds, grid, span)
            found.append(("curves", spec, shown))
        if runs.is_time and (records := series.times(runs.results, runs.rows, span[0])):
            found.append(("survival", charts.survival(records, looks, seeds, span), shown))
    headings = {kind: heading for kind, heading, _ in CAPTIONS}
    measures = [measure.name for measure in runs.measures] if runs else []
    made = []
    for kind, spec, keyed in found:
        names = " and ".join(look["label"] for look in keyed) or entry.estimate
        spec["description"] = f"{headings[kind]} of claim {entry.id}: {names}. {entry.sentence}"
        chart = {"kind": kind, "heading": headings[kind], "looks": keyed, "spec": spec}
        made.append(chart | {"measures": measures})
    return made
