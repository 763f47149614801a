"""Verdicts on all claims, from their rules, their pilots and the runs that are kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plateaus.config.schema import ConfigError
from plateaus.evidence import decision, kept, observed, rows, shares, units
from plateaus.evidence.claim import FIRST_SEED, Claim
from plateaus.evidence.fields import STATISTICS
from plateaus.evidence.observed import Arm, Observed
from plateaus.evidence.verdict import WORDS, Verdict
from plateaus.report.survival import Interval
from plateaus.report.unpaired import logrank_excess, logrank_p

FEWEST = 8  # pairs, of runs made elsewhere


class Evidence(NamedTuple):
    """What the fresh runs of a claim say: complete pairs up to the last look that they reach."""

    found: Observed
    rows: rows.Rows
    seeds: int  # fresh ones that are whole, looks or not


def judge(claims: Mapping[str, Claim], results: Path) -> dict[str, Verdict]:
    """Return the verdict on every claim, from the kept folders in `results`."""
    evidence = {
        name: _evidence(claim, results)
        for name, claim in claims.items()
        if claim.is_run and claim.config and claim.pilot.get("passed")
    }
    levels = _levels(claims, evidence)
    judged = {
        name: _single(claim, evidence.get(name), levels.get(name, claim.alpha / 2))
        for name, claim in claims.items()
        if claim.kind != "all"
    }
    for name, claim in claims.items():
        if claim.kind == "all":
            judged[name] = _compound(claim, [judged[part] for part in claim.all])
    return {name: judged[name] for name in claims}


def of_file(claim: Claim, path: Path) -> Verdict:
    """Return the verdict on a claim from anyone's runs, all of them one look."""
    if not claim.is_run:
        raise ConfigError(f"claim {claim.id}: is not decided by runs")
    read = rows.of_file(claim, path)
    found = observed.observed(claim, read.rows)
    pairs = int(found.counted.sum())
    if not pairs and claim.kind == "paired" and STATISTICS[claim.statistic][0]:
        return _of_unpaired(claim, *observed.unpaired(claim, read.rows))
    if pairs < FEWEST:
        why = f"{pairs} pairs of runs that share a seed; {FEWEST} are needed"
        return Verdict(word="inconclusive", pairs=pairs, why=why)
    found = observed.chosen(found, found.counted)
    evidence = Evidence(found, read, pairs)
    return _decided(claim, evidence, (pairs,), claim.alpha / 2)


def _of_unpaired(claim: Claim, *arms: Arm) -> Verdict:
    """Return the verdict on times of settings that share no seed: by the log-rank test, one look.

    The ratio is of geometric means up to the horizon, without an interval.
    """
    first, second = (arm.values[~np.isnan(arm.values)] for arm in arms)
    there, there_too = (arm.there[~np.isnan(arm.values)] for arm in arms)
    least = min(first.size, second.size)
    if claim.direction == "equal" or least < FEWEST:
        why = f"no seed is in both settings, of {first.size} and {second.size} runs; " + (
            f"{FEWEST} of each are needed" if least < FEWEST else "equality needs pairs"
        )
        return Verdict(word="inconclusive", why=why)
    ratio = math.exp(float(np.log(first).mean() - np.log(second).mean()))
    p = logrank_p((first, there), (second, there_too)) / 2
    less, below = claim.direction == "less", ratio < 1
    sooner = logrank_excess((first, there), (second, there_too)) > 0
    reaches = ratio <= claim.smallest_effect if less else ratio >= claim.smallest_effect
    why = f"no seed is in both settings: log-rank test of {first.size} and {second.size} runs"
    if math.isnan(p) or p > claim.alpha / 2:
        word = "inconclusive"
    elif sooner != below:
        word, why = "inconclusive", f"{why}, which has the other sign than the ratio"
    elif below == less:
        word = "supported" if reaches else "supported, small"
    else:
        word = "contradicted"
    return Verdict(
        word=word,
        estimate=Interval(ratio, math.nan, math.nan),
        p_value=p if sooner == less else 1 - p,
        why=why,
    )


def _evidence(claim: Claim, results: Path) -> Evidence:
    folder = results / kept.name(claim)
    read = rows.of_folder(claim, folder)
    found = observed.observed(claim, read.rows, lambda seed: seed >= FIRST_SEED)
    whole = found.seeds[found.counted]
    seeds = int(np.argmin(np.isin(FIRST_SEED + np.arange(whole.size + 1), whole)))
    look = max((n for n in claim.looks if n <= seeds), default=0)
    return Evidence(observed.chosen(found, found.seeds < FIRST_SEED + look), read, seeds)


def _levels(claims: Mapping[str, Claim], evidence: Mapping[str, Evidence]) -> dict[str, float]:
    """Return the one-sided level that Holm asks of each primary claim of a paper."""
    levels: dict[str, float] = {}
    for paper in sorted({claim.paper for claim in claims.values()}):
        primary = {
            name: claim
            for name, claim in claims.items()
            if claim.paper == paper and claim.role == "primary" and claim.is_run
        }
        p_values = {name: 1.0 for name in primary}
        for name, claim in primary.items():
            if name in evidence:
                found, *_ = units.gate(
                    claim, evidence[name].found, claim.looks, evidence[name].rows.grid
                )
                p_values[name] = units.p_value(claim, found) if found.seeds.size else 1.0
        if primary:
            alpha = min(claim.alpha for claim in primary.values()) / 2
            levels |= decision.holm_levels(p_values, alpha)
    return levels


def _single(claim: Claim, evidence: Evidence | None, level: float) -> Verdict:
    if claim.untested:
        return Verdict(word="not tested", why=claim.untested)
    if claim.kind in ("exact", "deterministic"):
        return Verdict(word="supported", why=f"{claim.kind}: {claim.check} holds")
    if not claim.pilot:
        word = "not yet rerun" if claim.before else "open"
        return Verdict(word=word, why="no pilot yet")
    if not claim.pilot["passed"]:
        return Verdict(word="not evaluable", why=f"pilot: {claim.pilot['why']}")
    assert evidence is not None
    if not evidence.found.seeds.size:
        return Verdict(word="open", seeds=evidence.seeds, why="the pilot passed; no look yet")
    return _decided(claim, evidence, claim.looks, level)


def _decided(claim: Claim, evidence: Evidence, looks: tuple[int, ...], level: float) -> Verdict:
    found, read = evidence.found, evidence.rows
    undecided = Verdict(
        word="open",
        seeds=evidence.seeds,
        device=read.device,
        commit=read.commit,
        minutes=_seconds(claim, found) / 60,
        folders=(kept.name(claim),) if claim.config and read.grid else (),
    )
    if claim.statistic == "share":
        return dataclasses.replace(undecided, **_share(claim, found, looks))
    heard, gate, why = units.gate(claim, found, looks, read.grid)
    result = units.decided(claim, heard, looks, level) if heard.seeds.size else None
    if why and (result is None or result.word == "open"):
        used = observed.first(found, gate)
        pairs = int(used.counted.sum())
        return dataclasses.replace(undecided, word="not evaluable", why=why, pairs=pairs, used=used)
    assert result is not None
    used = observed.first(heard, result.seeds)
    shown = used.differences[result.series]
    usable = ~np.isnan(shown)
    turned = shown[usable] * (-1 if claim.direction == "greater" else 1)
    sooner = math.nan
    if usable.any() and claim.kind == "paired":
        sooner = float(np.mean((turned < 0) + 0.5 * (turned == 0)))
    return dataclasses.replace(
        undecided,
        word=result.word,
        estimate=units.in_units(claim, result.estimate),
        bound=units.bound(claim, used),
        sooner=sooner,
        pairs=int(usable.sum()),
        censored=int(used.censored.sum()),
        p_value=result.p_value,
        detectable=units.in_units(claim, Interval(result.detectable, math.nan, math.nan)).value,
        why=_why(claim, result),
        used=used,
        series=result.series,
    )


def _share(claim: Claim, found: Observed, looks: tuple[int, ...]) -> dict[str, Any]:
    """Return the verdict on the share of runs with an event, at the first look that decides it."""
    whole = observed.chosen(found, found.counted)
    share = shares.beside(whole.treated.there, claim.smallest_effect, looks, claim.alpha / 2)
    undecided = "inconclusive" if share.runs == looks[-1] else "open"
    claimed = "below" if claim.direction == "less" else "above"
    words = {claimed: "supported", "": undecided}
    used = observed.first(whole, share.runs)
    count = int(used.treated.there.sum())
    return {
        "word": words.get(share.side, "not supported"),
        "estimate": share.interval,
        "pairs": share.runs,
        "why": f"{count} of {share.runs} runs; exact interval of the share, for all looks",
        "used": used,
    }


def _seconds(claim: Claim, found: Observed) -> float:
    both = claim.kind == "paired"
    return found.treated.seconds + found.baseline.seconds * both


def _why(claim: Claim, result: decision.Decision) -> str:
    if result.word == "open":
        return (
            f"{result.seeds} seeds of {claim.looks[-1]} at most; the next look decides or goes on"
        )
    if result.word == "inconclusive":
        return "the cap was reached"
    return ""


def _compound(claim: Claim, parts: list[Verdict]) -> Verdict:
    """Return the weakest verdict of the parts: all have to hold, so that nothing is corrected."""
    weakest = max(parts, key=lambda part: WORDS.index(part.word))
    failed = [p for p in parts if p.word in ("not supported", "contradicted")]
    word = failed[0].word if failed else weakest.word
    if word == "not yet rerun" and any(part.seeds for part in parts):
        word = "open"  # some of it was run
    names = ", ".join(f"{n}: {p.word}" for n, p in zip(claim.all, parts, strict=True))
    return Verdict(
        word=word,
        why=names,
        minutes=sum(part.minutes for part in parts),
        folders=tuple(dict.fromkeys(f for part in parts for f in part.folders)),
    )
