"""All claims as one file to explore, `reproduce.py --report FILE`: what its page is told."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from plateaus.evidence import claim_runs, units
from plateaus.evidence.claim import Claim
from plateaus.evidence.fields import STATISTICS
from plateaus.evidence.observed import Observed
from plateaus.evidence.page_head import MEANINGS
from plateaus.evidence.settings import matches
from plateaus.evidence.verdict import DECIDED, WORDS, Verdict
from plateaus.evidence.wording import command, compared, estimate, quantity, rule
from plateaus.files import write_atomically
from plateaus.report import table
from plateaus.report.kept_runs import value_text
from plateaus.report.page import claims as page
from plateaus.report.page import comparisons, folders, series

AXES = {
    "ratio": comparisons.Axis("ratio, treated to baseline"),
    "difference": comparisons.Axis("difference", 0.0, is_ratio=False, least=(0.0,)),
    "share": comparisons.Axis("share of the runs", None, is_ratio=False, least=(0.0, 1.0)),
}


def write(
    path: Path,
    claims: Mapping[str, Claim],
    verdicts: Mapping[str, Verdict],
    results: Path,
    places: Mapping[str, Path] = MappingProxyType({}),
) -> None:
    """Write the page of claims and their verdicts, from the runs in `results`.

    Args:
      path: the file.
      claims, verdicts: those that it shows, by their ids, in their order.
      results: the folder of the kept runs.
      places: files of claims of one's own, by their ids.

    Raises:
      ConfigError: the extra `html` is not installed, or a kept folder is damaged.
    """
    read: dict[str, folders.Folder] = {}
    for name in claims:
        for folder in verdicts[name].folders if claims[name].kind != "all" else ():
            if folder not in read:
                read[folder] = folders.read(results / folder)
    entries = [
        _entry(claim, verdicts[name], read, places.get(name)) for name, claim in claims.items()
    ]
    meanings = {word: MEANINGS[word][0] for word in WORDS}
    write_atomically(path, page.page(entries, meanings, DECIDED).encode())


def _entry(
    claim: Claim, verdict: Verdict, read: Mapping[str, folders.Folder], file: Path | None = None
) -> page.Entry:
    made = page.Entry(
        id=claim.id,
        paper=claim.paper,
        sentence=claim.sentence,
        word=verdict.word,
        is_primary=claim.role == "primary",
        estimate=estimate(claim, verdict),
        facts=_facts(claim, verdict),
        parts=claim.all,
        command=command(claim if file is None else dataclasses.replace(claim, id=str(file))),
    )
    if verdict.used is None or not verdict.folders:
        return made
    made = made._replace(runs=_runs(claim, read[verdict.folders[0]], verdict.used))
    if not math.isfinite(verdict.estimate.value):
        return made
    axis = AXES[compared(claim)]
    if compared(claim) != "share":
        axis = axis._replace(title=f"{axis.title}: {_plain(quantity(claim))}")
    return made._replace(comparison=_comparison(claim, verdict, verdict.used), axis=axis)


def _facts(claim: Claim, verdict: Verdict) -> list[tuple[str, str]]:
    """Return what there is to say of a claim, as terms and what they are."""
    pairs = "pairs" if claim.kind == "paired" else "runs"
    left_out = f", {verdict.censored} left out, since neither run got there"
    sooner = "first" if claim.statistic and STATISTICS[claim.statistic][0] else "lower"
    found = {
        "in the paper": claim.place,
        "decided by": _plain(rule(claim)),
        "compared": " against ".join(_names(claim)) if claim.is_run else "",
        compared(claim): estimate(claim, verdict),
        pairs: f"{verdict.pairs}{left_out * bool(verdict.censored)}" if verdict.pairs else "",
        f"treated {sooner} in": "" if math.isnan(verdict.sooner) else f"{verdict.sooner:.0%}",
        "p": "" if math.isnan(verdict.p_value) else f"{verdict.p_value:.2g}, looks included",
        "why": _plain(verdict.why),
        "runs": ", ".join(verdict.folders) if claim.kind != "all" else "",
        "device": verdict.device,
        "commit": verdict.commit,
        "took": f"{verdict.minutes:,.3g} core-minutes" if verdict.minutes else "",
    }
    return [(term, text) for term, text in found.items() if term and text]


def _plain(text: str) -> str:
    return text.replace("`", "")


def _arms(claim: Claim) -> list[dict[str, Any]]:
    """Return the settings of a claim, the treated one first."""
    return [dict(arm) for arm in reversed(claim_runs.settings(claim))]


def _names(claim: Claim) -> list[str]:
    return [table.label(arm) or "as configured" for arm in _arms(claim)]


def _comparison(claim: Claim, verdict: Verdict, used: Observed) -> series.Record:
    """Return a claim's comparison as a record of `series.ratios`, with the effect that counts."""
    values = units.by_seed(claim, used, verdict.series)
    usable = ~np.isnan(values) if compared(claim) != "share" else np.zeros(values.size, bool)
    bounds = np.full(values.size, "", object)
    if STATISTICS[claim.statistic][0]:
        bounds[~used.treated.there] = ">"
        bounds[~used.baseline.there] = "<"
    x, low, high = series.rounded(verdict.estimate)
    told = f"{estimate(claim, verdict)}, n = {verdict.pairs}: {verdict.word}"
    return {
        "s": 0,
        "name": series.wrapped(" against ".join(_names(claim))),
        "told": told,
        "b": verdict.bound,
        **{"x": x, "low": low, "high": high},
        "d": series.rounded(values[usable]),
        "r": used.seeds[usable].tolist(),
        "c": bounds[usable].tolist(),
        "shade": series.rounded(units.counted(claim)),  # None where it goes on for ever
    }


def _runs(claim: Claim, folder: folders.Folder, used: Observed) -> page.Runs | None:
    """Return the runs that a claim's curves are drawn of; None where its settings are not found."""
    chosen = [
        row
        for arm in _arms(claim)
        for row in folder.rows
        if matches({name: value_text(v) for name, v in row.setting.items()}, arm)
    ]
    if len(chosen) != len(_arms(claim)):
        return None
    results = folder.results.isel(seed=np.isin(folder.results["seed"].values, used.seeds))
    return page.Runs(
        results=results,
        rows=chosen,
        names=_names(claim),
        measures=_measures(claim, series.measures(results, chosen)),
        is_time=claim.statistic == "escape" and not claim.task,
        horizon=claim.horizon,
    )


def _measures(claim: Claim, found: Sequence[series.Measure]) -> list[series.Measure]:
    """Return what a claim's curves can show: the loss of its task, or the loss and metrics."""
    of_task = [m for m in found if claim.task and m.name.endswith(f" of {claim.task}")]
    some = of_task or [m for m in found if m.variable != "test_loss"] or [*found[:1]]
    return sorted(some, key=lambda measure: measure.variable != claim.metric)
