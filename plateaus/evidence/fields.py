"""What the fields of a claim may hold, and which of them belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plateaus.names import hint

# name -> (is it a time that may be censored, compared by ratio or difference, what else it needs)
STATISTICS: dict[str, tuple[bool, str, tuple[str, ...]]] = {
    "escape": (True, "ratio", ()),  # steps to escape; of `task` where that is given
    "half": (True, "ratio", ()),
    "completion": (True, "ratio", ()),
    "trained_escape": (True, "ratio", ()),
    "first_step": (True, "ratio", ("metric", "value")),  # at which a metric is at least a value
    "loss_at": (False, "ratio", ("at",)),  # test loss at a step
    "area": (False, "ratio", ("at",)),  # mean normalised loss up to a step
    "loss_at_every": (False, "ratio", ()),  # at least as good at every tenth of the horizon
    "value_at_every": (False, "difference", ("metric",)),  # of a metric, the higher the better
    "value": (False, "difference", ("metric",)),  # any recorded number, at step `at` or the last
    "value_ratio": (False, "ratio", ("metric",)),
    "share": (False, "share", ("metric",)),  # of the treated runs with an event, beside a limit
    "level": (False, "difference", ("metric", "value")),  # of the treated runs, beside a constant
}
EVERY = ("loss_at_every", "value_at_every")  # as good as the baseline, within a margin
CHOICES: dict[str, Sequence[str]] = {
    "kind": ("paired", "all", "exact", "deterministic", "descriptive"),
    "role": ("primary", "exploratory"),
    "scale": ("small", "medium", "paper"),
    "baseline": ("trains", "stuck"),
    "statistic": (*STATISTICS,),
    "direction": ("less", "greater", "equal"),
}
TEXTS = ("id", "place", "sentence", "config", "metric", "task", "check", "untested")
TABLES = ("set", "treated", "baseline_setting", "rates", "before", "pilot")
OF_RATES = ("runs", "treated", "baseline")
WHOLE = ("paper", "at", "horizon")
DESCRIPTIVE = ("share", "level")
FEWEST = 8  # seeds at the first look


def problem(name: str, value: Any) -> str:
    """Return what is wrong with a field by itself, or ""."""
    if name in CHOICES:
        if value not in CHOICES[name]:
            return f"{name} = {value!r}: no such {name}{hint(str(value), CHOICES[name])}"
    elif name in TEXTS:
        if not isinstance(value, str):
            return f"{name} = {value!r}: must be text"
    elif name in TABLES:
        if not isinstance(value, Mapping):
            return f"{name} = {value!r}: must be a table"
        if name == "rates" and value:
            return _rates(value)
    elif name in WHOLE:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return f"{name} = {value!r}: must be a whole number, 0 or more"
    elif name == "looks":
        return _looks(value)
    elif name == "prompts":
        if not _numbers(value) or len(value) != 2 or min(value) <= 0:
            return f"prompts = {value!r}: must be two positive numbers, treated and baseline"
    elif name == "all":
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            return f"all = {value!r}: must be a list of ids"
    elif not isinstance(value, int | float) or isinstance(value, bool):
        return f"{name} = {value!r}: must be a number"
    elif name == "alpha" and not 0 < value < 0.5:
        return f"alpha = {value!r}: must be between 0 and .5"
    return ""


def _rates(value: Mapping[str, Any]) -> str:
    for name, content in value.items():
        if name not in OF_RATES:
            return f"rates.{name}: no such field{hint(name, OF_RATES)}"
        if not isinstance(content, str if name == "runs" else Mapping):
            return f"rates.{name} = {content!r}: must be {'text' if name == 'runs' else 'a table'}"
    if "runs" not in value or len(value) < 2:
        return "rates: has runs, and the settings treated or baseline of it, or both"
    return ""


def _looks(value: Any) -> str:
    whole = _numbers(value) and all(isinstance(v, int) for v in value)
    if not whole or not value or [*value] != sorted({*value}) or value[0] < FEWEST:
        return f"looks = {value!r}: must be growing numbers of seeds, {FEWEST} or more"
    return ""


def _numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value
    )


def conflicts(claim: Any) -> list[str]:
    """Return what is wrong with the fields of a `claim.Claim` together."""
    if claim.untested:
        return ["untested: there is a config, so it can be run"] if claim.config else []
    if claim.kind == "all":
        return [] if len(claim.all) > 1 else ["all: must name two claims or more"]
    if claim.kind in ("exact", "deterministic"):
        return [] if "::" in claim.check else ["check: must be a test, as tests/FILE.py::NAME"]
    problems = [
        f"{name}: is missing; a claim that runs decide needs it"
        for name in ("statistic", "horizon", "smallest_effect", "treated")
        if not getattr(claim, name)
    ]
    if claim.statistic:
        if (claim.statistic in DESCRIPTIVE) != (claim.kind == "descriptive"):
            problems.append("statistic: share and level are of descriptive claims, and of no other")
        for name in STATISTICS[claim.statistic][2]:
            if not getattr(claim, name) and name != "value":  # which may be 0
                problems.append(f"{name}: is missing; statistic = {claim.statistic} needs it")
    if claim.kind == "paired":
        problems += _contrast(claim)
    return problems + _effect(claim)


def _contrast(claim: Any) -> list[str]:
    treated, baseline = {**claim.treated}, {**claim.baseline_setting}
    if lone := sorted({*treated} ^ {*baseline}):
        said = f"contrast: treated and baseline must name the same fields, not {', '.join(lone)}"
        return [f"{said} in one of them"]
    if treated == baseline:
        return ["contrast: treated and baseline are the same"]
    both = {*treated} & {*claim.set}
    return [f"set.{name}: is a field of the contrast, too" for name in sorted(both)]


def _effect(claim: Any) -> list[str]:
    if not claim.statistic or not claim.smallest_effect:
        return []
    effect, what = claim.smallest_effect, f"smallest_effect = {claim.smallest_effect!r}"
    if claim.statistic == "share":
        if claim.direction == "equal":
            return ["direction: a share is less or greater than its limit"]
        if not 0 < effect < 1:
            return [f"{what}: a limit of a share is between 0 and 1"]
        primary = claim.role == "primary"
        return ["role: a share has no p-value for Holm's rule; it is exploratory"] * primary
    if claim.statistic in EVERY:
        return _margin(claim.statistic, claim.direction, effect)
    if STATISTICS[claim.statistic][1] == "difference":
        allowed = effect < 0 if claim.direction == "less" else effect > 0
        return [] if allowed else [f"{what}: must have the sign of the direction"]
    if effect <= 0:
        return [f"{what}: a ratio is positive"]
    below = claim.direction == "less"
    if claim.direction != "equal" and (effect < 1) != below:
        side = "below" if below else "above"
        return [f"{what}: must be {side} 1: direction is {claim.direction}"]
    return [f"{what}: must differ from 1"] if effect == 1 else []


def _margin(statistic: str, direction: str, effect: float) -> list[str]:
    """Return what is wrong with a margin: not worse by more than it, at every tenth."""
    allowed, least = ("less", 1) if statistic == "loss_at_every" else ("greater", 0)
    if direction != allowed:
        return [f"direction: of {statistic} it is {allowed}: not worse by more than the margin"]
    what = f"smallest_effect = {effect!r}: the margin of at least as good"
    return [] if effect > least else [f"{what} is above {least}"]
