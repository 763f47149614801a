"""Results of a run folder sent to Weights & Biases, where somebody asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plateaus.config.schema import ConfigError
from plateaus.report import sinks, statistics, store
from plateaus.report.table import label

MISSING = "Weights & Biases is not installed: run `pip install 'plateaus[wandb]'`"


def mirror(folder: Path, project: str) -> int:
    """Send each setting of a run folder as a run of a project; return how many were sent.

    A run has the setting as its config, the numbers of its row as its summary, and the mean of each
    curve with its band by step, as TensorBoard has them. Sent again, it takes the place of itself.
    Where W&B sends it, or whether it stays on this disk, is set as for any of its programs
    (WANDB_MODE=offline).

    Raises ConfigError where the package is missing, and for a folder without results.
    """
    try:
        import wandb
    except ImportError as error:
        raise ConfigError(MISSING) from error
    if not (folder / "results.nc").is_file():
        raise ConfigError(f"{folder}: no finished run folder: it has no results.nc")
    dataset = store.load(folder / "results.nc")
    rows = statistics.summarise(dataset)
    for i, row in enumerate(rows):
        run: Any = wandb.init(
            project=project,
            group=folder.resolve().name,
            name=label(row.setting) or "all",
            id=f"{folder.resolve().name}-{i}",
            config=dict(row.setting),
            resume="allow",
            reinit=True,
        )
        by_step: dict[int, dict[str, float]] = {}
        for step, values in sinks.points(dataset, row):
            by_step.setdefault(step, {}).update(values)
        for step in sorted(by_step):  # W&B takes steps in order only
            run.log(by_step[step], step=step)
        run.summary.update(sinks.metrics(row))
        run.finish()
    return len(rows)
