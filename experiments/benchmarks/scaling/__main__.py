"""What a run costs by how many there are: clock and memory, from one run to thousands.

    python -m experiments.benchmarks.scaling [--json FILE] [--quick]

Time is that of run.py's chunks on all devices, of a run-step. Memory is that of all runs in one
program, measured beside what the compiler plans; it is compared where the plan is of 32 MiB or
more, below which a process's other pages hide it. Each number of runs has a process of its own.
A figure goes beside the JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks import timing
from experiments.benchmarks.processes import Process
from experiments.benchmarks.scaling.jobs import JOBS, QUICK

FORMAT = 1
LEAST_MIB = 32.0  # of a plan that is compared
WITHIN = 0.2


def measure(name: str, runs: int, quick: bool) -> dict[str, Any]:
    """Return the facts of so many runs of a job; raises `processes.Unavailable`."""
    module = "experiments.benchmarks.scaling.worker"
    worker = Process(name, module, name, str(runs), "quick" if quick else "full")
    try:
        return {"runs": runs, **worker.ready()}
    finally:
        worker.close()


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Return the table of the results."""
    yield from timing.circumstances(result)
    yield "us: of a run-step; MiB: of all runs in one program, beyond what is held once compiled"
    for job in result["jobs"]:
        first = job["rows"][0]
        yield ""
        yield f"{job['title']}; {first['devices']} device(s), chunks of {first['width']} runs"
        yield f"{'runs':>6}{'us':>10}{'cpu us':>10}{'planned MiB':>13}{'measured':>10}  ratio"
        yield from map(_line, job["rows"])


def _line(row: Mapping[str, Any]) -> str:
    line = f"{row['runs']:6}{row['wall_us']:10.2f}{row['cpu_us']:10.2f}"
    line += f"{row['planned_mib']:13.1f}{row['peak_mib']:10.1f}"
    if row["planned_mib"] < LEAST_MIB:
        return line
    ratio = row["peak_mib"] / row["planned_mib"]
    met = "met" if abs(ratio - 1) <= WITHIN else "NOT met"
    return f"{line}  {ratio:.2f}; aim within {WITHIN:.0%}: {met}"


def draw(jobs: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw time and memory over the number of runs; return the file."""
    from matplotlib.figure import Figure

    from plateaus.report.style import looks_of, save, styled

    with styled():
        figure = Figure(figsize=(7.0, 2.8), layout="constrained")
        time, memory = figure.subplots(1, 2)
        for job, look in zip(jobs, looks_of([j["name"] for j in jobs]).values(), strict=True):
            runs = [row["runs"] for row in job["rows"]]
            mark = {"marker": look.marker, "ms": 4, "label": job["title"]}
            time.plot(runs, [row["wall_us"] for row in job["rows"]], **look.line, **mark)
            memory.plot(runs, [row["peak_mib"] for row in job["rows"]], **look.line, **mark)
            planned = [row["planned_mib"] for row in job["rows"]]
            memory.plot(runs, planned, color=look.color, lw=0.7, label="as planned")
        for axes, title in ((time, "microseconds of a run-step"), (memory, "MiB of one program")):
            axes.set(xscale="log", yscale="log", xlabel="runs", title=title)
        memory.legend()
        files = save(figure, path.parent, path.stem)
    return next(file for file in files if file.suffix == ".png")


def main(argv: Sequence[str]) -> int:
    """Measure everything, print the table, write the JSON and the figure."""
    options = timing.parser(__doc__, "benchmark-scaling.json").parse_args(argv)
    load, jobs = timing.load(), []
    for name, job in JOBS.items():
        rows = []
        for runs in QUICK[name] if options.quick else job.counts:
            timing.say(f"{job.title}: {runs} runs")
            rows.append(row := measure(name, runs, options.quick))
            timing.say(_line(row))
        jobs.append({"name": name, "title": job.title, "rows": rows})
    timing.write(options, lines, load, format=FORMAT, rounds=3, jobs=jobs)
    print(f"figure: {draw(jobs, options.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
