"""One chunk of runs on one device, from its checkpoint or from its start to its records."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from plateaus.build import mixing_cost
from plateaus.config.plan import Options, Plan
from plateaus.jobs import checkpoint, endings, exactness, keeping
from plateaus.jobs.curves import Curves
from plateaus.jobs.records import records_of
from plateaus.jobs.sweep import Chunk
from plateaus.jobs.tracing import Compiled, arguments

CHECKPOINT_SECONDS = 10.0  # of work between two checkpoints


class Report(NamedTuple):
    """A report to the progress bar after a phase of a chunk."""

    run_steps: int  # of this phase
    escaped: int  # runs since the last report, as are the diverged
    diverged: int
    resumed: int = 0  # run-steps that a checkpoint held already, or that are not needed
    losses: np.ndarray | None = None  # test losses at new evaluations, [run, evaluation]


class Outcome(NamedTuple):
    """A chunk that has come to its end."""

    arrays: dict[str, np.ndarray]  # its members' records, stacked
    exactness: exactness.Record
    seconds: float  # of work, in all sessions, from the start of the chunk to its end


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
    options: Options,
    run_folder: Path,
    kept: keeping.Kept | None = None,
) -> Outcome | None:
    """Run a chunk; return None if stopped before the end.

    It resumes from the checkpoint in `folder` or, failing that, from the `kept` state of its runs,
    and writes checkpoints there. Metrics of a phase are fetched while the next phase runs.

    Args:
      exactly: the current record of exactness.
      options: `allow_inexact_resume`, whether to go on from a checkpoint that was made under
        another record; `stop_when`, the event at which runs end; `keep`, what is kept of them.
      run_folder: where it is kept.
    """
    config = chunk.program.config
    every, members = config["eval_every"], len(chunk.members)
    phases = config["steps"] // every
    began = time.monotonic()
    seeds, knobs = jax.device_put(arguments(plan, chunk, width), device)
    laws, constants = programs.laws(seeds, knobs)
    inexactly, event = options.allow_inexact_resume, options.stop_when
    before = mixing_cost.steps_before(config)
    kept_at = keeping.steps_of_weights(options.keep, config)
    saved = _beginning(folder, kept, chunk, exactly, inexactly, warn)
    seconds = 0.0
    if saved is not None:
        arrays, meta = saved
        exactly = exactness.resumed(meta["exactness"], exactly)
        shapes = jax.eval_shape(programs.start, seeds, knobs, laws)[0]
        leaves = [arrays.pop(name) for name in keeping.named_leaves(shapes)]
        state = jax.device_put(jax.tree.unflatten(jax.tree.structure(shapes), leaves), device)
        curves, done = Curves(arrays, members, every, event, before), meta["phases"]
        seconds = meta.get("seconds", 0.0)
    else:
        state, measured = programs.start(seeds, knobs, laws)
        first = {name: np.asarray(x)[:, None] for name, x in {**measured, **constants}.items()}
        first = {"train_loss": np.zeros((width, 0), np.float32), **first}
        curves, done = Curves(first, members, every, event, before), 0
    before_now = curves.parts["test_loss"][0][:members]
    tell(Report(0, *_totals(curves), resumed=done * every * members, losses=before_now))

    def absorb(measured: Any) -> None:
        curves.add(measured)
        newest = curves.parts["test_loss"][-1][:members]
        tell(Report(every * members, *curves.news(), losses=newest))

    def save(number: int) -> None:
        meta = _meta(chunk, exactly, number, seconds + time.monotonic() - began)
        _save(folder, {**keeping.on_host(state), **curves.arrays()}, meta, warn)

    passed = [step for step in kept_at if step < done * every]
    if missed := [
        str(n) for n in passed if not keeping.weights_file(run_folder, chunk, n).exists()
    ]:
        warn(
            f"no weights of steps before {done * every}, from where runs go on: {', '.join(missed)}"
        )
    pending, last_save = None, time.monotonic()
    number = done
    while number < phases and not curves.over():
        keeping.keep_weights(run_folder, chunk, kept_at, number * every, state)
        if stop.is_set() or time.monotonic() - last_save > CHECKPOINT_SECONDS:
            if pending is not None:
                absorb(pending)
                pending = None
            save(number)
            last_save = time.monotonic()
            if stop.is_set():
                return None
        state, measured = programs.phase(state, seeds, knobs, laws, np.int32(number * every))
        number += 1
        if pending is not None:
            absorb(pending)
        pending = measured
    if pending is not None:
        absorb(pending)
    keeping.keep_weights(run_folder, chunk, kept_at, number * every, state)
    if missed := [str(step) for step in kept_at if step > number * every]:
        warn(f"no weights of steps after {number * every}: the runs ended; {', '.join(missed)}")
    seconds += time.monotonic() - began
    arrays = curves.arrays()
    if options.keep.state:
        meta = _meta(chunk, exactly, number, seconds)
        keeping.keep_state(run_folder, chunk, {**keeping.on_host(state), **arrays}, meta)
    tell(Report(0, 0, 0, resumed=(phases - number) * every * members))
    diverged_at = np.asarray(state.diverged_at)[:members]
    ended = endings.ends(curves.event_steps(), diverged_at, number * every, config["steps"], event)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params)) // width
    records = records_of(arrays, ended, programs.facts, config, members, parameters)
    return Outcome(records, exactly, seconds)


def _beginning(
    folder: Path,
    kept: keeping.Kept | None,
    chunk: Chunk,
    exactly: exactness.Record,
    inexactly: bool,
    warn: Callable[[str], None],
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return the checkpoint that a chunk can go on from, its arrays and meta; None without one."""
    saved = checkpoint.load(folder, warn)
    if saved is not None and saved[1]["chunk"] != chunk.address:
        saved = None
    if saved is None and kept is not None:
        saved = keeping.state_of(kept, chunk, exactly["width"], warn)
    if saved is None:
        return None
    recorded = saved[1].get("exactness", {})
    if recorded.get("width") != exactly["width"]:
        return None
    if (differ := exactness.differences(recorded, exactly)) and not inexactly:
        warn(f"checkpoint passed over, the runs start again: {'; '.join(differ)}")
        return None
    return saved


def _totals(curves: Curves) -> tuple[int, int]:
    return int(np.sum(curves.escaped)), int(np.sum(curves.diverged))


def _meta(chunk: Chunk, exactly: exactness.Record, phases: int, seconds: float) -> dict[str, Any]:
    return {
        "chunk": chunk.address,
        "phases": phases,
        "exactness": dict(exactly),
        "seconds": round(seconds, 3),
        "steps": chunk.program.config["steps"],
    }


def _save(
    folder: Path, arrays: Mapping[str, Any], meta: Mapping[str, Any], warn: Callable[[str], None]
) -> None:
    """Write a checkpoint; on a full disk there is a warning, and the run goes on."""
    try:
        checkpoint.save(folder, arrays, meta)
    except OSError as error:
        warn(f"checkpoint not written: {error}")
