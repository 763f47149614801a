"""Aggregators as optax transformations: stacked gradients come in, one gradient goes out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from optax.experimental import aggregating

from plateaus.optim.aggregation import AGGREGATORS
from plateaus.trees import combine, gram
from plateaus.types import Aggregator, PyTree


def stacked(aggregator: Aggregator, size: int | None = None) -> aggregating.Aggregator:
    r"""Combine gradients that are stacked along a leading axis, $\sum_b w_b g_b$.

    Incoming updates have a leading axis B (examples, tasks or groups) on every leaf, outgoing ones
    have not: so it stands first in a chain, or in `optax.experimental.aggregating.process`, whose
    Aggregator it is. `update(..., key=key)` passes the key on.

    `optax.MultiSteps` and `optax.apply_if_finite` cannot go around a chain that it is in: the first
    averages, the second holds back, what comes *in*, in arrays of what goes *out*, and both raise
    an error over shapes. Around what follows it in the chain, they work.

    A NaN or an infinity in any one gradient makes the whole result NaN, so that it is seen. A batch
    of one is combined like any other (most aggregators give it weight 1).

    Args:
      aggregator: inner products -> weights.
      size: B, needed where the aggregator has a state (gradvac).

    Raises ValueError, at trace time, for an aggregator with a state but no `size`; for leaves that
    are scalars, or whose leading axes differ from each other or from `size`; and, where `params`
    are given, for leaves that are not of the parameter's shape after that axis.

    >>> import optax
    >>> optimiser = optax.chain(pcgrad(), optax.sgd(1.0))
    >>> params = {"w": jnp.zeros(2)}
    >>> state = optimiser.init(params)
    >>> two = {"w": jnp.array([[1.0, 0.0], [-1.0, 1.0]])}
    >>> updates, state = jax.jit(optimiser.update)(two, state, params, key=jax.random.key(0))
    >>> updates["w"].tolist()  # minus (1/2, 1/2) + (0, 1)
    [-0.5, -1.5]
    """
    if size is None and jax.tree.leaves(aggregator.init(2)):
        raise ValueError("this aggregator has a state: give the number of gradients, size=B")

    def init(params):
        del params
        return () if size is None else aggregator.init(size)

    def update(updates, state, params=None, *, key=None, **extra):
        del extra
        _refuse_misshapen(updates, params, size)
        weights, state = aggregator.update(gram(updates), state, key=key)
        return combine(updates, weights), state

    return aggregating.Aggregator(init, update)


def _refuse_misshapen(updates: PyTree, params: PyTree, size: int | None) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(updates)
    if not leaves:
        raise ValueError("there are no gradients to combine: the tree has no leaves")
    for path, leaf in leaves:
        if jnp.ndim(leaf) == 0:
            raise ValueError(
                f"gradient{_name(path)} is a scalar: it has no leading axis to combine"
            )
        first, axis = size or leaves[0][1].shape[0], leaf.shape[0]
        if axis != first:
            source = "size says" if size else f"gradient{_name(leaves[0][0])} has"
            raise ValueError(
                f"gradient{_name(path)} has leading axis {axis} where {source} {first}"
            )
    if params is None:
        return
    shapes = {
        _name(path): jnp.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    for path, leaf in leaves:
        wanted = shapes.get(_name(path))
        if wanted is None:
            raise ValueError(
                f"gradient{_name(path)} has no parameter of that path: one tree of stacked "
                "gradients, shaped like the parameters, is needed, not a list of them"
            )
        if leaf.shape[1:] != wanted:
            raise ValueError(
                f"gradient{_name(path)} has shape {leaf.shape} where the parameter's {wanted} after"
                " a leading axis is needed: stack the gradients that are to be combined"
            )


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path)


def _transformation(name: str) -> Callable[..., aggregating.Aggregator]:
    """Return the factory of an aggregator as a transformation, with its signature and docstring."""
    make = AGGREGATORS[name].make

    @functools.wraps(make)
    def factory(*args: Any, size: int | None = None, **options: Any):
        return stacked(make(*args, **options), size)

    signature = inspect.signature(make)
    extra = inspect.Parameter("size", inspect.Parameter.KEYWORD_ONLY, default=None)
    factory.__signature__ = signature.replace(  # type: ignore[attr-defined] # `inspect` asks for it
        parameters=[*signature.parameters.values(), extra],
        return_annotation=aggregating.Aggregator,
    )
    law, _, _ = (inspect.getdoc(make) or "").partition("\n\n>>> ")  # its example has no gradients
    factory.__doc__ = (
        f"{law}\n\nAn optax transformation of stacked gradients, first in a chain; `size`, its\n"
        "errors and what cannot go around it: see `stacked`.\n"
    )
    factory.__module__ = __name__
    return factory


mean = _transformation("mean")
sum = _transformation("sum")
pcgrad = _transformation("pcgrad")
gradvac = _transformation("gradvac")
mgda = _transformation("mgda")
upgrad = _transformation("upgrad")
cagrad = _transformation("cagrad")
imtl_g = _transformation("imtl_g")
aligned_mtl = _transformation("aligned_mtl")
nash_mtl = _transformation("nash_mtl")
fairgrad = _transformation("fairgrad")
