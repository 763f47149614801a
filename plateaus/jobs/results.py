"""The results of a finished job: arrays, tables, figures, event files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plateaus import files
from plateaus.build.soundness import shapes_of
from plateaus.config.plan import Plan
from plateaus.jobs import circumstances, folder, pairs, sweep
from plateaus.jobs.circumstances import SECONDS
from plateaus.jobs.finished import Finished
from plateaus.jobs.records import variables
from plateaus.measures import registry as instruments
from plateaus.measures.figures import (
    FIGURES,
    TABLES,
    drawn,
    kept_files,
    show_tables,
    summaries,
)
from plateaus.report import sinks, statistics, store
from plateaus.report.captions import caption
from plateaus.report.kept_curves import FILE as CURVES
from plateaus.report.kept_runs import FILE as RUNS
from plateaus.report.style import save as save_figure
from plateaus.variables import TASK, Variable


def write(
    plan: Plan,
    place: Path,
    finished: Finished,
    warn: Callable[[str], None],
) -> None:
    """Write results.nc, runs.csv, curves.csv.gz, the tables, figures/ and tensorboard/ of all runs.

    Each figure has its caption beside it, a text of the same name.
    Each appears whole or not at all. results.nc comes last and names the runs in it, so that an
    interrupted report is written again. If the TensorBoard files fail, there is only a warning.
    """
    swept, contents, observed = finished.sweep(), finished.contents(), finished.as_observed()
    ran = plan.resolved._replace(config=sweep.setting(plan, next(iter(finished.records))))
    task, _ = shapes_of(ran.sections["task"], ran.spec("task"))
    attributes = {
        "title": plan.title,
        "config": {n: v for n, v in plan.config.items() if n not in ("seeds", *plan.sweep)},
        "swept": list(plan.sweep),
        "baseline": {name: pairs.neutral(plan, swept, name, task.size) for name in plan.sweep},
        "variants": plan.variants,
        "horizon": plan.config["steps"],
        "contents": contents,
    }
    where_made, circumstances_of = circumstances.of_runs(finished)
    declared = _variables(plan, finished) | where_made
    undeclared = {name for record in finished.records.values() for name in record} - {*declared}
    if undeclared:
        names = ", ".join(sorted(undeclared))
        warn(f"results.nc leaves out what no instrument or task declares any more: {names}")
    records = {
        member: {name: value for name, value in record.items() if name in declared}
        | circumstances_of[member]
        for member, record in finished.records.items()
    }
    groups = task.group_names
    labels = ({TASK: groups} if groups else {}) | instruments.labels(observed, groups)
    intervals = plan.config["log_every"], plan.config["eval_every"]
    dataset = store.assemble(records, swept, *intervals, attributes, declared, labels)
    rows = statistics.summarise(dataset)
    for file, content in kept_files(dataset, rows).items():
        files.write_atomically(place / file, content)
    tables = summaries(dataset, rows)
    for file, summary in tables.items():
        if summary:
            files.write_atomically(place / file, TABLES[file].csv(summary).encode())
    commits = folder.commits(place)
    for stem, figure in drawn(dataset, rows, tables).items():
        save_figure(figure, place / "figures", stem)
        text = caption(FIGURES[stem].draw, dataset, rows, commits)
        files.write_atomically(place / "figures" / f"{stem}.md", f"{text}\n".encode())
    if not sinks.write_tensorboard(dataset, rows, place / "tensorboard"):
        warn("the TensorBoard files could not be written; everything else is complete")
    timeless = dataset.drop_vars(SECONDS, errors="ignore")  # equal runs make equal results
    files.write_atomically(place / "results.nc", lambda file: store.save(timeless, Path(file.name)))


def _variables(plan: Plan, finished: Finished) -> dict[str, Variable]:
    """Return the variables that the runs in a folder may have recorded, over all their settings."""
    one_each = {member.values: member for member in finished.records}
    declared: dict[str, Variable] = {}
    for member in one_each.values():
        declared |= variables(plan.resolved._replace(config=sweep.setting(plan, member)))
    return declared


def reported(place: Path) -> str | None:
    """Return the digest of the runs in a folder's results; None where a file is missing."""
    outputs = ("results.nc", RUNS, CURVES, "summary.csv", "figures", "tensorboard", "config.json")
    if not all((place / name).exists() for name in outputs):
        return None
    try:
        return store.load(place / "results.nc").attrs["contents"]
    except (OSError, KeyError, ValueError):
        return None


def show(place: Path) -> None:
    """Print the tables of a finished folder and where its files are."""
    dataset = store.load(place / "results.nc")
    show_tables(dataset, statistics.summarise(dataset))
    names = (*(f"figures/{stem}.png" for stem in FIGURES), *TABLES, RUNS, CURVES, "results.nc")
    for name in names:
        if (place / name).exists():
            print(f"  {place / name}")
    print(f"  {place / 'tensorboard'}  (tensorboard --logdir)")
