"""What is to be run next for claims: the look that pays most, and pilots where no look is due."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from plateaus.evidence import kept, pilot
from plateaus.evidence.claim import FIRST_SEED, Claim
from plateaus.evidence.verdict import Verdict

GUESS = 10.0  # seconds of 10,000 steps of a run of which nothing is known yet


@dataclasses.dataclass(frozen=True)
class Job:
    """Seeds of the settings of some claims that share a folder of results.

    seconds: what it is likely to take, on one processor; priced: whether runs of it are known.
    worth: claims that it may decide, in looks.
    """

    name: str
    claims: tuple[Claim, ...]
    seeds: range
    seconds: float
    priced: bool
    worth: float

    @property
    def is_pilot(self) -> bool:
        """Whether its seeds are those of a pilot."""
        return self.seeds.start < FIRST_SEED

    @property
    def later(self) -> tuple[bool, bool]:
        """Whether looks come before it, and pilots of primary claims."""
        return self.is_pilot, self.is_pilot and all(c.role != "primary" for c in self.claims)


def jobs(
    claims: Iterable[Claim], verdicts: Mapping[str, Verdict], pilots_only: bool = False
) -> list[Job]:
    """Return what there is to run, the most informative for its seconds first.

    Looks come before pilots, so that a claim whose pilot passed is decided before the next one's
    pilot; pilots of primary claims come before others. Then those of most claims for the seconds,
    a primary one counting twice.

    A claim takes part if it is open: its pilot is missing, or it passed and no look has decided.
    """
    by_name: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.is_run and claim.config and verdicts[claim.id].word in ("open", "not yet rerun"):
            by_name.setdefault(kept.name(claim), []).append(claim)
    found = []
    for name, several in by_name.items():
        without = tuple(c for c in several if not c.pilot)
        if without:
            found.append(_job(name, without, pilot.SEEDS))
        ready = [claim for claim in several if claim.pilot]
        if ready and not pilots_only:
            by_look: dict[int, list[Claim]] = {}
            for claim in ready:
                by_look.setdefault(next_look(claim, verdicts[claim.id].seeds), []).append(claim)
            look = min(by_look)
            now = tuple(by_look[look])
            done = min(verdicts[c.id].seeds for c in now)
            found.append(_job(name, now, range(FIRST_SEED + done, FIRST_SEED + look)))
    return sorted(found, key=lambda job: (*job.later, -job.worth / job.seconds))


def next_look(claim: Claim, seeds: int) -> int:
    """Return the number of seeds at the next look of a claim that has so many."""
    return next((look for look in claim.looks if look > seeds), claim.looks[-1])


def _job(name: str, claims: Sequence[Claim], seeds: range) -> Job:
    known = [c.pilot["minutes_to_cap"] * 60 / (2 * c.looks[-1]) for c in claims if c.pilot]
    each = sum(known) / len(known) if known else GUESS * claims[0].horizon / 10_000
    seconds = each * len(seeds) * _settings(claims)
    worth = sum(1 + (claim.role == "primary") for claim in claims)
    return Job(name, tuple(claims), seeds, max(seconds, 1.0), bool(known), worth)


def _settings(claims: Sequence[Claim]) -> int:
    """Return how many settings the claims have together."""
    arms = [arm for claim in claims for arm in (claim.treated, claim.baseline_setting)]
    return len({tuple(sorted(map(str, arm.items()))) for arm in arms if arm}) or 1
