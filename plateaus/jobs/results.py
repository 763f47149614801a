"""Everything a finished job leaves for a reader: arrays, table, figures, event files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plateaus.build.recipes import make_recipe
from plateaus.config.plan import Plan
from plateaus.config.variants import AXIS
from plateaus.groups import SUFFIX
from plateaus.jobs import files, folder
from plateaus.measures import registry as instruments
from plateaus.measures.attention import figure as attention
from plateaus.measures.by_task import figures as task_figures
from plateaus.measures.by_task import maps as task_maps
from plateaus.measures.by_task import rows as by_task
from plateaus.measures.curvature import figure as landscape
from plateaus.measures.gradients import figure as gradients
from plateaus.measures.mixing import (
    figure_gram as mixing_gram,
)
from plateaus.measures.mixing import (
    figures as mixing_figures,
)
from plateaus.measures.mixing import (
    rows as mixing,
)
from plateaus.measures.mixing import (
    table as mixing_table,
)
from plateaus.measures.superposition import (
    figure as superposition_figures,
)
from plateaus.measures.superposition import (
    figure_dynamics as superposition_dynamics,
)
from plateaus.measures.superposition import (
    figure_sizes as superposition_sizes,
)
from plateaus.measures.superposition import (
    rows as superposition,
)
from plateaus.measures.superposition import (
    steps as superposition_steps,
)
from plateaus.measures.superposition import (
    table as superposition_table,
)
from plateaus.measures.task_vectors import figure as task_vectors
from plateaus.report import curves, figures, forest, robustness, sinks, statistics, store, table
from plateaus.report.style import save as save_figure
from plateaus.types import Task

TASK = "task"  # the dimension of groups

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
    attributes = {
        "title": plan.title,
        "config": {n: v for n, v in plan.config.items() if n not in ("seeds", *plan.sweep)},
        "swept": list(plan.sweep),
        "baseline": {name: _neutral(plan, swept, name) for name in plan.sweep},
        "variants": plan.variants,
        "horizon": plan.config["steps"],
        "contents": finished.contents(plan),
    }
    task = make_recipe(plan.config, frozenset()).task
    names = task.group_names
    dataset = store.assemble(
        finished.records,
        swept,
        plan.config["log_every"],
        plan.config["eval_every"],
        attributes,
        axes(task),
        {TASK: names, **instruments.labels(plan.config, names)} if names else {},
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


def axes(task: Task) -> dict[str, str | tuple[str, ...]]:
    """Return the dimensions of what has its own: instruments', metrics', and the groups'."""
    own: dict[str, str | tuple[str, ...]] = dict(task.axes)
    if task.groups:
        by_group = {f"{name}{SUFFIX}": (TASK, axis) for name, axis in task.axes.items()}
        own |= {SUFFIX: TASK, **by_group}
    return instruments.AXES | own


def _neutral(plan: Plan, swept: Mapping[str, tuple[Any, ...]], name: str) -> Any:
    """Return the value at which a swept field does nothing; all items are as good as infinity.

    Of the variants it is the first of the preset's that is there.
    """
    if name == AXIS:
        return next(variant for variant in plan.variants if variant in swept[AXIS])
    neutral = plan.schema[name].field.neutral
    if name == "data.items" and neutral not in plan.sweep[name]:
        return make_recipe(plan.config, frozenset()).task.size
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
