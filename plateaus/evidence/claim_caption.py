"""What the figure of a claim shows, in words: its caption, and its text for a screen reader."""

from __future__ import annotations

import math

from plateaus.evidence.claim import Claim
from plateaus.evidence.claim_figure import arm_names, foot_text, has_few, is_timed
from plateaus.evidence.claim_runs import variable_of
from plateaus.evidence.fields import EVERY
from plateaus.evidence.verdict import Verdict
from plateaus.evidence.wording import cell, command, compared, quantity, result, rule


def title(claim: Claim, verdict: Verdict) -> str:
    """Return the figure in one sentence: what is claimed, and what the runs say.

    >>> title(Claim(id="1.1", paper=1, place="", sentence="So it is."), Verdict(word="open"))
    'Claim 1.1: So it is. Open.'
    """
    sentence = result(claim, verdict)
    text = f"Claim {claim.id}: {claim.sentence} {sentence[:1].upper()}{sentence[1:]}."
    return " ".join(text.replace("`", "").split())


def description(claim: Claim, verdict: Verdict) -> str:
    """Return what the panels, bands, marks and colours of a claim's figure mean."""
    both = claim.kind != "descriptive"
    parts = ["Baseline: black, solid and heavy; treated: blue and dashed."] if both else []
    spread = "a thin line each of them" if has_few(verdict) else "the band their middle half"
    parts.append(f"(a) {_of_curves(claim)} The line is the median of the seeds, {spread};")
    parts.append("diverged runs are left out. (b)")
    parts.append(_of_middle(claim, verdict))
    parts.append(f"(c) {_of_pairs(claim, verdict)}")
    return " ".join(parts)


def _of_curves(claim: Claim) -> str:
    at = f" A dotted line marks step {claim.at:,}." if claim.at else ""
    if claim.metric and not claim.metric.startswith(("loss_at", "area_at", "escape", "flat")):
        name = variable_of(claim.metric)
        level = " The dotted line is the level to be reached." if is_timed(claim) else ""
        return f"`{name}` along the optimiser steps, on a log axis.{level}{at}"
    if claim.task:
        return f"Test loss of `{claim.task}` along the optimiser steps, on a log axis.{at}"
    return (
        "Test loss along the optimiser steps, on a log axis; normalised, where its references are "
        f"known: 1 is the loss of the uninformed predictor, 0 that of the best.{at}"
    )


def _of_middle(claim: Claim, verdict: Verdict) -> str:
    if claim.statistic in EVERY:
        of, mean = "Ratio of the losses", "geometric mean"
        if claim.statistic == "value_at_every":
            of, mean = f"Difference in `{claim.metric}`", "mean"
        return (
            f"{of} of the two runs of a seed at each tenth of the horizon: {mean} over the seeds "
            "and their middle half. The ring is at the tenth that is furthest "
            "from support, of which (c) is; shaded: at least as good, within the margin."
        )
    if not is_timed(claim):
        return f"Share of the runs whose {quantity(claim)} is at or below a value."
    start = ", counted from where its task is first drawn" if claim.task else ""
    band = "" if has_few(verdict) else " with the pointwise 95% band"
    return (
        f"Share of the runs that are not there yet (Kaplan-Meier estimate{start}){band}; "
        "a tick marks runs that were censored: not there by the horizon. Under "
        "it, how many runs were not there before a step, and how many got there at all."
    )


def _of_pairs(claim: Claim, verdict: Verdict) -> str:
    level = f"{1 - claim.alpha:.0%}"
    shaded = "Shaded: the effect that counts, or more of it."
    if claim.statistic == "share":
        return (
            f"The diamond is the share of the runs, the bar its exact {level} interval, which "
            "allows for all looks at the data. Shaded: what the claim says of it."
        )
    of = f"{compared(claim)} of the two runs of a seed, treated to baseline"
    if claim.statistic == "level":
        of = f"difference of a run to {claim.value:g}"
    mean = "geometric mean" if compared(claim) == "ratio" else "mean"
    text = f"Each dot is the {of}, in their order from below."
    if is_timed(claim):
        text += " An arrow in place of a dot: one of the two was not there by the horizon."
    elif compared(claim) == "ratio":
        text += " An arrow in place of a dot: a ratio beyond the axis."
    if verdict.bound:
        text += f" The diamond is the {mean}, a bound only: its arrow goes on."
    elif not math.isnan(verdict.estimate.value):
        text += f" The diamond is the {mean}, the bar its {level} interval, which allows for"
        text += " all looks at the data."
    return f"{text} {shaded}"


def page(claim: Claim, verdict: Verdict) -> str:
    """Return the page of a claim's figure, in Markdown: the figure, its caption, its facts."""
    names = "; ".join(arm_names(claim))
    facts = {
        "Verdict": result(claim, verdict),
        "Rule": rule(claim),
        "Said in": f"paper {claim.paper}, {claim.place}" if claim.paper else claim.place,
        "Settings": f"{names}",
        "Runs": f"[{verdict.folders[0]}](../{verdict.folders[0]}/): {foot_text(claim, verdict)}",
    }
    lines = [f"- {name}: {cell(fact) if name != 'Runs' else fact}" for name, fact in facts.items()]
    lines.append(f"- Command: `{command(claim)}`")
    head = (
        "<!-- Written by `python experiments/reproduce.py --page`; "
        "what is changed here by hand is lost. -->\n"
        f"# Claim {claim.id}\n\n{cell(claim.sentence)}"
    )
    shown = f"![{cell(title(claim, verdict))}]({claim.id}.svg)"
    facts_text = "\n".join(lines)
    back = "[All claims](../README.md)"
    return "\n\n".join((head, shown, cell(description(claim, verdict)), facts_text, back)) + "\n"
