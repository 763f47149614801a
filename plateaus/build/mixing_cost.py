"""What adaptive mixing costs, in training steps, and the curves that it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from plateaus.build import mixing
from plateaus.build.run_fields import batch_of, design_of
from plateaus.data import adaptive
from plateaus.data.curricula import THEN, WEIGHT
from plateaus.data.designs import groups_of
from plateaus.data.mixers.registry import MIXERS
from plateaus.recipe import Recipe
from plateaus.variables import ONCE, SUFFIX, WINDOWS, Variable

VARIABLES = {
    "compute": Variable(
        "training steps that a run has cost, extra work counted in", "optimiser steps"
    ),
    "test_worst": Variable("largest test loss of a group that training means to draw", "loss").of(
        family="metric", law="test", measure="worst"
    ),
}


def of_gradients(recipe: Recipe, inputs: Any) -> float:
    r"""Return the cost of the groups' gradients as a fraction of a step; 0 where none are summed.

    $G p T / (3 P T')$: dense products, G times that of an ordinary gradient, for p of P parameters
    at T of T' positions of an example's `inputs`. Of layers below the last it is this much out of
    captured factors (experiments/benchmarks/mixing).
    """
    feedback, task = recipe.feedback, recipe.task
    if feedback is None or feedback.sums is None:
        return 0.0
    shapes = mixing.gradient_shapes(feedback.sums, recipe.model, len(task.group_names))
    tracked, total = (sum(leaf.size for leaf in jax.tree.leaves(x)) for x in shapes)
    shape = jax.tree.leaves(inputs)[0].shape
    tokens = shape[0] if len(shape) == 2 or task.reads.vocabulary is not None else 1
    at = task.reads.at
    read = len(at) if isinstance(at, tuple) else len(range(tokens)[at])
    return tracked * read / (3 * total * tokens)


def cost(
    spec: Any, groups: int, batch: int, steps: np.ndarray, gradients: float = 0.0
) -> np.ndarray:
    """Return the training steps that a run has cost by its first `steps`, extra work counted in.

    In units of a step's forward and backward pass over `batch` examples, a forward pass being a
    third of it. Counted: each round the losses of the target sample (and the gradients, where a
    mixer asks), short runs with their tests, the reference's pass over every batch of the proxy,
    and the sums of the groups' gradients, `gradients` of a step each; the stages are steps
    themselves. The inner products of a round are next to nothing, and are not.

    >>> from plateaus.data.designs import Spec
    >>> cost(Spec(mixer="r_and_b"), 4, 32, np.array([0, 100])).tolist()  # from what is there
    [0.0, 100.0]
    """
    steps = np.asarray(steps, np.float64)
    if spec.mixer == adaptive.FIXED or groups < 1:
        return steps
    registered = MIXERS[spec.mixer]
    needs = registered.needs
    begins, ends = spec.reference_steps, spec.reference_steps + spec.proxy_steps
    sample = spec.target_points * groups / batch  # in batches
    rounds = np.floor(steps / spec.round_steps)
    extra = steps * gradients
    if needs.targets:
        extra += rounds * sample / 3
    if needs.target_gram:
        extra += rounds * sample * (1 + gradients)
    if needs.affinity:
        adapted = np.maximum(rounds - begins // spec.round_steps, 0)
        sets = np.minimum(adapted, 1)
        if registered.short_every:
            sets = np.ceil(adapted / registered.short_every)
        extra += sets * (groups * spec.short_steps + (groups + 1) * sample / 3)
    if needs.excess:
        last = ends if spec.proxy_steps else np.inf
        extra += (np.clip(steps, begins, last) - begins) / 3
    return steps + extra


def steps_before(config: Mapping[str, Any]) -> int:
    """Return the steps of the reference and the proxy model, before the model that is kept."""
    return int(config.get("data.reference_steps", 0) + config.get("data.proxy_steps", 0))


def kept_model(
    config: Mapping[str, Any], curves: Mapping[str, Any], variables: Mapping[str, Variable]
) -> dict[str, Any]:
    """Return the curves [R, T, ...] with NaN while a reference or a proxy model trains.

    The curve of the mixture, `train_mixture_by_task`, stays, and so does what has no time.
    """
    before = steps_before(config)
    kept = dict(curves)
    if not before:
        return kept
    for name, curve in curves.items():
        if variables[name].time == ONCE or name == f"train_mixture{SUFFIX}":
            continue
        first = before // config["eval_every"] + 1  # the one at step `before` is the last model's
        if variables[name].time == WINDOWS:
            first = -(-before // config["log_every"])
        kept[name] = np.concatenate(
            [np.full_like(curve[:, :first], np.nan), curve[:, first:]], axis=1
        )
    return kept


def records(
    config: Mapping[str, Any],
    stacked: Mapping[str, Any],
    steps: np.ndarray,
    gradients: float = 0.0,
) -> dict[str, np.ndarray]:
    """Return, of a task with groups, `compute` [R, T] and `test_worst`, the worst group's loss.

    The worst is among the groups that training means to draw; `gradients` as in `cost`.
    """
    by_group = stacked.get(f"test_loss{SUFFIX}")
    if by_group is None:
        return {}
    design = design_of(config)
    names = groups_of(design)
    drawn = np.array([design[WEIGHT + name] > 0 for name in names])
    if design["switch"] == "escape":
        drawn |= np.array([design[THEN + name] > 0 for name in names])
    spec = SimpleNamespace(**design)
    spent = cost(spec, len(names), batch_of(config), steps, gradients)
    worst = np.max(np.where(drawn, by_group, -np.inf), axis=-1)
    members = by_group.shape[0]
    return {"compute": np.tile(spent.astype(np.float32), (members, 1)), "test_worst": worst}
