"""TensorBoard event files, written after the fact: a sink that may fail, never a source of truth.

tensorboardX's `SummaryWriter` hands events to a thread over a bounded queue. When that thread
dies, on a full disk, `add_scalar` blocks for ever, and so does the `close` it registers with
`atexit`: a writer given up on would still hang the process as it ends. So records are written
here without the queue, through tensorboardX's record writer and protocol buffers; and since a
file system can hang too, on a daemon thread with a deadline.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from plateaus import files, paths
from plateaus.report import survival
from plateaus.report.selection import followed
from plateaus.report.statistics import Row
from plateaus.report.table import label

# TensorBoard itself keeps a sample of 1,000 points of a longer curve.
MOST_POINTS = 1000


def write_tensorboard(
    dataset: xr.Dataset,
    rows: Sequence[Row],
    directory: str | os.PathLike[str],
    timeout: float = 30.0,
) -> bool:
    """Write event files, one sub-run per setting, and the hyper-parameters tab.

    Each sub-run holds, for every loss and metric, the mean over the followed runs and the ends
    of its 95% t interval (`test_loss/mean`, `/lower`, `/upper`), and the row's statistics as
    `summary/...`. There are no wall times: in their place stand the optimiser steps, as seconds.
    The folder appears whole, in place of an earlier one, or not at all.

    Args:
      dataset: labelled results.
      rows: its table, from `summarise`.
      directory: the folder to write; its parent must exist.
      timeout: seconds after which the attempt is abandoned.

    Returns True if the folder was written; False, with a warning, if it could not be, whatever
    the reason.
    """
    target = Path(directory)
    aside = files.beside(target)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            files.remove_leftovers(target.parent, f"{target.name}.")
            _write_all(dataset, rows, aside)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True, name="tensorboard")
    thread.start()
    thread.join(timeout)
    try:
        if thread.is_alive():  # the folder aside is left to the next attempt to clear away
            raise TimeoutError(f"not written within {timeout:g} seconds")
        if failure:
            raise failure[0]
        files.replace_folder(aside, target)
    except Exception as error:
        if not thread.is_alive():
            shutil.rmtree(aside, ignore_errors=True)
        warnings.warn(f"no TensorBoard files in {target}: {error!r}", stacklevel=2)
        return False
    return True


def _write_all(dataset: xr.Dataset, rows: Sequence[Row], folder: Path) -> None:
    from tensorboardX import summary
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    folder.mkdir()
    names = [label(row.setting).replace(", ", ",") or "all" for row in rows]
    for row, name in zip(rows, paths.portable(names), strict=True):
        run = folder / name
        run.mkdir()
        numbers = metrics(row)
        # TensorBoard takes a folder of event files by "tfevents" in their names.
        with _records(run / "events.out.tfevents.0.plateaus") as write:
            write(Event(file_version="brain.Event:2"))
            for part in summary.hparams(_hyperparameters(row), numbers):
                write(Event(summary=part))
            for step, values in points(dataset, row):
                entries = [Summary.Value(tag=k, simple_value=v) for k, v in values.items()]
                write(Event(step=step, wall_time=step, summary=Summary(value=entries)))
            finite = {k: v for k, v in numbers.items() if np.isfinite(v)}
            entries = [Summary.Value(tag=k, simple_value=v) for k, v in finite.items()]
            summarised = Summary(value=entries)
            write(Event(step=row.horizon, wall_time=row.horizon, summary=summarised))


@contextlib.contextmanager
def _records(path: Path) -> Iterator[Callable[[Any], None]]:
    """Yield what writes a serialised event to a file; closed, and on the disk, on leaving."""
    from tensorboardX.record_writer import RecordWriter

    writer = RecordWriter(str(path))
    try:
        yield lambda event: writer.write(event.SerializeToString())
        writer.flush()  # not after an error: where the disk is full, say, it would hide why
    finally:
        writer.close()


def _hyperparameters(row: Row) -> dict[str, Any]:
    return {k: v if isinstance(v, str | bool) else float(v) for k, v in row.setting.items()}


def metrics(row: Row) -> dict[str, float]:
    """Return the row's numbers for the hyper-parameters tab; those undefined stay empty there."""
    return {
        "summary/escaped_fraction": row.escaped / row.runs if row.runs else float("nan"),
        "summary/escape_step_median": row.escape.value,
        "summary/plateau_mean": row.plateau.value,
        "summary/plateau_ratio": row.ratio.value,
        "summary/sooner": row.sooner,
        "summary/p": row.p_value,
        "summary/final_test_loss": row.final_loss.value,
        "summary/diverged": float(row.diverged),
        "summary/unfinished": float(row.unfinished),
    }


def points(dataset: xr.Dataset, row: Row) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield (step, tag -> value): each curve's mean and band, at no more than 1,000 steps."""
    for name, variable in dataset.data_vars.items():
        axis = variable.dims[-1]
        if axis not in ("step", "eval_step"):
            continue
        curves = followed(dataset, str(name), row)
        steps = dataset[axis].values.astype(int)
        thin = slice(None, None, -(-steps.size // MOST_POINTS) or 1)
        mean, half = survival.mean_band(curves)
        for step, m, h in zip(steps[thin].tolist(), mean[thin], half[thin], strict=True):
            named = (("mean", m), ("lower", m - h), ("upper", m + h))
            values = {f"{name}/{part}": float(x) for part, x in named if np.isfinite(x)}
            if values:
                yield step, values
