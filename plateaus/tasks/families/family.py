"""What a family of functions is: its law, its best predictors, and the sizes it is built from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from plateaus.fields import Field
from plateaus.types import Array, PyTree

LOGIT = 20.0  # a certain prediction, exp(-20) = 2e-9 away from certainty: finite, and free


Points = Annotated[int, Field(help="points n in a prompt", low=1, high=2**16, units="points")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """Everything a family may be built from; each uses what concerns it."""

    dimension: Annotated[int, Field(help="length d of x", low=1, high=64)] = 10
    points: Points = 120
    sparse: Annotated[
        int, Field(help="nonzero coordinates of a sparse linear function", low=1, high=64)
    ] = 3
    tree_depth: Annotated[int, Field(help="depth of a decision tree", low=1, high=12)] = 4
    hidden: Annotated[int, Field(help="hidden units of the ReLU net", low=1, high=2**12)] = 4
    noise: Annotated[
        float, Field(help="standard deviation of the noise of noisy_linear", low=0)
    ] = 1.0
    leak: Annotated[float, Field(help="slope below 0 of a leaky ReLU", low=-1, high=1)] = 0.5
    majority_bits: Annotated[int, Field(help="number of signs that vote, odd", low=1, high=63)] = 3
    literal_probability: Annotated[
        float,
        Field(
            help="probability that a sign enters a clause plain; as much, negated", low=0, high=0.5
        ),
    ] = 0.15


class Family(NamedTuple):
    """A law of functions y = f_theta(x), x in R^d, and what is known of it.

    Fields:
      parameters: key -> theta, one function of the family.
      signal: (theta, x [n, d]) -> y [n] without noise.
      inputs: (key, world, z [n, d] standard normal) -> x [n, d], so that families can share z.
      init: key -> world, what one run shares (a rotation); () for most.
      no_context: x [n, d] -> [n], the best prediction from x alone: E[y | x], or the logit of
        P(y = +1 | x) when boolean, clipped at +-`LOGIT`.
      no_context_loss: its expected loss, exact: squared error, or cross-entropy in nats.
      no_context_accuracy: its expected accuracy when boolean (a logit of 0 is right half the time).
      boolean: x are signs and y is -1 or +1.
      in_context: (x [n, d], y [n]) -> [n], the Bayes-optimal prediction of y_i (mean, or clipped
        logit) from x_i and the points before it; None where none is known, or it costs too much.
      best: (theta, x [n, d]) -> [n], the best prediction if the function is known; None: `signal`,
        when boolean as a logit of +-`LOGIT`. For laws whose y is random given the function.
      learned_below: the family is learned when the last point's error is below this. The error is
        the squared error over `no_context_loss`, or 1 - accuracy when boolean.
      noisy: (key, theta, x [n, d]) -> y [n] with noise; None: y is the signal.
    """

    parameters: Callable[..., PyTree]
    signal: Callable[..., Array]
    inputs: Callable[..., Array]
    no_context: Callable[..., Array]
    no_context_loss: float
    no_context_accuracy: float | None = None
    boolean: bool = False
    init: Callable[..., PyTree] = lambda key: ()
    in_context: Callable[..., Array] | None = None
    learned_below: float = 0.1
    best: Callable[..., Array] | None = None
    noisy: Callable[..., Array] | None = None

    def values(self, key: Any, theta: PyTree, x: Array) -> Array:
        """Return y [n] at x [n, d]; only laws with noise use the key."""
        return self.signal(theta, x) if self.noisy is None else self.noisy(key, theta, x)


def best_prediction(law: Family, theta: PyTree, x: Array) -> Array:
    """Return the best prediction if the function is known, a mean or a logit, [n]."""
    if law.best is not None:
        return law.best(theta, x)
    signal = law.signal(theta, x)
    return LOGIT * signal if law.boolean else signal


def require(fits: bool, field: str, value: Any, why: str) -> None:
    """Raise ValueError, in one line, unless a size fits.

    >>> require(7 <= 5, "sparse", 7, "must be at most dimension (5)")
    Traceback (most recent call last):
    ValueError: sparse = 7: must be at most dimension (5)
    """
    if not fits:
        raise ValueError(f"{field} = {value}: {why}")
