"""Everything a finished job leaves for a reader: arrays, table, figures, event files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plateaus.experiment import axes, files, folder, instruments, sweep
from plateaus.experiment.plan import Plan
from plateaus.experiment.shapes import shapes_of
from plateaus.experiment.variants import AXIS
from plateaus.report import (
    attention,
    by_task,
    curves,
    figures,
    forest,
    gradients,
    landscape,
    mixing,
    mixing_figures,
    mixing_gram,
    mixing_table,
    robustness,
    sinks,
    statistics,
    store,
    superposition,
    superposition_dynamics,
    superposition_figures,
    superposition_sizes,
    superposition_steps,
    superposition_table,
    table,
    task_figures,
    task_maps,
    task_vectors,
)
from plateaus.report.style import save as save_figure

FIGURES = {  # file -> how it is drawn; None where the results have nothing to show in it
    "plateau": figures.plateau,
    "forest": forest.forest,
    "learning_curves": figures.learning_curves,
    "metrics": curves.metrics,
    "predictors": curves.predictors,
    "prefixes": curves.prefixes,
    "robustness": robustness.robustness,
    "baselines": robustness.baselines,
    "examples": curves.examples,
    "gradient_cosine": gradients.cosine,
    "gradient_layers": gradients.layers,
    "example_gradients": gradients.examples,
    "weight_norms": curves.weight_norms,
    "attention_heads": attention.scores,
    "head_ablation": attention.ablation,
    "heads_by_outcome": attention.by_outcome,
    "head_persistence": attention.persistence,
    "landscape": landscape.landscape,
    "superposition": superposition_figures.mixed_prompts,
    "superposition_dynamics": superposition_dynamics.dynamics,
    "superposition_sizes": superposition_sizes.sizes,
    "task_losses": task_figures.losses,
    "task_mechanism": task_figures.mechanism,
    "task_prefixes": task_figures.prefixes,
    "task_sequences": task_figures.sequences,
    "mixture": mixing_figures.mixture,
    "loss_against_compute": mixing_figures.loss_against_compute,
    "domains": mixing_figures.domains,
    "gram_noise": mixing_gram.gram_noise,
    "task_vectors": task_vectors.task_vectors,
}
TABLES = ("summary.csv", "tasks.csv", "mixing.csv", "superposition.csv", "superposition_steps.csv")
TASK_FIGURES = {  # the same of results by task, which take their table, too
    "task_escapes": task_maps.escapes,
    "task_counts": task_maps.counts,
    "transfer": task_maps.transfer,
}


def write(
    plan: Plan,
    place: Path,
    finished: folder.Finished,
    warn: Callable[[str], None],
) -> None:
    """Write results.nc, summary.csv, figures/ and tensorboard/ from all runs in the folder.

    Each appears whole or not at all; results.nc comes last, and names the runs it shows, so that a
    killed report is written again. TensorBoard files may be given up, with a warning.
    """
    swept = finished.sweep(plan)
    # of settings that ran: at the base value of a swept field nothing need be possible
    configs = [program.config for program in sweep.programs(plan, finished.records)]
    tasks = [shapes_of(config)[0] for config in configs]
    groups = tasks[0].groups
    attributes = {
        "title": plan.title,
        "config": {n: v for n, v in plan.config.items() if n not in ("seeds", *plan.sweep)},
        "swept": list(plan.sweep),
        "baseline": {name: _neutral(plan, swept, name, tasks[0].size) for name in plan.sweep},
        "variants": plan.variants,
        "horizon": plan.config["steps"],
        "contents": finished.contents(plan),
    }
    dataset = store.assemble(
        finished.records,
        swept,
        plan.config["log_every"],
        plan.config["eval_every"],
        attributes,
        axes.axes(tasks),
        _labels(finished.as_observed(plan), groups),
    )
    rows = statistics.summarise(dataset)
    files.write_atomically(place / "summary.csv", table.csv_text(rows).encode())
    if by_tasks := by_task.summarise(dataset, rows):
        files.write_atomically(place / "tasks.csv", by_task.csv_text(by_tasks).encode())
    if mixed := mixing.summarise(dataset, rows):
        files.write_atomically(place / "mixing.csv", mixing_table.csv_text(mixed).encode())
    if answered := superposition.summarise(dataset, rows):
        text = superposition_table.csv_text(answered)
        files.write_atomically(place / "superposition.csv", text.encode())
    if steps := superposition_steps.summarise(dataset, rows):
        text = superposition_steps.csv_text(steps)
        files.write_atomically(place / "superposition_steps.csv", text.encode())
    drawn = {stem: draw(dataset, rows) for stem, draw in FIGURES.items()}
    if by_tasks:
        drawn |= {stem: draw(dataset, rows, by_tasks) for stem, draw in TASK_FIGURES.items()}
    for stem, figure in drawn.items():
        if figure is not None:
            save_figure(figure, place / "figures", stem)
    if not sinks.write_tensorboard(dataset, rows, place / "tensorboard"):
        warn("the TensorBoard files could not be written; everything else is complete")
    files.write_atomically(place / "results.nc", lambda file: store.save(dataset, Path(file.name)))


def _labels(observed: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Any]:
    """Return the names along dimensions, of the groups and of what runs were observed with."""
    return {axes.TASK: groups, **instruments.labels(observed, groups)} if groups else {}


def _neutral(plan: Plan, swept: Mapping[str, tuple[Any, ...]], name: str, size: int) -> Any:
    """Return the value at which a swept field does nothing; all items, `size`, are infinity too.

    Of the variants it is the first of the preset's that is there.
    """
    if name == AXIS:
        return next(variant for variant in plan.variants if variant in swept[AXIS])
    neutral = plan.schema[name].field.neutral
    if name == "data.items" and neutral not in plan.sweep[name]:
        return size
    return neutral


def show(place: Path) -> None:
    """Print the table of a finished folder and where its files are."""
    dataset = store.load(place / "results.nc")
    rows = statistics.summarise(dataset)
    table.show(rows)
    mixing_table.show(mixing.summarise(dataset, rows))
    superposition_table.show(
        superposition.summarise(dataset, rows), superposition_steps.summarise(dataset, rows)
    )
    drawn = [f"figures/{stem}.png" for stem in (*FIGURES, *TASK_FIGURES)]
    for name in (*drawn, *TABLES, "results.nc"):
        if (place / name).exists():
            print(f"  {place / name}")
    print(f"  {place / 'tensorboard'}  (tensorboard --logdir)")
