"""What is trained: runs of sparse parity, and of small transformers on linear regression."""

from __future__ import annotations

from typing import NamedTuple

from plateaus.config import presets

LEAST_PHASES = 5
CONFIGS = presets.REPOSITORY / "experiments" / "configs"


class Job(NamedTuple):
    """Runs of one program, and how many of them and of their steps are timed."""

    title: str
    config: str  # the file of the config
    words: tuple[str, ...]  # of a command line of run.py
    counts: tuple[int, ...]  # numbers of runs
    run_steps: int  # of a timed slice, about, those of a padded chunk included
    width: int  # runs of a chunk on a CPU
    phase: int  # steps between evaluations


JOBS = {
    "parity": Job(
        "an MLP on sparse parity",
        "sparse_parity.py",
        ("--config.eval_points=256", "--sweep", "optim.learning_rate=0.1"),
        (1, 4, 16, 64, 256, 1024, 4096),
        120_000,
        16,
        200,
    ),
    "transformer": Job(
        "a small transformer on linear regression",
        "linear_regression.py",
        ("--sweep", "optim.learning_rate=2e-3"),
        (1, 4, 16, 64),
        2_000,
        4,
        50,
    ),
}
QUICK = {"parity": (1, 16), "transformer": (1,)}


def words(job: Job, runs: int) -> list[str]:
    """Return the words of a command line for so many runs.

    >>> words(JOBS["parity"], 16)[-2:]
    ['--seeds', '16']
    """
    lengths = (f"--config.eval_every={job.phase}", f"--config.log_every={job.phase}")
    return [f"--config={CONFIGS / job.config}", *lengths, *job.words, "--seeds", str(runs)]


def steps(job: Job, runs: int, quick: bool) -> int:
    """Return the steps of a timed slice: whole phases, `LEAST_PHASES` at least.

    A chunk that trains for a phase only is timed with what it takes to change chunks.

    >>> steps(JOBS["parity"], 4096, False), steps(JOBS["parity"], 1, False)
    (1000, 7400)
    """
    computed = max(runs, job.width)
    if quick:
        return job.phase
    return job.phase * max(LEAST_PHASES, job.run_steps // (computed * job.phase))
