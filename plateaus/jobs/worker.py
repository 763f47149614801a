"""One chunk of runs on one device, from its checkpoint or from its start to its records."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from plateaus import train
from plateaus.config.plan import Plan
from plateaus.jobs import checkpoint, exactness
from plateaus.jobs.records import AVERAGED, BOUNDS, records_of
from plateaus.jobs.sweep import Chunk
from plateaus.jobs.tracing import Compiled, arguments
from plateaus.measures import plateau

CHECKPOINT_SECONDS = 10.0  # of work between two checkpoints


class Report(NamedTuple):
    """A report to the progress bar after a phase of a chunk."""

    run_steps: int  # of this phase
    escaped: int  # runs since the last report, as are the diverged
    diverged: int
    resumed: int = 0  # run-steps that a checkpoint held already


class _Curves:
    """The measurements of a chunk so far, on the host; arrays [width, time]."""

    def __init__(self, arrays: Mapping[str, np.ndarray], members: int) -> None:
        self.parts = {name: [array] for name, array in arrays.items()}
        self.members = members
        self.escaped, self.diverged = self._counts()

    def add(self, measured: train.Phase) -> None:
        """Append one phase; blocks until the device has computed it."""
        for name, value in measured.windows.items():
            self.parts.setdefault(name, []).append(np.asarray(value))
        for name, value in measured.evaluation.items():
            self.parts[name].append(np.asarray(value)[:, None])

    def arrays(self) -> dict[str, np.ndarray]:
        joined = {name: np.concatenate(parts, axis=1) for name, parts in self.parts.items()}
        self.parts = {name: [array] for name, array in joined.items()}
        return joined

    def _counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each member passes the plateau, and has diverged, by its last losses."""
        last = np.concatenate(self.parts["test_loss"][-AVERAGED:], axis=1)[: self.members]
        bounds = (self.parts[name][0][: self.members, 0] for name in BOUNDS)
        level = plateau.normalised(last, *bounds)
        passed = plateau.passage_step(
            level, np.arange(level.shape[1]), plateau.THRESHOLDS["escape_step"], AVERAGED
        )
        return ~np.isnan(passed), np.isnan(last[:, -1])

    def news(self) -> tuple[int, int]:
        """Return how many members have escaped, and diverged, since the last call."""
        escaped, diverged = self._counts()
        news = (np.sum(escaped & ~self.escaped), np.sum(diverged & ~self.diverged))
        self.escaped, self.diverged = self.escaped | escaped, self.diverged | diverged
        return int(news[0]), int(news[1])


def _named_leaves(state: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {"state" + jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def run_chunk(
    plan: Plan,
    chunk: Chunk,
    programs: Compiled,
    width: int,
    device: jax.Device,
    folder: Path,
    tell: Callable[[Report], None],
    warn: Callable[[str], None],
    stop: threading.Event,
    exactly: exactness.Record,
    inexactly: bool = False,
) -> tuple[dict[str, np.ndarray], exactness.Record] | None:
    """Run a chunk; return its members' records, stacked, and their record of exactness.

    Returns None if stopped before the end. It resumes from the checkpoint in `folder`, if there is
    one, and writes checkpoints there. Metrics of a phase are fetched while the next phase runs.

    Args:
      exactly: the current record of exactness.
      inexactly: whether to go on from a checkpoint that was made under another record.
    """
    config = chunk.program.config
    phases = config["steps"] // config["eval_every"]
    members = len(chunk.members)
    seeds, knobs = jax.device_put(arguments(plan, chunk, width), device)
    laws, constants = programs.laws(seeds, knobs)
    saved = checkpoint.load(folder, warn)
    if saved is not None and _fits(saved[1], chunk, exactly, inexactly, warn):
        arrays, meta = saved
        exactly = exactness.resumed(meta["exactness"], exactly)
        shapes = jax.eval_shape(programs.start, seeds, knobs, laws)[0]
        leaves = [arrays.pop(name) for name in _named_leaves(shapes)]
        state = jax.device_put(jax.tree.unflatten(jax.tree.structure(shapes), leaves), device)
        curves, done = _Curves(arrays, members), meta["phases"]
    else:
        state, measured = programs.start(seeds, knobs, laws)
        first = {name: np.asarray(x)[:, None] for name, x in {**measured, **constants}.items()}
        curves = _Curves({"train_loss": np.zeros((width, 0), np.float32), **first}, members)
        done = 0
    tell(Report(0, *_totals(curves), resumed=done * config["eval_every"] * members))

    def absorb(measured: train.Phase) -> None:
        curves.add(measured)
        tell(Report(config["eval_every"] * members, *curves.news()))

    pending, last_save = None, time.monotonic()
    for number in range(done, phases):
        if stop.is_set() or time.monotonic() - last_save > CHECKPOINT_SECONDS:
            if pending is not None:
                absorb(pending)
                pending = None
            _save(folder, chunk, exactly, number, state, curves, warn)
            last_save = time.monotonic()
            if stop.is_set():
                return None
        state, measured = programs.phase(
            state, seeds, knobs, laws, np.int32(number * config["eval_every"])
        )
        if pending is not None:
            absorb(pending)
        pending = measured
    if pending is not None:
        absorb(pending)
    diverged_at = np.asarray(state.diverged_at)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params)) // width
    arrays = records_of(curves.arrays(), diverged_at, programs.facts, config, members, parameters)
    return arrays, exactly


def _fits(
    meta: Mapping[str, Any],
    chunk: Chunk,
    exactly: exactness.Record,
    inexactly: bool,
    warn: Callable[[str], None],
) -> bool:
    """Return whether a chunk can go on from a checkpoint with this `meta`."""
    recorded = meta.get("exactness", {})
    if meta["chunk"] != chunk.address or recorded.get("width") != exactly["width"]:
        return False
    if (differ := exactness.differences(recorded, exactly)) and not inexactly:
        warn(f"checkpoint passed over, the runs start again: {'; '.join(differ)}")
        return False
    return True


def _totals(curves: _Curves) -> tuple[int, int]:
    return int(np.sum(curves.escaped)), int(np.sum(curves.diverged))


def _save(folder, chunk, exactly, phases, state, curves, warn) -> None:
    """Write a checkpoint; on a full disk there is a warning, and the run goes on."""
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(state).items()}
    meta = {"chunk": chunk.address, "phases": phases, "exactness": exactly}
    try:
        checkpoint.save(folder, {**arrays, **curves.arrays()}, meta)
    except OSError as error:
        warn(f"checkpoint not written: {error}")
