"""Numbers and rules of claims in words: the same on the page, in figures and in quotes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from plateaus.evidence.claim import Claim
from plateaus.evidence.fields import EVERY, STATISTICS
from plateaus.evidence.verdict import Verdict

EVENTS = {
    "escape": "steps to escape",
    "half": "steps to half",
    "completion": "steps to completion",
    "trained_escape": "steps to escape on trained items",
}
NUMBERS = ("P(sooner)", "n", "minutes")  # columns of tables
ROUNDING = 1e-12  # a number below it, from differences of equal runs, is 0


def compared(claim: Claim) -> str:
    """Return what the estimate of a claim is: "ratio", "difference", "share", or ""."""
    return STATISTICS[claim.statistic][1] if claim.statistic else ""


def has_ratio(claim: Claim, verdict: Verdict) -> bool:
    """Return whether a claim has a ratio that can be drawn."""
    value = verdict.estimate.value
    return compared(claim) == "ratio" and math.isfinite(value) and value > 0


def estimate(claim: Claim, verdict: Verdict) -> str:
    """Return the estimate with its interval; a bound as one; a difference with its sign.

    A bound is rounded outwards, so that it stays one; an interval that leaves no effect out has
    digits enough to show it. "" where there is no estimate.

    >>> from plateaus.report.survival import Interval
    >>> claim = Claim(id="1.1", paper=1, place="", sentence="", statistic="escape")
    >>> estimate(claim, Verdict(word="supported", estimate=Interval(0.481, 0.392, 0.649)))
    '0.48 [0.39, 0.65]'
    >>> estimate(claim, Verdict(word="contradicted", estimate=Interval(2.19, 1.8, 9), bound=">"))
    '> 2.1'
    """
    value, low, high = (0.0 if abs(x) < ROUNDING else x for x in verdict.estimate)
    if math.isnan(value):
        return ""
    if verdict.bound:
        return f"{verdict.bound} {_outwards(value, verdict.bound)}"
    none = {"ratio": 1.0, "difference": 0.0, "share": claim.smallest_effect}
    nothing = none.get(compared(claim), math.nan)
    form = ("+" if nothing == 0 else "") + _form([value, low, high], nothing)
    text = f"{value:{form}}"
    if math.isnan(low) or math.isnan(high):
        return text
    return f"{text} [{low:{form}}, {high:{form}}]"


def result(claim: Claim, verdict: Verdict) -> str:
    """Return a verdict with its numbers as one line.

    >>> from plateaus.report.survival import Interval
    >>> claim = Claim(id="1.1", paper=1, place="", sentence="", statistic="escape")
    >>> found = Verdict(word="supported", estimate=Interval(0.481, 0.392, 0.649), pairs=32)
    >>> result(claim, found)
    'supported: ratio 0.48 [0.39, 0.65], n = 32 pairs'
    """
    numbers = []
    if text := estimate(claim, verdict):
        numbers.append(f"{compared(claim)} {text}")
    if verdict.pairs:
        what = "pairs" if claim.kind == "paired" else "runs"
        left_out = f" + {verdict.censored} left out" * bool(verdict.censored)
        numbers.append(f"n = {verdict.pairs} {what}{left_out}")
    if not math.isnan(verdict.sooner):
        first = "first" if STATISTICS[claim.statistic][0] else "lower"
        numbers.append(f"treated {first} in {verdict.sooner:.0%} of them")
    if verdict.why:
        numbers.append(verdict.why)
    return ": ".join(filter(None, (verdict.word, ", ".join(numbers))))


def command(claim: Claim) -> str:
    """Return the command that makes the runs of a claim; "" where nothing is run.

    >>> command(Claim(id="1.1", paper=1, place="", sentence=""))
    'python experiments/reproduce.py --claim 1.1'
    """
    is_run = claim.is_run or claim.kind == "all"
    return f"python experiments/reproduce.py --claim {claim.id}" if is_run else ""


def _form(values: list[float], nothing: float) -> str:
    """Return a format of two digits after the point, or as many as an interval needs.

    They tell its ends apart, and none that leaves `nothing` out, which is no effect or the limit of
    a share, seems to reach it.
    """
    finite = [value for value in values if math.isfinite(value)] or [1.0]
    size = (max(finite) - min(finite)) / 5 or abs(finite[0]) / 10 or 1.0
    digits = max(2, math.ceil(-math.log10(size)))
    while digits < 4 and any(round(v, digits) == nothing != v for v in finite):
        digits += 1
    return f".{digits}f" if digits <= 4 else ".2g"


def _outwards(value: float, bound: str) -> str:
    """Return a bound in two digits: not above the value if it is a lower one, and not below."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    power = math.floor(math.log10(abs(value)))
    steps = value / 10.0 ** (power - 1)
    whole = math.floor(steps + 1e-9) if bound == ">" else math.ceil(steps - 1e-9)
    form = f".{max(1 - power, 0)}f" if -3 <= power <= 3 else ".2g"
    return f"{whole * 10.0 ** (power - 1):{form}}"


def rule(claim: Claim) -> str:
    """Return what is compared, and which effect counts.

    >>> rule(Claim(id="1.1", paper=1, place="", sentence="", kind="paired",
    ...            statistic="loss_at", at=2_000, smallest_effect=0.8))
    'loss at step 2,000: ratio of 0.8 or less'
    """
    if claim.kind == "all":
        return f"holds if {listed(claim.all)} do"
    if claim.check and not claim.statistic:
        return f"decided by `{claim.check}`"
    if not claim.statistic:
        return ""
    what, effect = quantity(claim), claim.smallest_effect
    if claim.statistic in EVERY:
        return f"{what}: at least as good, within a {compared(claim)} of {effect:g}"
    if compared(claim) == "share":
        side = "below" if claim.direction == "less" else "above"
        return f"share of runs with {what}: {side} {effect:g}"
    sign = "+" if compared(claim) == "difference" else ""
    if claim.direction == "equal":
        low, high = (-abs(effect), abs(effect)) if sign else sorted((effect, 1 / effect))
        return f"{what}: {compared(claim)} between {low:{sign}.3g} and {high:{sign}.3g}"
    side = "less" if claim.direction == "less" else "more"
    return f"{what}: {compared(claim)} of {effect:{sign}g} or {side}"


def quantity(claim: Claim) -> str:
    """Return what a claim compares, in words; names of the records are code."""
    at = f" at step {claim.at:,}" if claim.at else " at the end"
    metric = f"`{claim.metric}`"
    named = {
        "first_step": f"first step with {metric} at {claim.value:g}",
        "loss_at": f"loss{at}",
        "area": f"mean loss up to step {claim.at:,}",
        "loss_at_every": "loss at every tenth of the horizon",
        "value_at_every": f"{metric} at every tenth of the horizon",
        "value": f"{metric}{at}",
        "value_ratio": f"{metric}{at}",
        "share": metric,
        "level": f"{metric}{at}",
    }
    text = {**EVENTS, **named}[claim.statistic]
    text += f" of `{claim.task}`" if claim.task else ""
    text += f" beside {claim.value:g}" if claim.statistic == "level" else ""
    return text + (", in prompts of its own" if claim.prompts[0] != claim.prompts[1] else "")


def listed(words: tuple[str, ...]) -> str:
    """Return words as a list in a sentence.

    >>> listed(("a", "b", "c"))
    'a, b and c'
    """
    *first, last = words or ("",)
    return f"{', '.join(first)} and {last}" if first else last


def cell(text: str) -> str:
    r"""Return text that stands in a cell of a Markdown table as it is; code in it stays code.

    >>> cell("a|b *c*\n`d|e_f` <g>")
    'a\\|b \\*c\\* `d\\|e_f` \\<g>'
    """
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(
        part.replace("|", r"\|") if part.startswith("`") and len(part) > 1 else _escaped(part)
        for part in parts
    )


def _escaped(text: str) -> str:
    text = re.sub(r"([\\|*<`~$])", r"\\\1", text)
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # within a word it is no emphasis
    return text.replace("](", r"]\(")  # an interval before a parenthesis is no link


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, numbers to the right."""
    rule_ = ["---:" if name in NUMBERS else "---" for name in columns]
    lines = ["| " + " | ".join(row) + " |" for row in (columns, rule_, *rows)]
    return "\n".join(line.replace("|  |", "| |").replace("|  |", "| |") for line in lines) + "\n"
