"""Measures by group: sums over the examples of each family or domain, and their means."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import EXACT, Array, Example, Float, Int, Task
from plateaus.variables import SUFFIX, WINDOWS, Variable

VARIABLES = {
    f"train_{name}{SUFFIX}": Variable(meaning, units, time=WINDOWS).by_task()
    for name, units, meaning in (
        (
            "loss",
            "1",
            "training loss in units of the plateau's, mean over a window's examples",
        ),
        ("error", "1", "error at the last point of training prompts, likewise"),
        ("count", "examples", "examples to a step, mean over a window"),
    )
}


class Sums(NamedTuple):
    """Sums over a step's examples, by group [G]."""

    loss: Array  # of `Task.test_loss`, in units of the plateau, or of the losses trained on
    error: Array  # of `Learned.error`; NaN without predictions
    count: Array  # type: ignore[assignment] # shadowing tuple.count is harmless here


def numbers(task: Task, batch: Example) -> Int[Array, " B"]:
    """Return the number of each example's group; all are 0 for a task without groups."""
    if task.groups is None:
        return jnp.zeros(jax.tree.leaves(batch.inputs)[0].shape[0], jnp.int32)
    return jax.vmap(task.groups.of)(batch)


def members(task: Task, batch: Example) -> Float[Array, "G B"]:
    """Return 1 where an example is of a group, else 0."""
    groups = jnp.arange(max(len(task.group_names), 1))
    return (groups[:, None] == numbers(task, batch)[None, :]).astype(jnp.float32)


def sums(task: Task, batch: Example, losses: Array, predictions: Array | None = None) -> Sums:
    """Return the sums of a batch by group; `losses` are those trained on.

    With `predictions` the sums are of the test loss instead, and of the learned groups' error.
    """
    member = members(task, batch)
    errors = jnp.full_like(losses, jnp.nan)
    if predictions is not None:
        losses = jax.vmap(task.test_loss)(predictions, batch)
        if task.groups and task.groups.learned:
            errors = jax.vmap(task.groups.learned.error)(predictions, batch)
    return Sums(_within(member, losses), _within(member, errors), jnp.sum(member, axis=1))


def _within(member: Array, values: Array) -> Array:
    """Return sums over each group's members; a value that is not finite affects its group only."""
    return jnp.sum(jnp.where(member > 0, values[None, :], 0.0), axis=1)


def mean_loss(step: Sums) -> Float[Array, " G"]:
    """Return the mean loss of each group; NaN for one that was not drawn.

    >>> step = Sums(jnp.array([3.0, 0.0]), jnp.array([1.0, 0.0]), jnp.array([2.0, 0.0]))
    >>> mean_loss(step).tolist()
    [1.5, nan]
    """
    return step.loss / jnp.where(step.count > 0, step.count, jnp.nan)


def over_steps(means: Sums) -> dict[str, Float[Array, " G"]]:
    """Return the records of a window, from the means over its steps of their sums.

    `train_loss_by_task` and `train_error_by_task` are means over the window's examples of a group
    (NaN without examples), `train_count_by_task` is the number of examples to a step.
    """
    count = jnp.where(means.count > 0, means.count, jnp.nan)
    return {
        f"train_loss{SUFFIX}": means.loss / count,
        f"train_error{SUFFIX}": means.error / count,
        f"train_count{SUFFIX}": means.count,
    }


def mean_by_group(member: Float[Array, "G B"], values: Float[Array, "B ..."]) -> Array:
    """Return the mean over each group's examples, [G, ...]."""
    total = jnp.tensordot(member, values, axes=1, precision=EXACT)
    count = jnp.sum(member, axis=1)
    return total / count.reshape(-1, *[1] * (total.ndim - 1))


def weighed(task: Task, ever: Float[Array, " G"]) -> Float[Array, " G"]:
    """Return the weights of the groups meant to be trained on: their shares in the test law."""
    target = task.groups.target if task.groups else ()
    return ever * jnp.asarray(target, jnp.float32) if target else ever


def mean_over(ever: Float[Array, " G"], by_group: Float[Array, "G ..."]) -> Array:
    """Return the mean over the groups weighted by `ever`; NaN where all weights are 0."""
    trained = (ever > 0).reshape(-1, *[1] * (by_group.ndim - 1))
    weights = ever / jnp.sum(ever)
    kept = jnp.where(trained, by_group, 0.0)  # 0 times what is not finite is not 0
    return jnp.tensordot(weights, kept, axes=1, precision=EXACT)
