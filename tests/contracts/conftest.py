"""What the contracts share: values of every knob, derived from its declaration alone."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from plateaus.config.schema import entries


class KnobValues(NamedTuple):
    """Two allowed values that act, and the one that does not (None where every value acts)."""

    first: jax.Array
    second: jax.Array
    neutral: jax.Array | None


def knob_values(component):
    """Name -> KnobValues of every knob of a component, as the arrays a program receives."""
    found = {}
    for name, entry in entries({"x": component}).items():
        if not entry.knob:
            continue
        dtype = jnp.int32 if entry.kind is int else jnp.float32
        low = -1 if entry.field.low is None else entry.field.low
        high = math.inf if entry.field.high is None else entry.field.high
        span = min(high, low + (1 if entry.kind is float else 10)) - low
        two = [entry.kind(low + share * span) for share in (0.35, 0.75)]
        assert all(entry.field.contains(value) and value != entry.field.neutral for value in two)
        assert two[0] != two[1]
        neutral = entry.field.neutral
        found[name.removeprefix("x.")] = KnobValues(
            *(jnp.asarray(x, dtype) for x in two),
            None if neutral is None else jnp.asarray(neutral, dtype),
        )
    return found


@pytest.fixture(scope="session")
def values_of():
    return knob_values
