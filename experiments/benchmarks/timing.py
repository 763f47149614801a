"""Timing contenders in turn, and saying on what machine."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plateaus.jobs import devices, provenance

PACKAGES = ("plateaus", "jax", "jaxlib", "flax", "optax", "numpy", "torch")


class Sample(NamedTuple):
    """What one slice of work took: seconds on the clock, and of all threads' processor time."""

    wall: float
    cpu: float


class Trained(NamedTuple):
    """What a slice took, and its losses [runs, steps]."""

    sample: Sample
    losses: np.ndarray


class Contender(NamedTuple):
    """Something to time: `work` takes `run_steps` optimiser steps of single runs, timed."""

    name: str
    run_steps: int
    work: Callable[[], Sample]


def in_turn(contenders: Sequence[Contender], rounds: int) -> dict[str, list[Sample]]:
    """Let each contender do one slice of its work, in turn, for so many rounds.

    A machine's speed drifts; what is compared must be timed side by side. Warm up beforehand.
    """
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            samples[contender.name].append(contender.work())
    return samples


def stopwatch() -> Callable[[], Sample]:
    """Return what tells the time since now, on the clock and of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: Sample(time.perf_counter() - wall, time.process_time() - cpu)


def side_by_side(work: Callable[[int], Any], count: int) -> tuple[Sample, list[Any]]:
    """Do work(0), work(1), ... in a thread each; return what they took together, and returned."""
    results: list[Any] = [None] * count

    def one(place: int) -> None:
        results[place] = work(place)

    threads = [threading.Thread(target=one, args=(place,)) for place in range(count)]
    took = stopwatch()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took(), results


def microseconds(samples: Sequence[Sample], run_steps: int) -> dict[str, Any]:
    """Return the medians per run-step: on the clock, and in processor time.

    On idle cores the clock reads processor time / threads; where it reads more, threads wait for
    one another, or for other processes.

    >>> microseconds([Sample(1.0, 2.0), Sample(4.0, 2.0), Sample(2.0, 3.0)], 1_000_000)["wall_us"]
    2.0
    """
    scale = 1e6 / run_steps
    return {
        "wall_us": statistics.median(s.wall for s in samples) * scale,
        "wall_us_range": [f(s.wall for s in samples) * scale for f in (min, max)],
        "cpu_us": statistics.median(s.cpu for s in samples) * scale,
        "rounds": len(samples),
    }


def ratios(
    samples: Mapping[str, Sequence[Sample]], over: Contender, under: Contender
) -> dict[str, float]:
    """Return the medians, over the rounds, of one contender's time a run-step over another's."""
    pairs = list(zip(samples[over.name], samples[under.name], strict=True))
    scale = under.run_steps / over.run_steps
    return {
        "wall": scale * statistics.median(a.wall / b.wall for a, b in pairs),
        "cpu": scale * statistics.median(a.cpu / b.cpu for a, b in pairs),
    }


def peak_mib() -> float:
    """Return the largest resident memory this process has had (MiB)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def load() -> list[float]:
    """Return the load averages over 1, 5 and 15 minutes."""
    return [round(x, 2) for x in os.getloadavg()]


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, cores, system, versions, commit, flags."""
    return {
        "processor": devices.processor(),
        "cores": devices.cores(),
        **provenance.origin(PACKAGES),
        "xla_flags": os.environ["XLA_FLAGS"].split() if "XLA_FLAGS" in os.environ else [],
    }


def circumstances(result: Mapping[str, Any]) -> Iterator[str]:
    """Return what every table begins with: the machine, the versions, the commit, the load."""
    machine = result["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    yield f"{machine['processor']}, {machine['cores']} cores; {versions}"
    yield (
        f"commit {machine['commit']}{' (modified)' if machine['dirty'] else ''}; load "
        f"{machine['load_before'][0]} before, {result['load_after'][0]} after; "
        f"medians of {result['rounds']} rounds"
    )


def parser(doc: str, file: str) -> argparse.ArgumentParser:
    """Return the options of every benchmark: where its JSON goes, how much is timed."""
    options = argparse.ArgumentParser(description=doc.splitlines()[0])
    options.add_argument("--json", type=Path, default=Path(file))
    options.add_argument("--quick", action="store_true", help="tiny sizes; numbers mean little")
    return options


def say(line: str) -> None:
    """Tell who watches what is being done."""
    print(line, file=sys.stderr, flush=True)


def write(
    options: argparse.Namespace,
    lines: Callable[[Mapping[str, Any]], Iterable[str]],
    before: list[float],
    **measured: Any,
) -> None:
    """Print the table and write the JSON of what was measured, with the machine and its load."""
    result = {
        "quick": options.quick,
        "machine": {**machine(), "load_before": before},
        **measured,
        "load_after": load(),
    }
    print(*lines(result), sep="\n")
    options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {options.json}")
