"""Evaluation of a run between phases: fixed samples of each law, ideal predictors, metrics.

The samples and the ideal predictors' predictions on them do not change during a run, so `laws`
makes them once for all phases: an optimal predictor over thousands of tasks would otherwise cost
more than the training between two evaluations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus import groups
from plateaus.recipe import Recipe
from plateaus.types import Array, Draw, Example, Key, Knobs, PyTree, Task, streams

_OTHERS = 2**30  # above any number of test examples, whose keys are the folds of 0, 1, ..


class Law(NamedTuple):
    """A fixed sample of one law, and the predictions of the task's predictors on it."""

    batch: Example
    predictions: dict[str, PyTree]  # by predictor; empty where the task has no distance to them


def laws(
    recipe: Recipe, seed: Array | int, knobs: Knobs
) -> tuple[dict[str, Law], dict[str, Array]]:
    """Return a run's samples by law, and its results that do not depend on training.

    The laws are "test", then "pool" if `recipe.pool_points`, then the task's other laws by name,
    each with as many examples as "test". The pool's examples are fresh ones of the training law at
    the *last* step (a curriculum's last stage), at indices that the design would draw.

    The second result holds the plateau's height `uninformed_loss`, its floor `best_loss`, and
    `L_M_of_P` for every law L, predictor P and metric M that is the loss or has an axis. A task
    with groups adds `L_M_by_task_of_P`.

    Raises ValueError where the task has no predictor of the name in `uninformed` or `best`.
    """
    keys = streams(seed)
    task, source = recipe.task, recipe.source
    world, last = task.init(keys.world), recipe.steps - 1
    plan, law_knobs = source.prepare(knobs.data, task.size), task.at(knobs.task, last)
    test_keys = jax.random.split(keys.test, recipe.eval_points)
    batches = {
        "test": jax.vmap(task.emit_test, (0, None, 0))(
            test_keys, world, jnp.arange(recipe.eval_points)
        )
    }
    if recipe.pool_points:
        key_index, key_noise = jax.random.split(keys.pool)
        draw = _drawn(source, key_index, source.init(keys.data), plan, last, recipe.pool_points)
        noise = jax.random.split(key_noise, recipe.pool_points)
        batches["pool"] = jax.vmap(task.emit, (0, None, 0, None))(noise, world, draw, law_knobs)
    for number, (name, other) in enumerate(task.laws.items()):
        key_law = jax.random.fold_in(keys.test, _OTHERS + number)
        batches[name] = jax.vmap(other.emit, (0, None, 0))(
            jax.random.split(key_law, recipe.eval_points), world, jnp.arange(recipe.eval_points)
        )

    ever = groups.weighed(task, source.ever(plan))
    samples: dict[str, Law] = {}
    constants: dict[str, Array] = {}

    def predictors(batch: Example) -> Mapping[str, PyTree]:
        return task.predictors(
            world, batch, law_knobs, lambda index: source.log_prob(plan, index, last)
        )

    for law, (batch, by_predictor) in _together(task, batches, predictors).items():
        for name, measure in _measures(task, law).items():
            if name != "loss" and name not in task.axes:
                continue
            for predictor, predictions in by_predictor.items():
                values = jax.vmap(measure)(predictions, batch)
                for suffix, mean in _means(task, batch, values, ever):
                    constants[f"{law}_{name}{suffix}_of_{predictor}"] = mean
        compared = task.distance is not None and law not in task.laws
        samples[law] = Law(batch, dict(by_predictor) if compared else {})
    for bound, predictor in (("uninformed_loss", task.uninformed), ("best_loss", task.best)):
        if (loss := constants.get(f"test_loss_of_{predictor}")) is None:
            names = ", ".join(predictors(batches["test"]))
            raise ValueError(f"{predictor!r} is none of the task's predictors: {names}")
        constants[bound] = loss
    return samples, constants


def _together(
    task: Task, batches: Mapping[str, Example], apply: Callable[[Example], Any]
) -> dict[str, tuple[Example, Any]]:
    """Return each law's batch and `apply` of it.

    The task's other laws share one call, so that `apply` is compiled once for all of them.
    """
    applied = {law: (batch, apply(batch)) for law, batch in batches.items() if law not in task.laws}
    others = {law: batch for law, batch in batches.items() if law in task.laws}
    if others:
        results = apply(jax.tree.map(lambda *parts: jnp.concatenate(parts), *others.values()))
        for number, (law, batch) in enumerate(others.items()):
            size = jax.tree.leaves(batch)[0].shape[0]
            part = slice(number * size, (number + 1) * size)
            applied[law] = (batch, jax.tree.map(lambda x, part=part: x[part], results))
    return applied


def _measures(task: Task, law: str) -> dict[str, Any]:
    """Return the measures of a law by name: the loss and the metrics, or the law's own ones."""
    measures = task.laws[law].measures if law in task.laws else None
    return {"loss": task.test_loss, **task.metrics} if measures is None else dict(measures)


def _drawn(source, key, state, plan, t, count: int) -> Draw:
    """Return [count] draws like those of step t, made in whole batches under separate keys."""
    batch = jax.eval_shape(lambda: source.draw(key, state, plan, t)).index.shape[0]
    keys = jax.random.split(key, -(-count // batch))
    drawn = jax.vmap(lambda key: source.draw(key, state, plan, t))(keys)
    return jax.tree.map(lambda x: x.reshape(-1)[:count], drawn)


def evaluate(
    recipe: Recipe,
    params: PyTree,
    laws: Mapping[str, Law],
    plan: PyTree,
    t: Array | int,
    key: Key | None = None,
) -> dict[str, Array]:
    """Return `L_M`, the mean over law L's sample of the loss and of each metric M of the task.

    A task with groups adds `L_M_by_task`, and its `L_M` are means over the groups meant to be
    trained on. A task with a `distance` adds `L_distance_to_P`, except on its other laws. A task
    with an `item` adds, for the scalars of the test law, `test_M_trained` and `test_M_untrained`:
    the means over the examples whose item has a positive probability at step t, and over the others
    (NaN where there are no such examples). The results of the recipe's probes, which draw from
    `key`, come first.

    Raises ValueError where the recipe has probes and `key` is None.
    """
    task = recipe.task
    ever = groups.weighed(task, recipe.source.ever(plan))
    results: dict[str, Array] = {}

    def test_losses(edits: Mapping[str, Any]) -> dict[str, Array]:
        batch = laws["test"].batch
        predictions, _ = recipe.model.apply(params, batch.inputs, edits=edits)
        return dict(_means(task, batch, jax.vmap(task.test_loss)(predictions, batch), ever))

    for number, probe in enumerate(recipe.probes):
        if key is None:
            raise ValueError("key: must be given where the recipe has probes")
        results |= probe(jax.random.fold_in(key, number), params, laws, test_losses)
    batches = {law: batch for law, (batch, _) in laws.items()}
    for law, (batch, predictions) in _together(
        task, batches, lambda batch: recipe.model.apply(params, batch.inputs)[0]
    ).items():
        for name, measure in _measures(task, law).items():
            values = jax.vmap(measure)(predictions, batch)
            for suffix, mean in _means(task, batch, values, ever):
                results[f"{law}_{name}{suffix}"] = mean
            if task.item is not None and law == "test" and values.ndim == 1:
                index = jax.vmap(task.item)(batch)
                trained = jnp.isfinite(recipe.source.log_prob(plan, index, t))
                results[f"test_{name}_trained"] = _mean_where(values, trained)
                results[f"test_{name}_untrained"] = _mean_where(values, ~trained)
        for predictor, others in laws[law].predictions.items():
            assert task.distance is not None  # else a law has no predictions to compare with
            apart = jax.vmap(task.distance)(predictions, others, batch)
            for suffix, mean in _means(task, batch, apart, ever):
                results[f"{law}_distance{suffix}_to_{predictor}"] = mean
    return results


def _means(task: Task, batch: Example, values: Array, ever: Array) -> Iterator[tuple[str, Array]]:
    """Yield (suffix, mean) pairs of a measure: ("", mean) and, with groups, ("_by_task", [G, ...]).

    Without groups the mean is over the sample. With groups it is over the groups that the design
    means to train on and that the sample has (the training law of a late step may lack some),
    weighted by their shares in the test law.
    """
    if not task.groups:
        yield "", jnp.mean(values, axis=0)
        return
    member = groups.members(task, batch)
    by_group = groups.mean_by_group(member, values)
    yield groups.SUFFIX, by_group
    yield "", groups.mean_over(ever * jnp.any(member > 0, axis=1), by_group)


def _mean_where(values: Array, chosen: Array) -> Array:
    """Return the mean of the chosen values; NaN if none is chosen."""
    return jnp.sum(jnp.where(chosen, values, 0.0)) / jnp.sum(chosen)
