"""What is kept of runs beside their records: their state, to go on from, and their weights.

`checkpoints/states/CHUNK.npz` is a checkpoint of a chunk at its end, from which any of its runs can
go on; CHUNK leaves the number of steps out. `checkpoints/weights/CHUNK-STEP.npz` are the weights of
a chunk's runs, stacked.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from plateaus.config import lives
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import additions, checkpoint, sweep
from plateaus.jobs.sweep import Chunk, Member

_PARAMS = ".params"  # how the names of weights begin, of `train.RunState`


class Kept(NamedTuple):
    """The state of runs that was kept at their end."""

    path: Path
    program: str  # `Program.endless`
    members: list[Member | None]  # by their rows in the file; None of one that the plan has not
    exactness: Mapping[str, Any]
    steps: int  # that they have taken


def named_leaves(state: Any) -> dict[str, Any]:
    """Return the arrays of a state by their places in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {"state" + jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def on_host(state: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a state by their places in it, on the host."""
    return {name: np.asarray(leaf) for name, leaf in named_leaves(state).items()}


def steps_of_weights(
    keep: lives.Keep, config: Mapping[str, Any], event: str | None = None
) -> tuple[int, ...]:
    """Return the steps, evaluations all, at which weights are kept of a run.

    Raises ConfigError for a step that is no evaluation, and where a run ends at an `event`, which
    is known only after it.
    """
    if keep.weights and not keep.steps and event is not None:
        raise ConfigError(
            f"--keep weights with --stop-when {event}: each run ends at its event, and the others "
            "of its chunk train on; give steps, as in --keep weights=100,1000, or --keep state"
        )
    try:
        return lives.evaluations(keep, config["steps"], config["eval_every"])
    except ValueError as error:
        raise ConfigError(f"--keep: {error}") from None


def keep_state(run_folder: Path, chunk: Chunk, arrays: Mapping[str, Any], meta: Any) -> None:
    """Keep a checkpoint of a chunk at its end."""
    folder = run_folder / "checkpoints" / "states"
    folder.mkdir(parents=True, exist_ok=True)
    program = chunk.program
    steps = meta["phases"] * program.config["eval_every"]
    meta = {**meta, "program": program.endless, "members": list(chunk.names), "steps": steps}
    checkpoint.write_arrays(folder / f"{chunk.endless}.npz", arrays, meta)


def states(run_folder: Path, plan: Plan) -> Iterator[Kept]:
    """Yield what is kept of the states of a plan's runs, by their manifests alone."""
    earlier = additions.earlier(run_folder, plan)
    for path in sorted((run_folder / "checkpoints" / "states").glob("*.npz.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            meta = json.loads(path.read_text("utf-8"))["meta"]
            names = [sweep.completed(name, earlier) for name in meta["members"]]
            members = [sweep.unnamed(plan, name) for name in names]
            data = path.with_name(path.name.removesuffix(".json"))
            yield Kept(data, meta["program"], members, meta["exactness"], meta["steps"])


def groups(
    kept: Iterable[Kept], program: sweep.Program, missing: Collection[Member], width: int
) -> Iterator[tuple[Kept, list[Member]]]:
    """Yield the missing runs of a program that can go on from what is kept, as they were grouped.

    They have the current width. Of two states of a run the later one that is of use counts.
    """
    rest = set(missing)
    for one in sorted(kept, key=lambda one: -one.steps):
        runs = [member for member in one.members if member is not None and member in rest]
        fits = one.exactness.get("width") == width and one.steps <= program.config["steps"]
        if runs and fits and one.program == program.endless:
            rest -= {*runs}
            yield one, runs


def state_of(
    kept: Kept, chunk: Chunk, width: int, warn: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return the kept arrays and meta of a chunk's runs, padded as a chunk.

    None, with a warning, if they are damaged.
    """
    try:
        arrays, meta = checkpoint.read_arrays(kept.path)
    except checkpoint.Damaged as error:
        warn(f"kept state passed over, its runs start again: {error}")
        return None
    rows = [kept.members.index(member) for member in chunk.members]
    rows += [rows[-1]] * (width - len(rows))
    return {name: array[rows] for name, array in arrays.items()}, meta


def weights_file(run_folder: Path, chunk: Chunk, step: int) -> Path:
    """Return the file of the weights of a chunk's runs at a step."""
    return run_folder / "checkpoints" / "weights" / f"{chunk.endless}-{step}.npz"


def keep_weights(
    run_folder: Path, chunk: Chunk, wanted: tuple[int, ...], step: int, state: Any
) -> None:
    """Keep the weights of a chunk's runs at a step, if that is one of those `wanted`."""
    if step not in wanted:
        return
    path = weights_file(run_folder, chunk, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    members = len(chunk.members)
    arrays = {
        name.removeprefix(f"state{_PARAMS}"): np.asarray(leaf)[:members]
        for name, leaf in named_leaves(state).items()
        if name.startswith(f"state{_PARAMS}")
    }
    width = len(np.asarray(state.diverged_at))
    meta = {"members": list(chunk.names), "step": step, "width": width}
    checkpoint.write_arrays(path, arrays, meta)
