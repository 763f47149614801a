"""Many in-context tasks at once: prompts of points of a function, of families that a run mixes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus import option_strings
from plateaus.fields import INFINITE, Field
from plateaus.tasks.families.family import Family, Points, Sizes, best_prediction
from plateaus.tasks.families.registry import FAMILIES, family
from plateaus.tasks.shared.mixtures import NoKnobs, Normalise, Pool, losses_in_units
from plateaus.tasks.shared.points import pack, unpack
from plateaus.types import Groups, Learned, Reads, Task
from plateaus.values import Array, Draw, Example, Float, Key, Number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(Sizes):
    """The families of a mixture and their sizes; the defaults are paper 2's, but for n."""

    families: Annotated[str, Field(help="names of families, with commas", sweepable=False)] = (
        "linear"
    )
    points: Points = 100  # paper 3's; paper 2 has 120
    normalise: Normalise = True
    instruction: Annotated[
        str, Field(help="what tells the family before the prompt", choices=("none", "one_hot"))
    ] = "none"
    pool: Pool = INFINITE


Knobs = NoKnobs  # what is varied is which family and which function are drawn


class Targets(NamedTuple):
    """What a prompt is judged by."""

    y: Array  # [n]
    known: Array  # [n], the best prediction if the function is known: a mean, or a logit
    group: Array  # number of the family


class World(NamedTuple):
    """What the prompts of one run share."""

    pool: Array  # the key that functions are hashed from
    families: tuple[Any, ...]


def groups(spec: Spec) -> tuple[str, ...]:
    """Return the families there are, each once.

    >>> groups(Spec(families="linear, relu"))
    ('linear', 'relu')
    """
    return option_strings.known_names(spec.families, FAMILIES)


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for families that are not there or do not fit the sizes."""
    fields = {field.name for field in dataclasses.fields(Spec)}
    spec = Spec(**{name: values[name] for name in fields})

    def fault(name: str) -> str:
        try:
            family(name, spec)
        except ValueError as error:
            return str(error)
        return ""

    for message in option_strings.name_problems(spec.families, FAMILIES, fault):
        yield "families", message
    names = option_strings.parts(spec.families)
    if spec.instruction == "one_hot" and len(names) > spec.dimension:
        yield (
            "instruction",
            f"a token of {spec.dimension} numbers cannot tell {len(names)} families",
        )


def in_context(spec: Spec) -> Task:
    r"""Predict $y_i = f(x_i)$ from the points before it, f of one of several families.

    Prompts are x_1, y_1, .., x_n, y_n, y padded to (y, 0, .., 0), as in Garg et al. 2022; f is
    function number `index` of a lazy pool of its family (the draw's group), fresh points each
    time. The prompt does not name its family, unless `instruction` puts a one-hot token first.
    Continuous y: squared error. Boolean y: cross-entropy of the logit, in nats. Both are divided by
    the loss of the family's exact no-context optimum, so that every plateau is at 1 (`normalise`:
    in training, too); mean over the n prefixes. (The paper sums losses over tasks: k times ours.)

    Shapes: inputs [2n, d] ([2n + 1, d] with a one-hot token), targets.y and predictions [n].
    Predictors: "no_context", best from x alone; "in_context", Bayes-optimal or the best known
    from the points before (if there is none: as "known"); "known", which knows the function.
    `distance` is squared, in units of the no-context loss; of probabilities where y is boolean.

    Source: paper 2, setup and tasks; paper 3, setup (there without `normalise`).

    >>> task = in_context(Spec(families="linear,sparse_parity_2", dimension=4, points=3))
    >>> world = task.init(jax.random.key(0))
    >>> example = jax.jit(task.emit)(jax.random.key(1), world, Draw(7, 1), Knobs())
    >>> example.inputs.shape, example.targets.y.shape, int(example.targets.group)
    ((6, 4), (3,), 1)
    """
    chosen = groups(spec)
    families = [family(name, spec) for name in chosen]
    units = jnp.array([law.no_context_loss for law in families], jnp.float32)
    boolean = jnp.array([law.boolean for law in families])
    instructed = spec.instruction == "one_hot"

    def init(key: Key) -> World:
        key_pool, *keys = jax.random.split(key, len(families) + 1)
        worlds = (law.init(key) for law, key in zip(families, keys, strict=True))
        return World(key_pool, tuple(worlds))

    def prompt(key: Key, world: World, keys_function: list[Array], group: Any) -> Example:
        """Draw points; compute all families on them, which is cheap, and keep one."""
        key_z, key_own = jax.random.split(key)
        z = jax.random.normal(key_z, (spec.points, spec.dimension))

        def of(number: int, law: Family, law_world: Any, key_function: Array) -> tuple[Array, ...]:
            key_x, key_y = jax.random.split(jax.random.fold_in(key_own, number))
            theta, x = law.parameters(key_function), law.inputs(key_x, law_world, z)
            y = law.values(key_y, theta, x)
            return x, y, best_prediction(law, theta, x)

        arguments = zip(range(len(families)), families, world.families, keys_function, strict=True)
        by_family = (of(*each) for each in arguments)
        stacked = [jnp.stack(parts) for parts in zip(*by_family, strict=True)]
        x, y, best = (part[group] for part in stacked)
        tokens = pack(x, y)
        if instructed:
            first = jax.nn.one_hot(group, spec.dimension)
            tokens = jnp.concatenate([first[None], tokens])
        return Example(tokens, Targets(y, best, jnp.asarray(group, jnp.int32)))

    def function_keys(pool: Key, index: Any) -> list[Array]:
        keys = (jax.random.fold_in(pool, number) for number in range(len(families)))
        return [jax.random.fold_in(key, index) for key in keys]

    def emit(key: Key, world: World, draw: Draw, knobs: object) -> Example:
        return prompt(key, world, function_keys(world.pool, draw.index), draw.group)

    def emit_test(key: Key, world: World, number: Number) -> Example:
        key_function, key_prompt = jax.random.split(key)
        keys = jax.random.split(key_function, len(families))
        return prompt(key_prompt, world, list(keys), number % len(families))

    def raw(prediction: Float[Array, " n"], example: Example) -> Float[Array, " n"]:
        y = example.targets.y
        entropy = jax.nn.softplus(-y * prediction)
        return jnp.where(boolean[example.targets.group], entropy, jnp.square(prediction - y))

    loss_by_prefix, test_loss, loss = losses_in_units(raw, units, spec.normalise)

    def last_error(prediction: Array, example: Example) -> Array:
        wrong = (1 - jnp.sign(prediction[-1]) * example.targets.y[-1]) / 2  # even odds: a half
        square = loss_by_prefix(prediction, example)[-1]
        return jnp.where(boolean[example.targets.group], wrong, square)

    def distance(prediction: Array, other: Array, example: Example) -> Array:
        group = example.targets.group
        apart = jnp.square(prediction - other) / units[group]
        odds = jnp.square(jax.nn.sigmoid(prediction) - jax.nn.sigmoid(other))
        return jnp.mean(jnp.where(boolean[group], odds, apart))

    def predictors(
        world: object, batch: Example, knobs: object, log_prior: object
    ) -> dict[str, Array]:
        x, y = unpack(batch.inputs[:, 1:] if instructed else batch.inputs)
        best = batch.targets.known

        def of(law: Family) -> tuple[Array, Array]:
            no_context = jax.vmap(law.no_context)(x)
            in_context = best if law.in_context is None else jax.vmap(law.in_context)(x, y)
            return no_context, in_context

        by_family = [jnp.stack(parts) for parts in zip(*map(of, families), strict=True)]
        group = batch.targets.group
        no_context, in_context = (part[group, jnp.arange(group.shape[0])] for part in by_family)
        return {"no_context": no_context, "in_context": in_context, "known": best}

    return Task(
        init=init,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=test_loss,
        metrics={"last_error": last_error, "loss_by_prefix": loss_by_prefix},
        predictors=predictors,
        uninformed="no_context",
        best="known",
        size=spec.pool,
        axes={"loss_by_prefix": "prefix"},
        distance=distance,
        reads=Reads(at=slice(int(instructed), None, 2)),
        groups=Groups(
            chosen,
            of=lambda example: example.targets.group,
            learned=Learned(last_error, tuple(law.learned_below for law in families)),
        ),
    )
