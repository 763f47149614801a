"""A finite pool of functions in other domains: the same items, losses and tests, told apart."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from plateaus import evaluation
from plateaus.build.registry import OPTIM
from plateaus.data import designs
from plateaus.data.domains import random_groups, regroup
from plateaus.recipe import Recipe
from plateaus.tasks.laws import in_context, in_context_domains
from plateaus.tasks.laws.in_context_domains import Knobs, Spec, statistics
from plateaus.types import Draw, Grouping, Model, streams
from plateaus.types import Knobs as RunKnobs

KINDS = "linear,conjunction,sparse_parity_2"
SIZES = {"dimension": 6, "points": 8, "literal_probability": 0.3}
SPEC = Spec(families="linear,relu", clusters="2", dimension=3, points=6, pool=8, held_out=4)
UNEVEN = Grouping(
    ("domain_0", "domain_1", "domain_2"),
    np.array([0] * 4 + [2] * 4 + [0] * 2 + [1] * 6),
    np.array([0, 0, 1, 1, 2, 0, 2, 2]),
)


@functools.cache
def made(of):
    """The task of the families, or of uneven domains."""
    return in_context_domains.in_context_domains(SPEC, UNEVEN if of == "uneven" else None)


@functools.cache
def emitted(of):
    """Law -> its examples: 12 indices of each group, 16 tests, 60 of what is aimed at."""
    task = made(of)
    laws = [("test", task.emit_test, 16)]
    if of == "uneven":
        laws.append(("target", task.groups.emit_target, 60))

    @jax.jit
    def run(seed):
        world, (own, *held) = (
            task.init(jax.random.key(seed)),
            jax.random.split(jax.random.key(3), 1 + len(laws)),
        )
        group = jnp.arange(len(task.group_names))
        emit = jax.vmap(task.emit, (0, None, 0, None))
        found = {
            kind: jax.vmap(law, (0, None, 0))(jax.random.split(key, n), world, jnp.arange(n))
            for key, (kind, law, n) in zip(held, laws, strict=True)
        }
        keys = jax.random.split(own, (len(task.group_names), 12))
        draws = Draw(jnp.tile(jnp.arange(12), (group.size, 1)), jnp.repeat(group[:, None], 12, 1))
        every = jax.vmap(emit, (0, None, 0, None))(keys, world, draws, Knobs())
        return found | {"train": every}

    return jax.device_get(run(np.uint32(5)))


def of_group(of, group, count=12):
    """The first training examples of a group."""
    return jax.tree.map(lambda x: x[group, :count], emitted(of)["train"])


def weights(batch):
    """The direction of the linear function of each prompt, by least squares of its points."""
    x, y = np.float64(batch.inputs[:, 0::2]), np.float64(batch.inputs[:, 1::2, 0])
    w = np.stack([np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(x, y, strict=True)])
    length = np.linalg.norm(w, axis=1, keepdims=True)  # 0 for a ReLU that is off at all points
    return w / np.maximum(length, 1e-9)


@functools.cache
def directions():
    """The same of the items, as embedded: the last d numbers, for linear functions times .25."""
    train, test = in_context_domains.embeddings(SPEC)
    return 4 * train[:8, 5:], 4 * test[:4, 5:]


def test_similar_domains_are_families_that_are_far_apart():
    spec = Spec(families=KINDS, clusters="3", pool=64, held_out=32, **SIZES)
    train, test = in_context_domains.embeddings(spec)
    families = [part.group for part in in_context_domains.items(spec)]
    grouping, _ = regroup(train, test, (3,), 0)
    assert adjusted_rand_score(families[0], grouping.train) > 0.9
    assert adjusted_rand_score(families[1], grouping.test) > 0.9
    by_chance = random_groups(len(train), len(test), 3, 0)
    assert abs(adjusted_rand_score(families[0], by_chance.train)) < 0.1


def test_similar_domains_are_not_families_of_one_kind():
    """What the docstring owns: linear functions and sparse ones of nearly all coordinates."""
    spec = Spec(families="linear,sparse_linear", dimension=3, sparse=2, pool=64, held_out=8)
    grouping, _ = regroup(*in_context_domains.embeddings(spec), (2,), 0)
    assert adjusted_rand_score(in_context_domains.items(spec)[0].group, grouping.train) < 0.5


def test_statistics_against_closed_forms():
    x = np.random.default_rng(0).normal(size=(400_000, 3))
    w = np.array([0.6, 0.0, -0.8])

    def relu(x):
        return np.maximum(x @ w, 0)

    functions = (lambda x: x @ w, relu, lambda x: x[:, 0] * x[:, 1], lambda x: np.ones(len(x)))
    found = statistics(x, np.stack([f(x) for f in functions]), np.stack([f(-x) for f in functions]))
    uses = 1 / (3 * (0.6**4 + 0.8**4))
    explained = 0.25 / (0.5 - 1 / (2 * np.pi))  # of a ReLU of a standard normal number
    wanted = [
        [0, 0, 1, 2 / 3, uses],
        [np.pi**-0.5, 0.5, explained, 2 * 0.25 / 1.5, explained * uses],
        [0, 1, 0, 2 / 9, 0],
        [1, 1, 0, 2, 0],
    ]
    np.testing.assert_allclose(found[:, :5], wanted, atol=0.01)
    np.testing.assert_allclose(found[0, 5:], 0.25 * w, atol=1e-6)
    np.testing.assert_allclose(found[1, 5:], 0.25 * explained**0.5 * w, atol=0.005)
    np.testing.assert_allclose(found[2:, 5:], 0, atol=0.005)


def test_what_is_embedded_is_what_is_drawn():
    """Of families in order: function number `index` of a family is item family * pool + index."""
    known, held = directions()
    np.testing.assert_allclose(weights(of_group("families", 0, 8)), known, atol=1e-3)
    tests = jax.tree.map(lambda x: x[:8], emitted("families")["test"])
    np.testing.assert_allclose(weights(tests)[:4], held, atol=1e-3)
    assert np.abs(known @ held.T).max() < 1 - 1e-4  # none of those held out is trained on
    assert (
        tests.targets.original.group.tolist() == tests.targets.domain.tolist() == [0] * 4 + [1] * 4
    )


def test_uniform_indices_are_uniform_items():
    """Of domains of 6, 6 and 4 items, 12 indices: each item twice, twice, or three times."""
    assert made("uneven").size == 12 and made("uneven").group_names == UNEVEN.names
    known, _ = directions()
    mixed = of_group("uneven", 0)  # functions 0..3 of family 0, 0 and 1 of family 1
    assert mixed.targets.original.group.tolist() == 2 * ([0] * 4 + [1] * 2)
    linear = np.asarray(mixed.targets.original.group) == 0
    np.testing.assert_allclose(weights(mixed)[linear], np.tile(known[:4], (2, 1)), atol=1e-3)
    assert set(mixed.targets.domain.tolist()) == {0}
    pure = of_group("uneven", 2)
    np.testing.assert_allclose(weights(pure), np.tile(known[4:], (3, 1)), atol=1e-3)
    assert len(np.unique(pure.inputs[:, 0, 0])) == 12  # at fresh points
    assert of_group("uneven", 1).targets.original.group.tolist() == [1] * 12


def test_tests_are_the_same_examples_in_other_domains():
    one, other = emitted("families")["test"], emitted("uneven")["test"]
    np.testing.assert_array_equal(one.inputs, other.inputs)
    assert other.targets.domain.tolist() == 2 * UNEVEN.test.tolist()
    assert made("uneven").groups.target == (3 / 8, 2 / 8, 3 / 8)


def test_what_mixing_aims_at_is_not_what_is_tested():
    found = emitted("uneven")["target"]
    assert found.targets.domain.tolist() == 20 * [0, 1, 2]
    linear = np.asarray(found.targets.original.group) == 0
    known, _ = directions()
    near = weights(found)[linear] @ known.T
    assert np.all(near.max(axis=1) > 1 - 1e-5)
    domains = np.asarray(found.targets.domain)[linear]
    np.testing.assert_array_equal(UNEVEN.train[near.argmax(axis=1)], domains)
    assert len(set(near.argmax(axis=1))) > 4  # not one item for ever


def test_losses_are_those_of_the_families():
    task, plain = made("uneven"), in_context.in_context(SPEC)
    batch = emitted("uneven")["test"]
    measures = [(t.loss, t.test_loss, t.groups.learned.error) for t in (task, plain)]

    @jax.jit
    def run(batch):
        said = jax.random.normal(jax.random.key(1), (16, 6))
        own = batch._replace(targets=batch.targets.original)
        found = [jax.vmap(measure)(said, batch) for measure in measures[0]]
        return said, found, [jax.vmap(measure)(said, own) for measure in measures[1]]

    said, found, wanted = jax.device_get(run(batch))
    np.testing.assert_array_equal(found, wanted)
    # E|x|^2, and for ReLUs half of it less that of their mean given x, |x|^2 / 2 pi
    units = np.array([3.0, 1.5 - 1.5 / np.pi])[batch.targets.original.group]
    by_hand = ((said - batch.targets.original.y) ** 2).mean(axis=1) / units
    np.testing.assert_allclose(found[1], by_hand, rtol=1e-5)


def test_thresholds_are_means_of_the_families():
    spec = Spec(families="linear,quadratic", clusters="2", dimension=3, pool=4, held_out=2)
    grouping = Grouping(("a", "b"), np.array([0, 0, 0, 1, 0, 1, 1, 1]), np.array([0, 1, 0, 1]))
    found = in_context_domains.in_context_domains(spec, grouping).groups.learned.below
    assert found == pytest.approx((0.125, 0.175))  # .1 and .2


def bare(task):
    """The task with its loss and the two predictors that it is told by, and nothing else."""

    def predictors(*given):
        said = task.predictors(*given)
        return {name: said[name] for name in (task.uninformed, task.best)}

    return task._replace(predictors=predictors, metrics={}, axes={}, distance=None)


@functools.cache
def measured(name, jit):
    """What is recorded of a model that knows nothing of groups, and its losses one by one."""
    groupings = {"families": None, "uneven": UNEVEN, "even": random_groups(16, 8, 3, 0)}
    task = bare(in_context_domains.in_context_domains(SPEC, groupings[name]))
    source = designs.design(designs.Spec(), 8, task.size, frozenset(), task.group_names)
    model = Model(
        lambda key: jnp.float32(0.3), lambda p, x, **_: (p * x[:, ::2, 0] + x[:, ::2, 1], {}), ()
    )
    optim = OPTIM.make(OPTIM.spec(), frozenset())
    recipe = Recipe(task, source, model, optim, 20, 10, 10, 16)
    knobs = RunKnobs(Knobs(), designs.knobs_of(task.group_names)(), OPTIM.knobs())

    @jit
    def run():
        laws, constants = evaluation.laws(recipe, 1, jax.tree.map(jnp.asarray, knobs))
        plan = source.prepare(knobs.data, task.size)
        params = model.init(streams(1).params)
        predictions, _ = model.apply(params, laws["test"].batch.inputs)
        losses = jax.vmap(task.test_loss)(predictions, laws["test"].batch)
        return losses, constants, evaluation.evaluate(recipe, params, laws, plan, 0)

    return jax.device_get(run())


@pytest.mark.parametrize("name", ["uneven", pytest.param("even", marks=pytest.mark.thorough)])
def test_the_mean_test_loss_does_not_depend_on_groups(name, exact_jit):
    losses, constants, plain = measured("families", exact_jit)
    other, others, measures = measured(name, exact_jit)
    wanted = np.mean(np.asarray(losses, np.float64))
    np.testing.assert_array_equal(other, losses)
    for found in (plain, measures):
        assert float(found["test_loss"]) == pytest.approx(wanted, rel=1e-6)
    for constant in ("uninformed_loss", "best_loss"):
        assert float(others[constant]) == pytest.approx(float(constants[constant]), rel=1e-6)
    if name == "uneven":
        by_domain = [losses[np.tile(UNEVEN.test, 2) == g].mean() for g in range(3)]
        np.testing.assert_allclose(measures["test_loss_by_task"], by_domain, rtol=1e-6)
        assert abs(np.mean(by_domain) - wanted) > 0.01  # so that their shares do matter


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_domain_needs_items(part):
    own = getattr(UNEVEN, part)
    bare = UNEVEN._replace(**{part: np.where(own == 1, 0, own)})
    with pytest.raises(ValueError, match=f"domain_1 has no item that is {part}ed on"):
        in_context_domains.in_context_domains(SPEC, bare)


def test_without_clusters_it_is_the_infinite_task():
    spec = Spec(families="linear,relu", dimension=3, points=6)
    task, plain = in_context_domains.in_context_domains(spec), in_context.in_context(spec)
    assert task.group_names == plain.group_names == ("linear", "relu") and task.groups.target == ()
    assert task.size == plain.size
