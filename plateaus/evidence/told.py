"""What the command says of claims: a line each, a verdict in full, a plan with its price."""

from __future__ import annotations

import math
from collections.abc import Mapping

from plateaus.evidence import wording
from plateaus.evidence.claim import Claim
from plateaus.evidence.fields import STATISTICS
from plateaus.evidence.queue import Job
from plateaus.evidence.verdict import Verdict


def listing(claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> str:
    """Return a line a claim: id, verdict, estimate, seeds, what to run."""
    lines = []
    for name, claim in claims.items():
        found = verdicts[name]
        price = ""
        if claim.pilot and found.word == "open":
            price = f"{claim.pilot['minutes_to_cap']:.3g} core-minutes to the cap"
        role = "*" if claim.role == "primary" else " "
        cells = (
            f"{name}{role}".ljust(8),
            found.word.ljust(16),
            wording.estimate(claim, found).ljust(22),
        )
        lines.append(" ".join((*cells, claim.sentence, f"({price})" * bool(price))).rstrip())
    return "\n".join(lines)


def verdict(claim: Claim, found: Verdict) -> str:
    """Return a verdict in full, as lines."""
    lines = [f"claim {claim.id}: {found.word}", f"  {claim.sentence}"]
    if text := wording.estimate(claim, found):
        what = STATISTICS[claim.statistic][1] if claim.statistic else ""
        lines.append(f"  {what} {text}")
    if found.pairs:
        left_out = f", {found.censored} left out (neither run got there)" * bool(found.censored)
        first = "first" if STATISTICS[claim.statistic][0] else "lower"
        sooner = "" if math.isnan(found.sooner) else f"; {first} in {found.sooner:.0%} of them"
        what = "pairs" if claim.kind == "paired" else "runs"
        lines.append(f"  {found.pairs} {what}{left_out}{sooner}")
    if not math.isnan(found.p_value):
        lines.append(f"  p {found.p_value:.2g}, one-sided, looks included")
    if found.minutes:
        lines.append(f"  cost: {found.minutes:.3g} core-minutes")
    if found.why:
        lines.append(f"  {found.why}")
    return "\n".join(lines)


def plan(job: Job) -> str:
    """Return what a job would run, and its price."""
    ids = ", ".join(claim.id for claim in job.claims)
    what = "pilot" if job.is_pilot else f"seeds {job.seeds.start} to {job.seeds.stop - 1}"
    price = f"about {job.seconds:.0f} core-seconds" if job.priced else "price unknown"
    return f"{job.name}: {what}; {price}; claims {ids}"
