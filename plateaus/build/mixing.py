"""Adaptive mixing of a config: the feedback that its mixer gets, and its gradients' layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plateaus import option_strings
from plateaus.data import adaptive
from plateaus.data.mixers.registry import MIXERS
from plateaus.gram import by_group
from plateaus.recipe import Feedback
from plateaus.types import Model, PyTree, Task


def check(values: Mapping[str, Any], layers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for layers that the model does not have."""
    option = values.get("data.mixer_layers", "last")
    if option in ("last", "all"):
        return
    for problem in option_strings.name_problems(option, layers, kind="layer"):
        yield "data.mixer_layers", problem


def tracked_layers(option: str, layers: Sequence[str], tied: bool = False) -> tuple[str, ...]:
    """Return the layers whose gradients a mixer sees; "last" is the layer of the logits.

    >>> tracked_layers("last", ("read_in", "block_0", "readout"))
    ('readout',)
    """
    if option == "all":
        return tuple(layers)
    if option == "last":
        return ("read_in",) if tied else (layers[-1],)
    return option_strings.parts(option)


def in_use(spec: Any, model: Model, task: Task, layers: tuple[str, ...]) -> Any:
    """Return the mixer in use (`adaptive.Adaptive`); None where shares are fixed."""
    if spec.mixer == adaptive.FIXED or task.groups is None:
        return None
    groups = len(task.groups.names)
    target = task.groups.target or (1.0,) * groups
    if not MIXERS[spec.mixer].needs.gradients:
        return adaptive.adaptive(spec, target)
    sums = functools.partial(by_group.sums, layers=layers)
    tracked, _ = gradient_shapes(sums, model, groups)
    return adaptive.adaptive(spec, target, tracked)


def gradient_shapes(
    sums: Callable[..., PyTree], model: Model, groups: int
) -> tuple[PyTree, PyTree]:
    """Return the shapes of the groups' gradients [G, ...] and those of the parameters."""
    params = jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))
    member = jax.ShapeDtypeStruct((groups, 1), jnp.float32)
    return jax.eval_shape(lambda p, m: sums(lambda weights: p, m), params, member), params


def feedback(spec: Any, task: Task, layers: tuple[str, ...]) -> Feedback | None:
    """Return the mixer's feedback besides losses; None where shares are fixed."""
    if spec.mixer == adaptive.FIXED or task.groups is None:
        return None
    registered, groups = MIXERS[spec.mixer], len(task.groups.names)
    needs = registered.needs

    mixed = registered.short * np.ones((groups, groups)) / groups
    return Feedback(
        round_steps=spec.round_steps,
        sums=functools.partial(by_group.sums, layers=layers) if needs.gradients else None,
        target_points=spec.target_points if needs.targets else 0,
        target_gradient=needs.target_gram,
        reference_steps=spec.reference_steps,
        proxy_steps=spec.proxy_steps,
        short_steps=spec.short_steps if needs.affinity else 0,
        short_shares=(1 - registered.short) * np.eye(groups) + mixed,
        short_every=registered.short_every,
    )
