"""In-context linear regression: read w off a prompt of noisy points; the law of paper 1, 2.1."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.fields import INFINITE, Field
from plateaus.tasks.shared import baselines
from plateaus.tasks.shared import out_of_distribution as prompts
from plateaus.tasks.shared.points import pack, unpack
from plateaus.tasks.shared.predictors import dmmse, log_rest, ridge
from plateaus.types import LogPrior, Reads, Task
from plateaus.values import EXACT, Array, Draw, Example, Float, Int, Key, Scalar

MOST_TASKS = 2**20  # that dMMSE may be asked to tell apart


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The sizes of the problem, and the numbers its test law shares with its training law."""

    dimension: Annotated[int, Field(help="length d of x and of w", low=1, high=2**14)] = 20
    points: Annotated[
        int, Field(help="points n in a prompt", low=1, high=2**16, units="points")
    ] = 41
    noise: Annotated[float, Field(help="standard deviation sigma of the noise", low=0)] = 1.0
    prior_scale: Annotated[
        float, Field(help="standard deviation tau of each weight", low=0, low_open=True)
    ] = 1.0
    pool: Annotated[
        int, Field(help="number of tasks there are; see data.items", low=1, high=INFINITE)
    ] = INFINITE
    dmmse_tasks: Annotated[
        int, Field(help="tasks that the dMMSE predictor tells apart", low=1, high=MOST_TASKS)
    ] = 4096
    out_of_distribution: Annotated[
        bool,
        Field(
            help="evaluate on prompts of other laws too (plateaus.tasks.shared.out_of_distribution)"
        ),
    ] = False
    baselines: Annotated[
        bool, Field(help="record what plain learners reach too (plateaus.tasks.shared.baselines)")
    ] = False


class Knobs(NamedTuple):
    """The numbers of the law."""

    covariance_bias: Annotated[
        Scalar, Field(help="weight beta of one direction in w's law", low=0, high=1, neutral=0.0)
    ] = 0.0


class World(NamedTuple):
    """What the prompts of one run share."""

    pool: Array  # the key that task vectors are hashed from
    direction: Array  # [d], the v of the covariance bias


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for what needs more dimensions, and a dMMSE that would be far off."""
    if values["covariance_bias"] and values["dimension"] == 1:
        yield "covariance_bias", "does nothing in one dimension: task.dimension must be at least 2"
    if values["out_of_distribution"]:
        for size in ("dimension", "points"):
            if values[size] < 2:
                yield size, "must be at least 2 for the laws of task.out_of_distribution"
    tasks = min(values["data.items"], values["pool"])
    if values["dmmse_tasks"] < tasks <= MOST_TASKS:
        yield "dmmse_tasks", f"must be at least the number of tasks, {tasks}, to be exact"


def prior_root(spec: Spec, world: World, knobs: Knobs) -> Float[Array, "d d"]:
    r"""Return the symmetric S with $S S^T = \tau^2 ((1 - \beta) I + \beta v v^T)$, w's covariance.

    Source: paper 1, section 4.3.

    >>> world = linear_regression(Spec(dimension=2)).init(jax.random.key(0))
    >>> spec = Spec(dimension=2, prior_scale=3.0)
    >>> jax.jit(prior_root, static_argnums=0)(spec, world, Knobs()).tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """
    across = jnp.sqrt(1.0 - jnp.float32(knobs.covariance_bias))  # the root's other eigenvalue is 1
    v = world.direction
    return spec.prior_scale * (across * jnp.eye(spec.dimension) + (1.0 - across) * jnp.outer(v, v))


def task_vectors(
    spec: Spec, world: World, index: Int[Array, "*k"], knobs: Knobs
) -> Float[Array, "*k d"]:
    """Return the weights w of the tasks with these numbers: S times the hash of (world, number).

    The hash z ~ N(0, I) does not depend on the bias, so that task i at two biases is the same z.

    >>> world = linear_regression(Spec(dimension=4)).init(jax.random.key(0))
    >>> vectors = jax.jit(task_vectors, static_argnums=0)
    >>> vectors(Spec(dimension=4), world, jnp.arange(3), Knobs()).shape
    (3, 4)
    """

    def vector(index: Array) -> Array:
        z = jax.random.normal(jax.random.fold_in(world.pool, index), (spec.dimension,))
        across = jnp.sqrt(1.0 - jnp.float32(knobs.covariance_bias))
        along = jnp.dot(world.direction, z, precision=EXACT) * world.direction
        return spec.prior_scale * (across * z + (1.0 - across) * along)

    return jax.vmap(vector)(index) if index.ndim else vector(index)


def loss_unit(spec: Spec) -> int:
    r"""Return the paper's unit for a prompt's *summed* squared error, $\sum_{i<n} \max(d - i, 0)$.

    At d = 20, n = 41 it is 210: mean losses are divided by 210 / 41 = 5.122.

    >>> loss_unit(Spec())
    210
    """
    most = min(spec.dimension, spec.points)
    return most * spec.dimension - most * (most - 1) // 2


def prefix_losses(prediction: Float[Array, " n"], example: Example) -> Float[Array, " n"]:
    """Return the squared error against the noisy y_i, by the number i of points before it.

    >>> prefix_losses(jnp.zeros(2), Example((), jnp.array([1.0, 3.0]))).tolist()
    [1.0, 9.0]
    """
    return jnp.square(prediction - example.targets)


def linear_regression(spec: Spec) -> Task:
    r"""Learn to predict $y_i = w^T x_i + \sigma e_i$ from the points before it in the prompt.

    Prompts are x_1, y_1, .., x_n, y_n with x ~ N(0, I), e ~ N(0, 1), fresh each time; y is padded
    to (y, 0, .., 0). Training: w is task number `index` of a lazy pool, itself drawn from
    $N(0, \tau^2 ((1 - \beta) I + \beta v v^T))$, v uniform on the sphere, one to a world. Test: a
    fresh $w \sim N(0, \tau^2 I)$. The last pool size stands for infinitely many tasks.

    Shapes: inputs [2n, d], targets and predictions [n]; a model predicts y_i at the token x_i.
    Predictors: "zero"; "ridge", best on the test law; "biased_ridge", which knows the covariance
    bias: best on the training law of infinitely many tasks, and equal to "ridge" at beta = 0;
    "dmmse", best on the training law: it knows the tasks and how often each is drawn. Exact for up
    to `dmmse_tasks` of them; all others are one Gaussian, as is right for infinitely many only.
    With `baselines` also "least_squares", "nearest_neighbours" (3) and "averaging", which know
    neither law. With `out_of_distribution` all are also evaluated on `prompts.OUT_OF_DISTRIBUTION`.
    In units of `paper_loss`, with the default spec: zero 4.100, ridge 1.5064.

    Source: paper 1, section 2.1; the covariance bias: section 4.3; sizes: appendix B.1.

    >>> task = linear_regression(Spec(dimension=4, points=3))
    >>> world = jax.jit(task.init)(jax.random.key(0))
    >>> example = jax.jit(task.emit)(jax.random.key(1), world, Draw(7), Knobs())
    >>> example.inputs.shape, example.targets.shape
    ((6, 4), (3,))
    """

    def init(key: Key) -> World:
        key_pool, key_direction = jax.random.split(key)
        direction = jax.random.normal(key_direction, (spec.dimension,))
        return World(key_pool, direction / jnp.linalg.norm(direction))

    def prompt(key: Key, w: Array) -> Example:
        draws = jax.random.normal(key, (spec.points, spec.dimension + 1))
        x, e = draws[:, :-1], draws[:, -1]
        y = jnp.dot(x, w, precision=EXACT) + spec.noise * e
        return Example(pack(x, y), y)

    def emit(key: Key, world: World, draw: Draw, knobs: Knobs) -> Example:
        return prompt(key, task_vectors(spec, world, jnp.asarray(draw.index), knobs))

    def emit_test(key: Key, world: object, number: object) -> Example:
        key_task, key_prompt = jax.random.split(key)
        w = spec.prior_scale * jax.random.normal(key_task, (spec.dimension,))
        return prompt(key_prompt, w)

    def loss(prediction: Array, example: Example) -> Array:
        return jnp.mean(prefix_losses(prediction, example))

    def paper_loss(prediction: Array, example: Example) -> Array:
        return jnp.sum(prefix_losses(prediction, example)) / loss_unit(spec)

    def distance(prediction: Array, other: Array, example: Example) -> Array:
        return jnp.mean(jnp.square(prediction - other))

    def predictors(
        world: World, batch: Example, knobs: Knobs, log_prior: LogPrior
    ) -> dict[str, Array]:
        x, y = unpack(batch.inputs)
        regress = jax.vmap(ridge, (0, 0, None, None))
        count = min(spec.pool, spec.dmmse_tasks)
        index = jnp.arange(count + 1, dtype=jnp.int32)
        log_weights = log_prior(index)
        tasks = task_vectors(spec, world, index[:-1], knobs)
        root = prior_root(spec, world, knobs)
        rest = (log_rest(log_weights[:-1], log_weights[-1]), root)
        memory = jax.vmap(lambda x, y: dmmse(x, y, tasks, log_weights[:-1], spec.noise, rest=rest))
        plain = {
            "least_squares": baselines.least_squares,
            "nearest_neighbours": baselines.nearest_neighbours(),
            "averaging": baselines.averaging,
        }
        return {
            "zero": jnp.zeros_like(y),
            "ridge": regress(x, y, spec.noise, prior_root(spec, world, Knobs())),
            "biased_ridge": regress(x, y, spec.noise, root),
            "dmmse": memory(x, y),
            **{name: jax.vmap(learner)(x, y) for name, learner in plain.items() if spec.baselines},
        }

    return Task(
        init=init,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=loss,
        metrics={"paper_loss": paper_loss, "loss_by_prefix": prefix_losses},
        predictors=predictors,
        uninformed="zero",
        best="ridge",
        size=spec.pool,
        axes={"loss_by_prefix": "prefix"},
        distance=distance,
        reads=Reads(at=slice(0, None, 2)),
        laws=prompts.other_laws(
            prompts.OUT_OF_DISTRIBUTION if spec.out_of_distribution else {},
            (spec.points, spec.dimension),
            spec.prior_scale,
            spec.noise,
        ),
    )
