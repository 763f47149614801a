"""The mixture task: what its parts add up to. The families have tests of their own."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.tasks.families.registry import FAMILIES, family
from plateaus.tasks.laws import in_context
from plateaus.tasks.laws.in_context import Knobs, Spec
from plateaus.tasks.shared.points import unpack
from plateaus.types import Draw, Example

SPEC = Spec(families="linear,sparse_parity_2,hermite_quadratic", dimension=4, points=6)
MANY = 600


@functools.cache
def task():
    return in_context.in_context(SPEC)


@functools.cache
def families():
    return [family(name, SPEC) for name in in_context.groups(SPEC)]


class Prompts(NamedTuple):
    """6,000 prompts of each family in turn, and what is said of the first 600."""

    losses: np.ndarray  # of no_context, of all prompts
    group: np.ndarray  # of all
    batch: Example
    said: dict
    level: np.ndarray  # the losses of who knows the function
    alone: list  # what each family's own predictors say on all of the 600
    best: list


@functools.cache
def prompts():
    mixture, laws = task(), families()

    @jax.jit
    def run():
        index = jnp.arange(30 * MANY)
        keys, world = (
            jax.random.split(jax.random.key(1), 30 * MANY),
            mixture.init(jax.random.key(0)),
        )
        emit = jax.vmap(mixture.emit, (0, None, 0, None))
        every = emit(keys, world, Draw(index, index % 3), Knobs())
        batch = jax.tree.map(lambda x: x[:MANY], every)
        (x, y), loss = unpack(batch.inputs), jax.vmap(mixture.test_loss)
        said = mixture.predictors(world, batch, Knobs(), None)
        return Prompts(
            loss(mixture.predictors(world, every, Knobs(), None)["no_context"], every),
            every.targets.group,
            batch,
            said,
            loss(said["known"], batch),
            [jax.vmap(one.no_context)(x) for one in laws],
            [one.in_context and jax.vmap(one.in_context)(x, y) for one in laws],
        )

    return jax.device_get(run())


@pytest.fixture
def batch():
    return prompts().batch


def points(inputs):
    """(x, y) of tokens x_1, (y_1, 0, ..), x_2, .."""
    return inputs[..., 0::2, :], inputs[..., 1::2, 0]


@functools.cache
def measured():
    """What is measured of two random predictions, and the last error of one that says 0."""
    plain = in_context.in_context(
        Spec(families=SPEC.families, dimension=4, points=6, normalise=False)
    )
    laws = {
        "by_prefix": task().metrics["loss_by_prefix"],
        "loss": task().loss,
        "test_loss": task().test_loss,
        "plain_loss": plain.loss,
        "plain_test_loss": plain.test_loss,
        "last_error": task().groups.learned.error,
    }

    @jax.jit
    def run(batch):
        one, other = (jax.random.normal(jax.random.key(k), (MANY, 6)) for k in (5, 6))
        found = {name: jax.vmap(law)(one, batch) for name, law in laws.items()}
        found["distance"] = jax.vmap(task().distance)(one, other, batch)
        found["even_odds"] = jax.vmap(task().groups.learned.error)(jnp.zeros((MANY, 6)), batch)
        return one, other, found

    one, other, found = jax.device_get(run(prompts().batch))
    return np.float64(one), np.float64(other), found


def test_every_family_has_its_own_inputs_and_values(batch):
    x, y = (np.asarray(a, np.float64) for a in points(batch.inputs))
    np.testing.assert_array_equal(y, np.asarray(batch.targets.y))
    group = np.asarray(batch.targets.group)
    assert np.all(np.abs(x[group == 1]) == 1) and np.all(np.abs(y[group == 1]) == 1)
    assert len(np.unique(np.abs(x[group == 0]))) > MANY
    for own, values in zip(x[group == 0], y[group == 0], strict=True):  # some w fits all
        w, *_ = np.linalg.lstsq(own, values, rcond=None)
        np.testing.assert_allclose(own @ w, values, atol=1e-4)
    for own, values in zip(x[group == 1], y[group == 1], strict=True):  # some pair does
        pairs = [own[:, i] * own[:, j] for i in range(4) for j in range(i)]
        assert any(np.array_equal(pair, values) for pair in pairs)


def test_losses_are_in_units_of_the_no_context_loss(batch):
    """Of any prediction, by hand: squares, and cross-entropies of logits in nats."""
    said, _, found = measured()
    y, group = np.asarray(batch.targets.y, np.float64), np.asarray(batch.targets.group)
    raw = np.where((group == 1)[:, None], np.log1p(np.exp(-y * said)), (said - y) ** 2)
    units = np.array([one.no_context_loss for one in families()])
    scaled = raw / units[group][:, None]
    np.testing.assert_allclose(found["by_prefix"], scaled, rtol=1e-4, atol=1e-6)
    for loss in ("loss", "test_loss"):
        np.testing.assert_allclose(found[loss], scaled.mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found["plain_loss"], raw.mean(axis=1), rtol=1e-4)
    # the plateau is at 1 all the same
    np.testing.assert_allclose(found["plain_test_loss"], scaled.mean(axis=1), rtol=1e-4)
    wrong = np.where(group == 1, np.sign(said[:, -1]) != y[:, -1], raw[:, -1] / units[group])
    np.testing.assert_allclose(found["last_error"], wrong, rtol=1e-4)


def test_even_odds_are_right_half_the_time(batch):
    """As `no_context_accuracy` counts them: predictors say exact zeros."""
    assert np.all(measured()[2]["even_odds"][batch.targets.group == 1] == 0.5)


def test_distances_are_of_values_or_of_probabilities(batch):
    one, other, found = measured()
    group = batch.targets.group
    units = np.array([law.no_context_loss for law in families()])[group]
    odds = 1 / (1 + np.exp(-one)) - 1 / (1 + np.exp(-other))
    wanted = np.where(group == 1, (odds**2).mean(axis=1), ((one - other) ** 2).mean(axis=1) / units)
    np.testing.assert_allclose(found["distance"], wanted, rtol=2e-4)


def test_predictors_are_those_of_each_prompts_family(batch):
    found = prompts()
    for g, (alone, best) in enumerate(zip(found.alone, found.best, strict=True)):
        here, said = np.flatnonzero(batch.targets.group == g), found.said
        np.testing.assert_allclose(said["no_context"][here], alone[here], rtol=1e-5, atol=1e-6)
        if best is not None:
            np.testing.assert_allclose(said["in_context"][here], best[here], rtol=1e-3, atol=1e-3)
        assert float(np.mean(found.level[here])) < 1e-6


def test_the_no_context_predictor_is_the_plateau_at_1():
    """On 6,000 prompts of each family, within 4 standard errors."""
    loss, group = np.float64(prompts().losses), prompts().group
    for g in range(3):
        here = loss[group == g]
        assert here.size == 6000
        assert abs(here.mean() - 1) < 4 * here.std() / np.sqrt(here.size)


def test_a_one_hot_token_names_the_family_and_moves_the_reading():
    spec = Spec(families=SPEC.families, dimension=4, points=6, instruction="one_hot")
    named, plain = in_context.in_context(spec), task()

    @jax.jit
    @jax.vmap
    def both(group):
        world = named.init(jax.random.key(0))
        draw = Draw(3, group)
        return [one.emit(jax.random.key(1), world, draw, Knobs()).inputs for one in (named, plain)]

    for group, (told, bare) in enumerate(zip(*jax.device_get(both(np.arange(3))), strict=True)):
        np.testing.assert_array_equal(told[0], np.eye(4)[group])
        np.testing.assert_array_equal(told[1:], bare)
        x, _ = points(bare)
        np.testing.assert_array_equal(told[named.reads.at], x)


def test_test_examples_go_through_the_families_in_turn():
    mixture = task()

    @jax.jit
    def run():
        keys, numbers = jax.random.split(jax.random.key(2), 9), jnp.arange(9)
        world = mixture.init(jax.random.key(0))
        return jax.vmap(mixture.emit_test, (0, None, 0))(keys, world, numbers).targets.group

    np.testing.assert_array_equal(run(), np.arange(9) % 3)


def refused(**values):
    defaults = {field: getattr(Spec(), field) for field in Spec.__dataclass_fields__}
    return list(in_context.check(defaults | values))


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"families": "liner"}, "families", ["liner", "linear"]),
        ({"families": " , "}, "families", ["at least one"]),
        ({"families": "relu,relu"}, "families", ["given twice"]),
        ({"families": "sparse_linear", "sparse": 11}, "families", ["sparse = 11", "10"]),
        ({"families": "student_quadratic"}, "families", ["fourth moment"]),
        ({"families": "linear,relu,sine", "dimension": 2, "instruction": "one_hot"}, *2 * [None]),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(values, field, words):
    problems = refused(**values)
    assert problems and all("\n" not in message for _, message in problems)
    name, message = problems[0]
    assert name == (field or "instruction")
    assert all(word in message for word in words or ["3 families"])


def test_all_families_mix():
    """The whole registry in one task: what a sweep over all of them would build."""
    assert refused(families=",".join(FAMILIES)) == []
    every = in_context.in_context(Spec(families=",".join(FAMILIES), points=8))

    def emit():
        world = every.init(jax.random.key(1))
        return every.emit(jax.random.key(0), world, Draw(0, 5), Knobs())

    assert jax.eval_shape(emit).inputs.shape == (16, 10) and len(every.group_names) == len(FAMILIES)
