"""The weights that a run folder keeps: loaded, and measured without training again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from plateaus.build.recipes import make_recipe
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.config.values import shown
from plateaus.jobs import additions, checkpoint, sweep, tracing
from plateaus.jobs.endings import AT_EVENT
from plateaus.jobs.finished import Finished
from plateaus.jobs.recorded import plan_of
from plateaus.jobs.records import variables
from plateaus.measures import registry as instruments
from plateaus.recipe import Recipe
from plateaus.report import store
from plateaus.types import streams
from plateaus.variables import EVALUATIONS, TASK


class Weights(NamedTuple):
    """The weights of one run at one step.

    Fields:
      setting: swept field -> value.
      params: as `apply` takes them; arrays on the host.
      apply: (params, inputs of one example) -> (predictions, ...), the model's function.
    """

    setting: dict[str, Any]
    seed: int
    step: int
    params: Any
    apply: Any

    def __repr__(self) -> str:
        place = [f"{name}={shown(value)}" for name, value in self.setting.items()]
        count = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        return f"Weights({', '.join(place)}; seed {self.seed}, step {self.step}: {count} numbers)"


class _File(NamedTuple):
    """The runs of one program in one file of weights, at one step."""

    program: sweep.Program
    members: tuple[sweep.Member, ...]
    step: int
    width: int  # of their chunk
    params: Any  # stacked


def load(folder: str | Path) -> list[Weights]:
    """Return all weights that a run folder keeps, by setting, seed and step.

    `--keep weights` keeps them while runs train:

        from plateaus.jobs import weights
        last = weights.load("runs/sparse_parity-zipf")[-1]

    Raises ConfigError where it is no run folder, or keeps no weights.
    """
    plan = plan_of(Path(folder))
    runs: dict[tuple[sweep.Member, int], Weights] = {}
    for part, recipe in _files(plan, Path(folder)):
        for i, member in enumerate(part.members):
            setting = dict(zip(plan.sweep, member.values, strict=True))
            params = jax.tree.map(lambda leaf, i=i: leaf[i], part.params)
            one = Weights(setting, member.seed, part.step, params, recipe.model.apply)
            runs[member, part.step] = one
    order = {member: place for place, member in enumerate(sweep.members(plan))}
    last = len(order)
    places = sorted(runs, key=lambda run: (order.get(run[0], last), run[1]))
    return [runs[place] for place in places]


def measure(folder: str | Path, **fields: Any) -> xr.Dataset:
    """Return what a command records at evaluations, of the kept weights, without training.

    `fields` are those that turn instruments on, as `weight_norms=True`. The results are those of a
    run that was so observed while it trained, but for last places: XLA fuses sums with what stands
    around them. Measures of training batches, which follow from more than weights, cannot be had.

    Raises ConfigError for other fields, and where it is no run folder or keeps no weights.
    """
    plan = plan_of(Path(folder), fields)
    if others := sorted({*fields} - plan.observing):
        raise ConfigError(*(f"{name}: is no field that only observes" for name in others))
    records: dict[Any, dict[str, np.ndarray]] = {}
    files = list(_files(plan, Path(folder)))
    steps = sorted({part.step for part, _ in files})
    declared: dict[str, Any] = {}
    task = None
    for part, recipe in files:
        if recipe.batch_probes:
            raise ConfigError("measures of training batches follow from more than weights")
        declared |= variables(part.program.resolved)
        task = recipe.task
        measured = _evaluated(plan, part, recipe)
        for i, member in enumerate(part.members):
            record = records.setdefault(member, {})
            for name, values in measured.items():
                empty = np.full((len(steps), *values.shape[1:]), np.nan, values.dtype)
                record.setdefault(name, empty)[steps.index(part.step)] = values[i]
    assert task is not None
    grid = {name: list(swept) for name, swept in plan.sweep.items()}
    labels = ({TASK: task.group_names} if task.groups else {}) | instruments.labels(
        plan.config, task.group_names
    )
    attributes = {"swept": list(plan.sweep)}
    laid = store.assemble(records, grid, 1, 1, attributes, declared, labels)
    return laid.assign_coords({EVALUATIONS: steps})


def _files(plan: Plan, folder: Path) -> Iterator[tuple[_File, Recipe]]:
    """Yield the files of weights in a folder, part by program, with the program's recipe."""
    paths = sorted((folder / "checkpoints" / "weights").glob("*.npz"))
    if not paths:
        raise ConfigError(f"{folder}: keeps no weights; train with --keep weights")
    ends = _ends(plan, folder)
    recipes: dict[str, tuple[Recipe, Any]] = {}
    earlier = additions.earlier(folder, plan)
    for path in paths:
        try:
            arrays, meta = checkpoint.read_arrays(path)
        except checkpoint.Damaged as error:
            raise ConfigError(str(error)) from None
        names = [sweep.completed(name, earlier) for name in meta["members"]]
        members = [sweep.unnamed(plan, name) for name in names]
        known = tuple(m for m in members if m is not None and meta["step"] <= ends.get(m, math.inf))
        rows = [members.index(member) for member in known]
        for program in sweep.programs(plan, known):
            if program.address not in recipes:
                recipe = make_recipe(program.resolved, program.used)
                shapes = jax.eval_shape(recipe.model.init, streams(0).params)
                recipes[program.address] = recipe, shapes
            recipe, shapes = recipes[program.address]
            some = [rows[known.index(member)] for member in program.members]
            leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
            stacked = [arrays[jax.tree_util.keystr(place)][some] for place, _ in leaves]
            params = jax.tree.unflatten(structure, stacked)
            yield _File(program, program.members, meta["step"], meta["width"], params), recipe


def _ends(plan: Plan, folder: Path) -> dict[sweep.Member, int]:
    """Return the last step of each run that ended at an event, whose chunk trained on."""
    records = Finished(folder, plan, lambda line: None).records
    return {m: int(r["last_step"]) for m, r in records.items() if int(r["ended_by"]) in AT_EVENT}


def _evaluated(plan: Plan, part: _File, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return the evaluation of stacked weights, padded as their chunk was, at their step."""
    seeds, knobs = tracing.arguments(
        plan, sweep.chunk(plan, part.program, part.members), part.width
    )
    padding = part.width - len(part.members)
    params = jax.tree.map(
        lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], padding, axis=0)]), part.params
    )

    laws, _ = tracing.laws_of(recipe)(seeds, knobs)
    last = np.int32(max(part.step - 1, 0))  # the step that made them
    measured = tracing.evaluate_of(recipe)(seeds, knobs, params, laws, last)
    return {name: np.asarray(values) for name, values in measured.items()}
