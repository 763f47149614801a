"""Prompts of a family, drawn in one program and told in float64."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.tasks.families.family import Family, best_prediction
from plateaus.tasks.families.registry import family


class Prompts(NamedTuple):
    """Many prompts of the family `law`: x [p, n, d]; the others [p, n].

    `again` is y drawn with another key, `elsewhere` each function at one x shared by all prompts,
    `reversed` the signal at the points in reverse, `altered` what is said in context with y_1
    changed, `known` what who knows the function says; `raw` x, y and no_context as they came.
    """

    law: Family
    x: np.ndarray
    y: np.ndarray
    signal: np.ndarray
    no_context: np.ndarray
    again: np.ndarray
    elsewhere: np.ndarray
    reversed: np.ndarray
    known: np.ndarray
    in_context: np.ndarray | None
    altered: np.ndarray | None
    raw: tuple


@functools.cache
def _given(sizes, number, seed):
    """Draw keys, z and a shared z for all families at once: with each it would take much time."""

    @jax.jit
    def draw():
        keys = jax.random.split(jax.random.key(seed + 1), (number, 5))
        z = jax.random.normal(jax.random.key(seed), (number + 1, sizes.points, sizes.dimension))
        return jax.random.key_data(keys), z[:-1], z[-1]

    return draw()


@functools.cache
def _prompts(name, sizes, number, seed):
    one = family(name, sizes)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0, None))
    def run(keys, z, shared):
        keys = jax.random.wrap_key_data(keys)
        world, theta, of_x, of_y = keys[0], keys[1], keys[2], keys[3:]
        world, theta = one.init(world), one.parameters(theta)
        x = one.inputs(of_x, world, z)
        y, again = jax.vmap(one.values, (0, None, None))(of_y, theta, x)
        if one.boolean:
            shared = jnp.sign(shared)
        others = jnp.stack([x[::-1], shared])
        backwards, elsewhere = jax.vmap(one.signal, (None, 0))(theta, others)
        said = (None, None)
        if one.in_context:
            # both at once: in a row they would be compiled in a row
            said = jax.vmap(one.in_context, (None, 0))(x, jnp.stack([y, y.at[1].set(-y[1])]))
        plain = x, y, one.signal(theta, x), one.no_context(x), again, elsewhere, backwards
        return *plain, best_prediction(one, theta, x), *said

    drawn = jax.device_get(run(*_given(sizes, number, seed)))
    wide = [None if a is None else np.float64(a) for a in drawn]
    return Prompts(one, *wide, raw=(drawn[0], drawn[1], drawn[3]))


class Answered(NamedTuple):
    """Many prompts of the family `law`: x [p, n, d], y and what is said in context [p, n]."""

    law: Family
    x: np.ndarray
    y: np.ndarray
    in_context: np.ndarray


@functools.cache
def _answered(name, sizes, number, seed):
    one = family(name, sizes)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0))
    def run(keys, z):
        keys = jax.random.wrap_key_data(keys)
        theta, x = one.parameters(keys[1]), one.inputs(keys[2], one.init(keys[0]), z)
        y = one.values(keys[3], theta, x)
        return x, y, one.in_context(x, y)

    return Answered(one, *map(np.float64, run(*_given(sizes, number, seed)[:2])))


@pytest.fixture(scope="session")
def prompts():
    def draw(name, sizes, number=2000, seed=0):
        return _prompts(name, sizes, number, seed)

    return draw


@pytest.fixture(scope="session")
def answered():
    """The same prompts as those of `prompts`, by a smaller program."""

    def draw(name, sizes, number, seed=0):
        return _answered(name, sizes, number, seed)

    return draw
