"""Claims taken to their verdicts: runs made by run.py, kept, judged, until a budget is spent."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from plateaus.config.schema import ConfigError
from plateaus.evidence import (
    best_rates,
    kept,
    observed,
    pilot,
    queue,
    rows,
    told,
    union,
    verdicts,
)
from plateaus.evidence.claim import Claim, read
from plateaus.evidence.verdict import Verdict

SPARE = 20.0  # seconds that run.py may take beyond its budget
STOPPED = (130, 143)  # exit codes where somebody did so
LEAST = 30.0  # seconds below which no command is begun


def work(
    places: Mapping[str, Path],
    claims: Mapping[str, Claim],
    chosen: Sequence[str],
    results: Path,
    runs: Path,
    seconds: float | None,
    pilots_only: bool,
    tell: Callable[[str], None],
) -> tuple[dict[str, Verdict], list[str]]:
    """Run what the chosen claims need; return all verdicts, and what could not be run.

    It stops when the time is spent. What fails holds up no other claim.

    Args:
      places: file of each claim, where its pilot is written.
      claims: all of them, since Holm's correction is over a paper.
      chosen: ids of those that are to be decided, parts of compound claims among them.
      results: the folder of kept results.
      runs: the folder in which run.py works.
      seconds: the budget; None for no end.
      pilots_only: whether to run no seed from 1000 on.
      tell: shows a line.
    """
    began, claims, before = time.monotonic(), dict(claims), None
    failed: dict[str, str] = {}  # by the folder of results
    while True:
        judged = verdicts.judge(claims, results)
        waiting = queue.jobs([claims[name] for name in chosen], judged, pilots_only)
        waiting = [job for job in waiting if job.name not in failed]
        remaining = None if seconds is None else seconds - (time.monotonic() - began)
        if not waiting:
            return judged, [*failed.values()]
        if remaining is not None and remaining < LEAST + SPARE:
            spare = f"{max(remaining, 0):.0f} s of the budget are left"
            tell(f"{spare}: too few for {waiting[0].name}")
            return judged, [*failed.values()]
        job = waiting[0]
        if (job.name, job.seeds) == before:  # run.py has said which of them failed
            failed[job.name] = f"{job.name}: runs of seeds {job.seeds.start} on are missing still"
            continue
        before = job.name, job.seeds
        tell(told.plan(job))
        options = [*kept.options(job.claims), "--seeds", f"{job.seeds.start}:{job.seeds.stop}"]
        options += ["--workdir", str(runs / job.name)]
        if remaining is not None:
            options += ["--budget", f"{remaining - SPARE:.0f}s"]
        tell("  run.py " + " ".join(options))
        code = _code([sys.executable, "-m", "plateaus", "run", *options])
        if code in STOPPED:
            raise ConfigError(f"{job.name}: run.py was stopped; the same command goes on")
        if code not in (0, 1):  # 1: some of the runs diverged
            failed[job.name] = f"{job.name}: run.py ended with {code}; see above"
            continue
        try:
            union.add(results / job.name, runs / job.name)
        except ConfigError as error:
            failed[job.name] = error.problems[0]
            continue
        if job.is_pilot:
            whole = [_with_pilot(c, places[c.id], results / job.name) for c in job.claims]
            claims |= {claim.id: claim for claim in whole if claim is not None}
            if None in whole and seconds is not None:
                tell(f"{job.name}: the budget was spent before the pilot was whole")
                return verdicts.judge(claims, results), [*failed.values()]


def refusal(job: queue.Job) -> str:
    """Return what run.py says against a job's options, read as before a run; "" if nothing."""
    command = [sys.executable, "-m", "plateaus", "run", *kept.options(job.claims), "--fields"]
    read_only = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    return read_only.stderr.strip() if read_only.returncode else ""


def _code(command: Sequence[str]) -> int:
    """Return the exit code of a command, which is let to save what it has where it is stopped."""
    with subprocess.Popen(command) as process:
        before = signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal tells both
            process.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)


def _with_pilot(claim: Claim, path: Path, folder: Path) -> Claim | None:
    """Write the pilot into the claim's file and return the claim; None if runs are missing."""
    try:
        read_rows = rows.of_folder(claim, folder)
        found = observed.observed(claim, read_rows.rows, pilot.SEEDS.__contains__)
    except ConfigError as error:  # a column that is not recorded: no regime of this claim
        pilot.write(path, {"rule": claim.rule, "passed": False, "why": error.problems[0]})
        return read(path)
    if not {*pilot.SEEDS} <= {*found.seeds[found.counted].tolist()}:
        return None
    table = pilot.of(claim, found, read_rows.grid)
    if wrong := best_rates.problems(claim, folder.parent):
        why = "; ".join(reason for reason in (table["why"], *wrong) if reason)
        table |= {"passed": False, "why": why}
    pilot.write(path, {**table, "commit": read_rows.commit, "device": read_rows.device})
    return read(path)
