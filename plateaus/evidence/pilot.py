"""The pilot of a claim: whether its regime could decide it, shown on seeds 0 to 7.

It is written into the claim's file before any seed from 1000 on is run; from then on the rule of
the claim does not change.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plateaus import files
from plateaus.config.schema import ConfigError
from plateaus.evidence import units
from plateaus.evidence.claim import Claim, made
from plateaus.evidence.fields import STATISTICS
from plateaus.evidence.observed import Arm, Observed

SEEDS = range(8)
TRAINS, STUCK = 0.8, 0.2  # shares of runs that get there: at least, at most
EVALUATIONS = 10  # of the shorter plateau, at least
_TABLE = re.compile(r"^\[pilot\].*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)


def of(claim: Claim, found: Observed, grid: float) -> dict[str, Any]:
    """Return the pilot's table: what was seen, whether it passes, and why not.

    grid: steps between two evaluations of what the statistic reads; NaN if it is not known.

    Raises ConfigError if a seed of the pilot is missing.
    """
    missing = [seed for seed in SEEDS if seed not in found.seeds[found.counted]]
    if missing:
        raise ConfigError(f"claim {claim.id}: pilot: no complete pair of seed {missing[0]}")
    is_time = STATISTICS[claim.statistic][0]
    paired = not np.isnan(found.differences[0]).all()
    spread = float(np.nanstd(found.differences[0], ddof=1)) if paired else math.nan
    seconds = found.treated.seconds + found.baseline.seconds * (claim.kind == "paired")
    table: dict[str, Any] = {
        "rule": claim.rule,
        "seeds": len(SEEDS),
        "treated_there": float(found.treated.there.mean()),
        "baseline_there": float(found.baseline.there.mean()),
    }
    if is_time:
        table["evaluations"] = round(units.evaluations(claim, found, grid), 2)
    table |= {
        "sd_of_difference": round(spread, 4),
        "minutes_to_cap": round(seconds / len(SEEDS) * claim.looks[-1] / 60, 2),
    }
    why = [reason for reason in _reasons(claim, found, table) if reason]
    return {**table, "passed": not why, "why": "; ".join(why)}


def _median(arm: Arm) -> float:
    """Return the median time of the runs that got there; infinite if none did."""
    return float(np.median(arm.values[arm.there])) if arm.there.any() else math.inf


def _reasons(claim: Claim, found: Observed, table: Mapping[str, Any]) -> list[str]:
    reasons = [units.mute(found)]
    treated, baseline = table["treated_there"], table["baseline_there"]
    if not STATISTICS[claim.statistic][0]:
        if min(treated, baseline) < TRAINS and claim.statistic != "share":
            reasons.append(f"only {min(treated, baseline):.2g} of the runs have a value")
        return reasons
    if claim.baseline == "stuck":
        if baseline > STUCK:
            reasons.append(f"{baseline:.2g} of the baselines get there; at most {STUCK} may")
        if treated < TRAINS:
            reasons.append(f"{treated:.2g} of the treated runs get there; {TRAINS} have to")
        if 2 * _median(found.treated) > claim.horizon:  # of which prompts are a part, too
            reasons.append("the horizon is below twice the treated median")
    elif baseline < TRAINS:
        reasons.append(f"{baseline:.2g} of the baselines get there; {TRAINS} have to")
    if table["evaluations"] < EVALUATIONS:
        reasons.append(
            f"a plateau lasts {table['evaluations']:.2g} evaluations; it has to be {EVALUATIONS}"
        )
    return reasons


def write(path: Path, table: Mapping[str, Any]) -> None:
    """Add the pilot's table to a claim's file, in place of an earlier one; check it before."""
    kept = _TABLE.sub("", path.read_text(encoding="utf-8")).rstrip("\n")
    lines = [f"{name} = {_toml(value)}" for name, value in table.items()]
    content = kept + "\n\n[pilot]\n" + "\n".join(lines) + "\n"
    try:
        made(tomllib.loads(content), str(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: its pilot cannot be added: {error}") from None
    files.write_atomically(path, content.encode())


def _toml(value: Any) -> str:
    if isinstance(value, float):
        return str(value)  # inf and nan are TOML's own words
    return json.dumps(value, ensure_ascii=False)
