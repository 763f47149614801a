"""In-context tasks of a finite pool of functions, whose families may be exchanged for domains."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from plateaus import option_strings
from plateaus.fields import Field
from plateaus.tasks.families.registry import family
from plateaus.tasks.laws import in_context
from plateaus.tasks.laws.in_context import Knobs, World, groups
from plateaus.tasks.shared import regrouped
from plateaus.tasks.shared.regrouped import Items
from plateaus.types import Array, Grouping, Task, streams

__all__ = ["Knobs", "Spec", "check", "embeddings", "groups", "in_context_domains"]

PROBES = 512  # points at which a function is looked at
BATCH = 64  # functions looked at together
MOST_ITEMS = 2**16
DIRECTION = 0.25  # length of a function's direction, where the statistics of a kind go to 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(in_context.Spec, regrouped.Spec):
    """The families of a mixture, their sizes, and how their functions are grouped."""

    held_out: Annotated[
        int,
        Field(help="functions of each family kept for tests, where they are grouped", low=1),
    ] = 64


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for what does not fit, of the mixture and of a pool to group."""
    yield from in_context.check(values)
    if not values["clusters"].strip():
        return
    number = len(option_strings.parts(values["families"]))
    items = number * (values["pool"] + values["held_out"])
    if items > MOST_ITEMS:
        most = MOST_ITEMS // number - values["held_out"]
        yield "pool", f"must be at most {most} for its functions to be grouped"
    for field, neutral in (("subset", 1.0), ("zipf_exponent", 0.0), ("order", "replacement")):
        if f"data.{field}" in values and values[f"data.{field}"] != neutral:
            yield f"data.{field}", "is of one pool: domains have as many items as they come to"
    tests = number * values["held_out"]
    if "eval_points" in values and values["eval_points"] % tests:
        yield (
            "eval_points",
            f"must be a multiple of {tests}, the functions held out, for a mean over them that "
            "does not depend on their groups",
        )


def items(spec: Spec) -> tuple[Items, Items]:
    """Return the functions trained on, `pool` of each family, and those held out, further ones.

    >>> items(Spec(families="linear,relu", pool=2, held_out=1))[1].index.tolist()
    [2, 2]
    """
    number = len(groups(spec))
    ranges = range(spec.pool), range(spec.pool, spec.pool + spec.held_out)
    train, test = (
        Items(np.repeat(np.arange(number), len(numbers)), np.tile(np.array(numbers), number))
        for numbers in ranges
    )
    return train, test


def in_context_domains(spec: Spec, grouping: Grouping | None = None) -> Task:
    """Return `in_context`; with `clusters`, on its pool in the groups given, or in its families.

    >>> spec = Spec(families="linear,relu", clusters="2", pool=8, held_out=4)
    >>> in_context_domains(spec).groups.target
    (0.5, 0.5)
    """
    task = in_context.in_context(spec)
    if not spec.clusters.strip():
        return task
    return regrouped.regrouped(task, grouping, *items(spec), spec.pool_seed)


def embeddings(spec: Spec) -> tuple[NDArray, NDArray]:
    r"""Return what describes each function, [N, 5 + d] of those trained on and [M, 5 + d] held out.

    From its values y at 512 points x of its family's law, and those at -x, with r the root of the
    mean of y^2, and w, b the least squares of y:
      mean(y) / r; the share of its even part in r^2; R^2 of w.x + b;
      2 r^4 / mean(y^4), 2 for signs and 2/3 for a normal y: twice, as their losses differ, too;
      R^2 (sum w^2)^2 / (d sum w^4), the share of coordinates that a linear function uses;
      R w / |w|, its direction, times 0.25.
    The size of y is left out: losses are relative to it. The first five describe the kind of a
    function, the direction which one of its kind it is. They separate linear functions, ReLUs,
    quadratics, parities and long conjunctions. They do not separate linear from leaky or, near
    `sparse` = d, from sparse linear, nor a conjunction of one literal from a majority; families of
    many kinds of function (short conjunctions, trees, quadratics by the sign of their trace) fall
    into parts.

    >>> embeddings(Spec(families="linear,relu", dimension=3, pool=4, held_out=2))[0].shape
    (8, 8)
    """
    world = in_context.in_context(spec).init(streams(spec.pool_seed).world)
    by_family = [_family(spec, world, number, name) for number, name in enumerate(groups(spec))]
    train, test = (np.concatenate(part) for part in zip(*by_family, strict=True))
    return train, test


def _family(spec: Spec, world: World, number: int, name: str) -> tuple[NDArray, NDArray]:
    """Return the description of one family's functions: those trained on and those held out."""
    law, count = family(name, spec), spec.pool + spec.held_out
    pool = jax.random.fold_in(world.pool, number)
    key_z, key_x = jax.random.split(jax.random.fold_in(streams(spec.pool_seed).probe, number))
    z = jax.random.normal(key_z, (PROBES, spec.dimension))
    x = law.inputs(key_x, world.families[number], z)

    def values(index: Array) -> tuple[Array, Array]:
        theta = law.parameters(jax.random.fold_in(pool, index))
        return law.signal(theta, x), law.signal(theta, -x)

    whole = -(-count // BATCH) * BATCH  # a last part of another size would be compiled, too
    y, mirrored = jax.lax.map(values, jnp.arange(whole), batch_size=BATCH)
    described = statistics(*(np.asarray(part, np.float64) for part in (x, y, mirrored)))[:count]
    return described[: spec.pool], described[spec.pool :]


def statistics(x: NDArray, y: NDArray, mirrored: NDArray) -> NDArray:
    """Return the description [N, 5 + d] of functions of values y at x [P, d], mirrored at -x."""
    d = x.shape[1]
    square = np.mean(y**2, axis=1)
    r = np.sqrt(np.where(square > 0, square, 1.0))
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    fit = np.linalg.lstsq(design, y.T, rcond=None)[0]
    variance = np.var(y, axis=1)
    residual = np.mean((y.T - design @ fit) ** 2, axis=0)
    varies = variance > 1e-12 * r**2
    explained = np.where(varies, 1 - residual / np.where(varies, variance, 1.0), 0.0)
    explained = np.clip(explained, 0.0, 1.0)
    w = fit[:-1].T / r[:, None]
    length = np.maximum(np.linalg.norm(w, axis=1), 1e-12)
    unit = w / length[:, None]
    kinds = [
        np.mean(y, axis=1) / r,
        np.mean(((y + mirrored) / 2) ** 2, axis=1) / r**2,
        explained,
        2 * r**4 / np.maximum(np.mean(y**4, axis=1), 1e-300),
        explained / np.maximum(d * np.sum(unit**4, axis=1), 1e-12),
    ]
    direction = DIRECTION * np.sqrt(explained)[:, None] * unit
    return np.concatenate([np.stack(kinds, axis=1), direction], axis=1)
