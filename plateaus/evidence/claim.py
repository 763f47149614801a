"""A claim: what a paper says, and the rule by which it is decided, fixed before its runs.

One TOML file a claim; `read` checks it and says every problem in a line of its own. What decides
(the contrast, statistic, horizon, smallest effect, looks) has a digest, `rule`, which the pilot
records: no field of it changes afterwards.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plateaus.config.schema import ConfigError
from plateaus.evidence import fields
from plateaus.names import hint

LOOKS = (16, 24, 32, 48, 64)
FIRST_SEED = 1000  # none was seen while a regime was chosen
# Not part of the rule: words, and what was found.
WORDS = {"id", "paper", "place", "sentence", "rates", "before", "pilot", "untested"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim.

    Args:
      id: never reused; of the paper and a number, "1.17", or "1.17b" for a part of that claim.
      paper, place: the number of the paper, and where it says so.
      sentence: what is claimed, in our words.
      kind: "paired" (two settings on the same seeds), "all" (each of `all` has to hold),
        "exact" and "deterministic" (a test of ours decides, `check`), "descriptive" (a "share" of
        runs of one setting, or the "level" of a number there).
      role: "primary" (corrected together with the others of its paper) or "exploratory".
      config: file and preset, as `run.py --config` has it, "configs/sparse_parity.py:zipf".
      scale: "small", "medium" or "paper".
      set: fields that both settings have otherwise than the preset.
      treated, baseline_setting: the fields in which the two differ, `[contrast]` in the file.
      baseline: "trains", or "stuck" where the sentence is that it does not.
      statistic: what is compared; see `fields.STATISTICS`.
      metric, value, at, task, prompts: what a statistic is of; see `fields`.
      direction: "less", "greater" or "equal" (within the smallest effect) of treated to baseline.
      horizon: step at which a run that did not get there is censored.
      smallest_effect: the ratio (or difference) that counts; below 1 if the direction is less.
      alpha: two-sided level.
      looks: numbers of seeds after which the data are looked at; the last is the cap.
      all: ids of the parts.
      check: the test that decides, "tests/path.py::name".
      untested: why there is nothing to run, for a claim that nothing here can test yet.
      rates: the pilot at several learning rates, `runs`, and the settings of it, `treated` and
        `baseline`, whose best rates the contrast has; see `best_rates`.
      before: the verdict on the page before there were rules, with its folder.
      pilot: what seeds 0 to 7 showed; written by `reproduce.py --pilot`.
    """

    id: str
    paper: int
    place: str
    sentence: str
    kind: str = "paired"
    role: str = "exploratory"
    config: str = ""
    scale: str = "small"
    set: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    treated: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    baseline_setting: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    baseline: str = "trains"
    statistic: str = ""
    metric: str = ""
    value: float = 0.0
    at: int = 0
    task: str = ""
    prompts: tuple[float, float] = (1.0, 1.0)
    direction: str = "less"
    horizon: int = 0
    smallest_effect: float = 0.0
    alpha: float = 0.05
    looks: tuple[int, ...] = LOOKS
    all: tuple[str, ...] = ()
    check: str = ""
    untested: str = ""
    rates: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    before: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pilot: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def rule(self) -> str:
        """Return the digest of all that decides and is not as it is by default.

        So a field that is added later, with a neutral default, leaves earlier rules as they are.
        """
        plain = dataclasses.asdict(Claim(id="", paper=0, place="", sentence=""))
        content = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in WORDS and value != plain[name]
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def is_run(self) -> bool:
        """Whether runs decide it."""
        return self.kind in ("paired", "descriptive") and not self.untested


def read(path: Path) -> Claim:
    """Return the claim in a file; raises ConfigError with every problem found."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return made(content, str(path))


def made(content: Mapping[str, Any], where: str = "claim") -> Claim:
    """Return the claim of a table; raises ConfigError with every problem found."""
    content, problems = dict(content), []
    contrast = content.pop("contrast", {})
    for mine, theirs in (("treated", "treated"), ("baseline_setting", "baseline")):
        if isinstance(contrast, dict) and theirs in contrast:
            content[mine] = contrast[theirs]
            contrast = {name: value for name, value in contrast.items() if name != theirs}
    if contrast:
        problems.append(f"contrast: has treated and baseline, not {contrast}")
    known = {f.name: f for f in dataclasses.fields(Claim)}
    for name in [*content]:
        if name not in known:
            written = ["contrast", *(n for n in known if n not in ("treated", "baseline_setting"))]
            problems.append(f"{name}: no such field{hint(name, written)}")
            del content[name]
    for name, field in known.items():
        if name not in content and field.default is field.default_factory is dataclasses.MISSING:
            problems.append(f"{name}: is missing")
    for name, value in content.items():
        if problem := fields.problem(name, value):
            problems.append(problem)
        elif isinstance(value, list):
            content[name] = tuple(value)
    if not problems:
        claim = Claim(**content)
        problems = fields.conflicts(claim) + _of_pilot(claim)
    if problems:
        raise ConfigError(*(f"{where}: {problem}" for problem in problems))
    # A pilot that failed is of the rule that it was of: a changed one has a pilot to come.
    return claim if claim.pilot.get("rule") == claim.rule else dataclasses.replace(claim, pilot={})


def _of_pilot(claim: Claim) -> list[str]:
    """Return what is wrong with a claim's pilot."""
    if not claim.pilot:
        return []
    if not isinstance(claim.pilot.get("passed"), bool) or "rule" not in claim.pilot:
        return ["pilot: says no rule, or not whether it passed; reproduce.py writes it"]
    if claim.pilot["passed"] and claim.pilot["rule"] != claim.rule:
        return [
            "pilot: it passed for another rule than is in the file now; restore that, or make the "
            "changed one another claim, with an id and a pilot of its own"
        ]
    return []


def read_all(folder: Path) -> dict[str, Claim]:
    """Return the claims in all folders of a folder, by their ids; raises as `read` does."""
    claims: dict[str, Claim] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*/*.toml")):
        try:
            claim = read(path)
        except ConfigError as error:
            problems += error.problems
            continue
        if claim.id in claims:
            problems.append(f"{path}: id = {claim.id!r} is another claim's")
        claims[claim.id] = claim
    if problems := problems + wrong_parts(claims):
        raise ConfigError(*problems)
    return dict(sorted(claims.items(), key=lambda item: _order(item[0])))


def wrong_parts(claims: Mapping[str, Claim]) -> list[str]:
    """Return which parts of compound claims are not there, or compound themselves."""
    problems = []
    for claim in claims.values():
        for part in claim.all:
            if part not in claims:
                problems.append(f"claim {claim.id}: all: no claim {part}{hint(part, claims)}")
            elif claims[part].kind == "all":
                problems.append(f"claim {claim.id}: all: {part} has parts of its own")
    return problems


def _order(name: str) -> tuple[Any, ...]:
    paper, _, row = name.partition(".")
    digits = row.rstrip("abcdefghijklmnopqrstuvwxyz")
    if paper.isdigit() and digits.isdigit():
        return (0, int(paper), int(digits), row)
    return (1, name)
