"""What tasks of several families have in common: fields, and losses in units of each family."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax.numpy as jnp

from plateaus.fields import INFINITE, Field
from plateaus.signatures import Measure
from plateaus.types import Array, Example, Float

Normalise = Annotated[
    bool, Field(help="train on losses in units of the no-context loss, else as they are")
]
Pool = Annotated[int, Field(help="functions of each family; see data.items", low=1, high=INFINITE)]
Prompts = Annotated[int, Field(help="prompts of each skill; see data.items", low=1, high=INFINITE)]


class NoKnobs(NamedTuple):
    """The knobs of a task whose law has no numbers: what is varied is what is drawn."""


def losses_in_units(
    raw: Measure, units: Float[Array, " G"], normalise: bool = True
) -> tuple[Measure, Measure, Measure]:
    """Return the losses by prefix, the loss that is tested and the loss that is trained on.

    `raw` has the losses of an example's prefixes, `units` those of each group's no-context optimum,
    which the first two are divided by; so is the last if `normalise`. The last two are means over
    prefixes.

    >>> from plateaus.tasks.shared.questions import targets
    >>> example = Example((), targets(jnp.int32(0), 1))
    >>> by_prefix, test, train = losses_in_units(lambda x, _: x, jnp.array([1.0, 2.0]), False)
    >>> by_prefix(jnp.array([4.0, 2.0]), example).tolist(), float(test(jnp.ones(2), example))
    ([2.0, 1.0], 0.5)
    """

    def by_prefix(prediction: Array, example: Example) -> Array:
        return raw(prediction, example) / units[example.targets.group]

    def test_loss(prediction: Array, example: Example) -> Array:
        return jnp.mean(by_prefix(prediction, example))

    def raw_loss(prediction: Array, example: Example) -> Array:
        return jnp.mean(raw(prediction, example))

    return by_prefix, test_loss, test_loss if normalise else raw_loss
