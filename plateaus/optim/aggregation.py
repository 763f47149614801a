"""The aggregators by name, and how much of one is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from plateaus.names import missing
from plateaus.optim.aggregators import linear
from plateaus.optim.aggregators.bargaining import fairgrad, nash_mtl
from plateaus.optim.aggregators.cagrad import cagrad
from plateaus.optim.aggregators.gradvac import gradvac
from plateaus.optim.aggregators.mgda import mgda
from plateaus.optim.aggregators.pcgrad import pcgrad
from plateaus.optim.aggregators.spectral import aligned_mtl, imtl_g
from plateaus.optim.aggregators.upgrad import upgrad
from plateaus.types import Aggregator, Array, Key, PyTree, Scalar


class Registered(NamedTuple):
    """An aggregator's factory, and the scale of its weights.

    Fields:
      make: options -> Aggregator.
      returns: "sum" if orthogonal gradients of length 1 get equal weights near 1, "mean" if 1/B.
    """

    make: Callable[..., Aggregator]
    returns: str


AGGREGATORS: dict[str, Registered] = {
    "mean": Registered(linear.mean, "mean"),
    "sum": Registered(linear.sum, "sum"),
    "pcgrad": Registered(pcgrad, "sum"),
    "gradvac": Registered(gradvac, "sum"),
    "mgda": Registered(mgda, "mean"),
    "upgrad": Registered(upgrad, "mean"),
    "cagrad": Registered(cagrad, "mean"),
    "imtl_g": Registered(imtl_g, "mean"),
    "aligned_mtl": Registered(aligned_mtl, "mean"),
    "nash_mtl": Registered(nash_mtl, "sum"),
    "fairgrad": Registered(fairgrad, "sum"),
}


def aggregator(name: str, **options: Any) -> Aggregator:
    """Return the aggregator of a name, made with its options.

    Raises ValueError, naming the nearest, for a name that is not there.

    >>> import jax
    >>> jax.jit(aggregator("pcgrad", project="always").update)(jnp.eye(2), ())[0].tolist()
    [1.0, 1.0]
    """
    if name not in AGGREGATORS:
        raise ValueError(missing("aggregator", name, AGGREGATORS))
    return AGGREGATORS[name].make(**options)


def blend(aggregator: Aggregator, strength: Scalar, returns: str) -> Aggregator:
    r"""Go only part of the way from the plain sum or mean to an aggregator.

    $w = w_0 + \text{strength} \, (w - w_0)$, with $w_0$ = 1 where the aggregator `returns` a "sum",
    1/B where a "mean". Strength may be traced. Neutral at 0: $w_0$, bit for bit.

    Raises ValueError where `returns` is neither.

    >>> half = blend(AGGREGATORS["pcgrad"].make(), 0.5, AGGREGATORS["pcgrad"].returns)
    >>> import jax
    >>> jax.jit(half.update)(jnp.array([[1.0, -0.5], [-0.5, 1.0]]), ())[0].tolist()
    [1.25, 1.25]
    """
    if returns not in ("sum", "mean"):
        raise ValueError(f"returns must be 'sum' or 'mean', not {returns!r}")
    plain = linear.sum() if returns == "sum" else linear.mean()

    def update(gram: Array, state: Any, *, key: Key | None = None) -> tuple[Array, PyTree]:
        base, _ = plain.update(gram, ())
        weights, state = aggregator.update(gram, state, key=key)
        return jnp.where(strength == 0, base, base + strength * (weights - base)), state

    return Aggregator(aggregator.init, update)


def averaged(aggregator: Aggregator) -> Aggregator:
    """Divide an aggregator's weights by their number: a sum of gradients becomes a mean.

    >>> import jax
    >>> jax.jit(averaged(linear.sum()).update)(jnp.eye(4), ())[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def update(gram: Array, state: Any, *, key: Key | None = None) -> tuple[Array, PyTree]:
        weights, state = aggregator.update(gram, state, key=key)
        return weights / len(weights), state

    return Aggregator(aggregator.init, update)
