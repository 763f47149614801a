"""R&B's balance: groups whose gradients point where the evaluation gradient points."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from plateaus.data.mixers.mixer import Mixer, Round, finite, ratio, simplex
from plateaus.fields import Field
from plateaus.types import EXACT, Array, PyTree, Scalar


class Knobs(NamedTuple):
    """The numbers of the rule."""

    lambda_: Annotated[
        Scalar, Field(help="inverse temperature lambda of R&B's softmax", low=0, high=1e6)
    ] = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The branches of the rule."""

    norm: Annotated[bool, Field(help="divide R&B's G p by its length")] = True


def r_and_b(*, norm: bool = True) -> Mixer:
    r"""Overwrite the shares each round: $q = \mathrm{softmax}(\lambda G p / \|G p\|_2)$.

    G [G, G] are the inner products of the groups' mean gradients in the round, p the evaluation
    weights. This q maximises $p^T G q + \|G p\| / \lambda \cdot H(q)$, H the entropy. No memory, no
    floor. Without the `norm` it is $\mathrm{softmax}(\lambda G p)$, the variant of the appendix,
    where lambda stands for eta lambda. Where G p = 0 all shares are equal.

    Source: paper 4, Balance and its derivation.

    >>> import jax
    >>> half = jnp.full(2, 0.5)
    >>> signals = Round(half, half, half, half, jnp.diag(jnp.array([2.0, 0.0])), *[None] * 4)
    >>> weights, _ = jax.jit(r_and_b().update)(signals, (), Knobs(lambda_=jnp.log(3.0)), 0)
    >>> [round(float(w), 6) for w in weights]  # softmax of log 3 times (1, 0)
    [0.75, 0.25]
    """

    def update(signals: Round, state: Any, knobs: Knobs, t: object) -> tuple[Array, PyTree]:
        gram = finite(signals.gram)
        if norm:  # of any scale: squares of long gradients' products overflow
            scale = jnp.max(jnp.abs(gram))
            gram = gram / jnp.where(scale > 0, scale, 1.0)
        gain = jnp.matmul(gram, signals.target, precision=EXACT)
        if norm:
            gain = ratio(gain, jnp.linalg.norm(gain))
        return simplex(knobs.lambda_ * gain), state

    return Mixer(lambda groups: (), update)
