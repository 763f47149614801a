"""The results of runs that are still under way: written every minute or so, from checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable

from plateaus.information import Unknown, informative
from plateaus.jobs import devices, results, unfinished
from plateaus.jobs.budget import Budget
from plateaus.jobs.finished import Finished
from plateaus.jobs.job import Job
from plateaus.jobs.records import Facts
from plateaus.jobs.sweep import Chunk

SECONDS = 60.0  # between two reports
SHARE = 0.02  # of the time of all processors, at most, for reports


def so_far(job: Job) -> Finished:
    """Return the finished runs and, until their last checkpoints, those under way."""

    def facts(chunk: Chunk) -> tuple[Facts, int]:
        address = chunk.program.address
        return job.compiled[address].facts, job.held[address].parameters

    complete = job.finished.complete(job.options.stop_when)
    missing = tuple(chunk for chunk in job.chunks if not {*chunk.members} <= complete)
    return job.finished.beside(unfinished.records(job.plan, job.place, missing, facts))


class Reports:
    """Writes the results of a job now and then; a failure is one warning."""

    def __init__(
        self,
        job: Job,
        budget: Budget,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job, self._budget, self._warn, self._clock = job, budget, warn, clock
        self._next, self.seconds = clock() + SECONDS, 0.0  # that the last report took
        self._failed = False

    def __call__(self) -> None:
        """Write the results if it is time."""
        began = self._clock()
        if began < self._next or self._budget.left() < 2 * self.seconds:
            return
        written = informative(self._write)()
        if isinstance(written, Unknown):
            if not self._failed:
                self._warn(f"no results of runs under way for now: {written.reason}")
            self._failed, self._next = True, self._clock() + SECONDS
            return
        self.seconds = self._clock() - began
        self._next = self._clock() + max(SECONDS, self.seconds / SHARE / devices.cores())

    def _write(self) -> None:
        both = so_far(self._job)
        if both.records:
            results.write(self._job.plan, self._job.place, both, lambda line: None)
