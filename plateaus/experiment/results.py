"""Everything a finished job leaves for a reader: arrays, table, figures, event files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from plateaus.experiment import files, folder
from plateaus.experiment.schema import Entry, Plan
from plateaus.report import figures, sinks, statistics, store, table

STEMS = ("plateau", "learning_curves")


def write(
    schema: Mapping[str, Entry],
    plan: Plan,
    place: Path,
    finished: folder.Finished,
    warn: Callable[[str], None],
) -> None:
    """Write results.nc, summary.csv, figures/ and tensorboard/ from all runs in the folder.

    Each appears whole or not at all; results.nc comes last, and names the runs it shows, so that a
    killed report is written again. TensorBoard files may be given up, with a warning.
    """
    attributes = {
        "title": plan.title,
        "config": {n: v for n, v in plan.config.items() if n not in ("seeds", *plan.sweep)},
        "swept": list(plan.sweep),
        "baseline": {name: schema[name].field.neutral for name in plan.sweep},
        "horizon": plan.config["steps"],
        "contents": finished.contents(plan),
    }
    dataset = store.assemble(
        finished.records,
        finished.sweep(plan),
        plan.config["log_every"],
        plan.config["eval_every"],
        attributes,
    )
    rows = statistics.summarise(dataset)
    files.write_atomically(place / "summary.csv", table.csv_text(rows).encode())
    for stem, draw in (("plateau", figures.plateau), ("learning_curves", figures.learning_curves)):
        figures.save(draw(dataset, rows), place / "figures", stem)
    if not sinks.write_tensorboard(dataset, rows, place / "tensorboard"):
        warn("the TensorBoard files could not be written; everything else is complete")
    files.write_atomically(place / "results.nc", lambda file: store.save(dataset, Path(file.name)))


def show(place: Path) -> None:
    """Print the table of a finished folder and where its files are."""
    table.show(statistics.summarise(store.load(place / "results.nc")))
    for name in ("figures/plateau.png", "figures/learning_curves.png", "summary.csv", "results.nc"):
        print(f"  {place / name}")
    print(f"  {place / 'tensorboard'}  (tensorboard --logdir)")
