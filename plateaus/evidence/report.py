"""All claims as one file to explore, `reproduce.py --report FILE`: what its page is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plateaus.evidence import kept, observed, rows, units
from plateaus.evidence.claim import FIRST_SEED, Claim
from plateaus.evidence.fields import STATISTICS
from plateaus.evidence.observed import Observed
from plateaus.evidence.page_head import MEANINGS
from plateaus.evidence.settings import matches
from plateaus.evidence.verdict import DECIDED, WORDS, Verdict
from plateaus.evidence.wording import compared, estimate, rule
from plateaus.files import write_atomically
from plateaus.report.kept_runs import value_text
from plateaus.report.page import claims as page
from plateaus.report.page import comparisons, folders, series
from plateaus.report.survival import Interval
from plateaus.variables import EVALUATIONS

AXES = {
    "ratio": comparisons.Axis("ratio, treated to baseline"),
    "difference": comparisons.Axis("difference", 0.0, is_ratio=False, least=(0.0,)),
    "share": comparisons.Axis("share of the runs", None, is_ratio=False, least=(0.0, 1.0)),
}


class Used(NamedTuple):
    """The seeds that a verdict rests on, and what each of them says; `shown` is NaN for nothing."""

    found: Observed
    shown: NDArray[np.float64]


def write(
    path: Path,
    claims: Mapping[str, Claim],
    verdicts: Mapping[str, Verdict],
    results: Path,
    commands: Mapping[str, str],
) -> None:
    """Write the page of claims and their verdicts, from the runs in `results`.

    Args:
      path: the file.
      claims, verdicts: those that it shows, by their ids, in their order.
      results: the folder of the kept runs.
      commands: how to run each claim, by their ids.

    Raises:
      ConfigError: the extra `html` is not installed, or a kept folder is damaged.
    """
    read: dict[str, folders.Folder] = {}
    for name in claims:
        for folder in verdicts[name].folders if claims[name].kind != "all" else ():
            if folder not in read:
                read[folder] = folders.read(results / folder)
    entries = [
        _entry(claim, verdicts[name], read, results, commands[name])
        for name, claim in claims.items()
    ]
    meanings = {word: MEANINGS[word][0] for word in WORDS}
    write_atomically(path, page.page(entries, meanings, DECIDED).encode())


def _entry(
    claim: Claim,
    verdict: Verdict,
    read: Mapping[str, folders.Folder],
    results: Path,
    command: str,
) -> page.Entry:
    used = None
    if claim.is_run and verdict.folders and math.isfinite(verdict.estimate.value):
        used = _used(claim, verdict, results)
    made = page.Entry(
        id=claim.id,
        paper=claim.paper,
        sentence=claim.sentence,
        word=verdict.word,
        is_primary=claim.role == "primary",
        estimate=estimate(claim, verdict),
        facts=_facts(claim, verdict),
        parts=claim.all,
        command=command if claim.is_run else "",
    )
    if used is None:
        return made
    kind = compared(claim)
    comparison = _comparison(claim, verdict, used)
    axis = AXES[kind]._replace(title=f"{AXES[kind].title}: {_quantity(claim)}")
    if kind == "share":
        axis = AXES[kind]
    return made._replace(
        comparison=comparison, axis=axis, runs=_runs(claim, read[verdict.folders[0]], used)
    )


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


def _quantity(claim: Claim) -> str:
    return _plain(rule(claim)).partition(": ")[0]


def _names(claim: Claim) -> list[str]:
    """Return the settings of a claim in words, the treated one first."""
    arms = [claim.treated, claim.baseline_setting][: 1 if claim.kind == "descriptive" else 2]
    told = [
        ", ".join(f"{field}={value_text(value)}" for field, value in arm.items()) for arm in arms
    ]
    return [text or "the preset as it is" for text in told]


def _used(claim: Claim, verdict: Verdict, results: Path) -> Used | None:
    """Return the seeds that a verdict rests on: at the look, and of the series, of its estimate."""
    read = rows.of_folder(claim, results / kept.name(claim))
    found = observed.observed(claim, read.rows, lambda seed: seed >= FIRST_SEED)
    for look in claim.looks:
        used = observed.first(found, look)
        if compared(claim) == "share" and used.counted.sum() == verdict.pairs:
            return Used(used, np.full(used.seeds.size, np.nan))
        for differences in used.differences:
            there = differences[~np.isnan(differences)]
            if there.size != verdict.pairs or used.censored.sum() != verdict.censored:
                continue
            value = units.in_units(claim, Interval(float(there.mean()), math.nan, math.nan)).value
            if math.isclose(value, verdict.estimate.value, rel_tol=1e-9, abs_tol=1e-12):
                return Used(used, differences)
    return None


def _comparison(claim: Claim, verdict: Verdict, used: Used) -> series.Record:
    """Return a claim's comparison as a record of `series.ratios`, with the effect that counts."""
    usable = ~np.isnan(used.shown)
    values = [
        units.in_units(claim, Interval(value, math.nan, math.nan)).value
        for value in used.shown[usable].tolist()
    ]
    bounds = np.full(usable.sum(), "", object)
    if claim.statistic and STATISTICS[claim.statistic][0]:
        bounds[~used.found.treated.there[usable]] = ">"
        bounds[~used.found.baseline.there[usable]] = "<"
    x, low, high = series.rounded(verdict.estimate)
    told = f"{estimate(claim, verdict)}, n = {verdict.pairs}: {verdict.word}"
    record: dict[str, Any] = {"s": 0, "name": series.wrapped(" against ".join(_names(claim)))}
    record |= {"told": told, "b": verdict.bound, "x": x, "low": low, "high": high}
    record |= {"d": series.rounded(values), "r": used.found.seeds[usable].tolist()}
    return record | {"c": bounds.tolist(), "shade": _counting(claim)}


def _counting(claim: Claim) -> tuple[float | None, float | None]:
    """Return the ends of the effect that counts; None where it goes on for ever."""
    effect = claim.smallest_effect
    if claim.statistic == "loss_at_every":
        return None, effect
    if claim.direction == "equal":
        is_difference = compared(claim) == "difference"
        low, high = sorted((effect, -effect if is_difference else 1 / effect))
        return low, high
    return (None, effect) if claim.direction == "less" else (effect, None)


def _runs(claim: Claim, folder: folders.Folder, used: Used) -> page.Runs | None:
    """Return the runs that a claim's curves are drawn of; None where its settings are not found."""
    arms = [claim.treated, claim.baseline_setting][: 1 if claim.kind == "descriptive" else 2]
    chosen = [
        row
        for arm in arms
        for row in folder.rows
        if matches({name: value_text(v) for name, v in row.setting.items()}, arm)
    ]
    if len(chosen) != len(arms):
        return None
    results = folder.results.sel(seed=used.found.seeds)
    steps = results[EVALUATIONS].values
    return page.Runs(
        results=results,
        rows=chosen,
        names=_names(claim),
        measures=_measures(claim, series.measures(results, chosen)),
        is_time=claim.statistic == "escape" and not claim.task,
        first=int(steps[steps > 0].min(initial=claim.horizon)),
        horizon=claim.horizon,
    )


def _measures(claim: Claim, found: Sequence[series.Measure]) -> list[series.Measure]:
    """Return what a claim's curves can show: the loss of its task, or the loss and metrics."""
    of_task = [m for m in found if claim.task and m.name.endswith(f" of {claim.task}")]
    some = of_task or [m for m in found if m.variable != "test_loss"] or [*found[:1]]
    return sorted(some, key=lambda measure: measure.variable != claim.metric)
