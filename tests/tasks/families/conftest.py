"""Prompts of a family, drawn in one program and told in float64."""

import functools
from typing import NamedTuple

import jax
import numpy as np
import pytest

from plateaus.tasks.families.family import known
from plateaus.tasks.families.registry import family


class Prompts(NamedTuple):
    """Many prompts: x [p, n, d]; the others [p, n].

    `again` is y drawn with another key, `elsewhere` each function at one x shared by all prompts,
    `reversed` the signal at the points in reverse, `altered` what is said in context with y_1
    changed, `known` what who knows the function says; `raw` x, y and no_context as they came.
    """

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
def _normals(sizes, number, seed):
    """Draw z for all families at once: compiling that with each would take much of the time."""
    return jax.random.normal(jax.random.key(seed), (number + 1, sizes.points, sizes.dimension))


@functools.cache
def _prompts(name, sizes, number, seed):
    law = family(name, sizes)
    keys = jax.random.split(jax.random.key(seed + 1), (number, 5))
    z, shared = _normals(sizes, number, seed)[:-1], _normals(sizes, number, seed)[-1]
    if law.boolean:
        shared = jax.numpy.sign(shared)

    def one(keys, z):
        world, theta, x, y, again = keys
        world, theta = law.init(world), law.parameters(theta)
        x = law.inputs(x, world, z)
        y, again = law.values(y, theta, x), law.values(again, theta, x)
        signal, backwards = law.signal(theta, x), law.signal(theta, x[::-1])
        said = (None, None)
        if law.in_context:
            said = law.in_context(x, y), law.in_context(x, y.at[1].set(-y[1]))
        plain = x, y, signal, law.no_context(x), again, law.signal(theta, shared), backwards
        return *plain, known(law, theta, x), *said

    drawn = jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(keys, z))
    wide = [None if a is None else np.float64(a) for a in drawn]
    return Prompts(*wide, raw=(drawn[0], drawn[1], drawn[3]))


@pytest.fixture(scope="session")
def prompts():
    def draw(name, sizes, number=2000, seed=0):
        return _prompts(name, sizes, number, seed)

    return draw
