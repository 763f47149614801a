"""What adaptive mixing costs, in training steps, and the curves that it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from plateaus.data import adaptive
from plateaus.data.curricula import WEIGHT
from plateaus.data.design import groups_of
from plateaus.data.mixers.registry import MIXERS
from plateaus.experiment.lengths import batch_of
from plateaus.groups import SUFFIX


def cost(spec: Any, groups: int, batch: int, steps: np.ndarray) -> np.ndarray:
    """Return the training steps that a run has cost by its first `steps`, extra work counted in.

    In units of a step's forward and backward pass over `batch` examples, a forward pass being a
    third of it. Counted: each round the losses of the target sample (and the gradients, where a
    mixer asks), short runs with their tests, and the reference's pass over every batch of the
    proxy; the stages are steps themselves. Inner products are not: see the benchmark.

    >>> from plateaus.data.design import Spec
    >>> cost(Spec(mixer="r_and_b"), 4, 32, np.array([0, 100])).tolist()  # from what is there
    [0.0, 100.0]
    """
    steps = np.asarray(steps, np.float64)
    if spec.mixer == adaptive.FIXED or groups < 1:
        return steps
    registered = MIXERS[spec.mixer]
    begins, ends = spec.reference_steps, spec.reference_steps + spec.proxy_steps
    sample = spec.target_points * groups / batch  # in batches
    rounds = np.floor(steps / spec.round_steps)
    extra = np.zeros_like(steps)
    if registered.needs & {"target_loss", "target_gram", "affinity"}:
        extra += rounds * sample / 3
    if "target_gram" in registered.needs:
        extra += rounds * sample
    if "affinity" in registered.needs:
        adapted = np.maximum(rounds - begins // spec.round_steps, 0)
        sets = np.minimum(adapted, 1)
        if registered.short_every:
            sets = np.ceil(adapted / registered.short_every)
        extra += sets * (groups * spec.short_steps + (groups + 1) * sample / 3)
    if "excess" in registered.needs:
        last = ends if spec.proxy_steps else np.inf
        extra += (np.clip(steps, begins, last) - begins) / 3
    return steps + extra


def kept_model(config: Mapping[str, Any], curves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the curves [R, T, ...] with NaN where a reference or a proxy trains, not what is kept.

    The mixture's own, `train_mixture_by_task`, stays.
    """
    before = config.get("data.reference_steps", 0) + config.get("data.proxy_steps", 0)
    kept = dict(curves)
    if not before:
        return kept
    for name, curve in curves.items():
        first = -(-before // config["eval_every"])
        if name.startswith("train_"):
            first = before // config["log_every"]
        if curve.ndim > 1 and curve.shape[1] > first and name != f"train_mixture{SUFFIX}":
            kept[name] = np.concatenate(
                [np.full_like(curve[:, :first], np.nan), curve[:, first:]], axis=1
            )
    return kept


def records(
    config: Mapping[str, Any], stacked: Mapping[str, Any], steps: np.ndarray
) -> dict[str, np.ndarray]:
    """Return, of a task with groups, `compute` [R, T] and `test_worst`, the worst group's loss.

    The worst is among the groups that training means to draw.
    """
    by_group = stacked.get(f"test_loss{SUFFIX}")
    if by_group is None:
        return {}
    own = {n.removeprefix("data."): v for n, v in config.items() if n.startswith("data.")}
    names = groups_of(own)
    drawn = np.array([own[WEIGHT + name] > 0 for name in names])
    spec = SimpleNamespace(**own)
    spent = cost(spec, len(names), batch_of(config), steps)
    worst = np.max(np.where(drawn, by_group, -np.inf), axis=-1)
    members = by_group.shape[0]
    return {"compute": np.tile(spent.astype(np.float32), (members, 1)), "test_worst": worst}
