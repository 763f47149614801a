"""What is measured on a run: samples of both laws, predictors, and what a model is compared to."""

import dataclasses
import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus import evaluation, train
from plateaus.data import designs
from plateaus.data.source import uniform
from plateaus.models.networks import mlp
from plateaus.optim import optimisers
from plateaus.recipe import Recipe
from plateaus.tasks import recorded
from plateaus.tasks.laws import facts, in_context_domains, sparse_parity
from plateaus.tasks.laws import linear_regression as lr
from plateaus.types import Example, Knobs, Model, streams

POINTS = 240
LR = lr.Spec(dimension=2, points=4, noise=0.5, dmmse_tasks=16)
FACTS = facts.Spec(subjects=6, relations=2, answers=3, noise_tokens=4, noise_length=1)


def model_that_says(say):
    """A model whose predictions are a fixed function of its inputs and one parameter."""
    return Model(lambda key: jnp.float32(0.0), lambda p, x, **_: (say(p, x), {}), ())


def recipe_of(task, say, used=(), pool_points=POINTS, steps=20):
    source = designs.design(designs.Spec(), 8, task.size, frozenset(used))
    family = optimisers.optimiser(optimisers.Spec(), frozenset())
    return Recipe(task, source, model_that_says(say), family, steps, 10, 10, POINTS, pool_points)


def knobs_of(task, **data):
    knobs = Knobs(task.Knobs(), designs.Knobs(**data), optimisers.Knobs())
    return jax.tree.map(np.asarray, knobs)


def silent(p, x):
    """Logits that prefer no token."""
    return p + jnp.zeros((*x.shape, facts.vocabulary(FACTS)))


def program(recipe):
    """(seed, knobs, t) -> (laws, constants, evaluation of the model at step t)."""

    @jax.jit
    def run(seed, knobs, t):
        laws, constants = evaluation.laws(recipe, seed, knobs)
        plan = recipe.source.prepare(knobs.data, recipe.task.size)
        params = recipe.model.init(streams(seed).params)
        key = streams(seed).probe
        return laws, constants, evaluation.evaluate(recipe, params, laws, plan, t, key)

    def found(seed, knobs, t=0):
        return jax.tree.map(np.asarray, run(np.uint32(seed), knobs, np.int32(t)))

    return found


@functools.cache
def lanes_on_prompts(pool_points):
    """(seeds, items in play, p) -> (laws, constants, evaluation) of lanes.

    The model says p times the sum of a point.
    """
    say = lambda p, x: p * jnp.sum(x[..., ::2, :], axis=-1)  # noqa: E731
    recipe = recipe_of(lr.linear_regression(LR), say, pool_points=pool_points)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0, None))
    def run(seed, knobs, p):
        laws, constants = evaluation.laws(recipe, seed, knobs)
        return laws, constants, evaluation.evaluate(recipe, p, laws, (), 0)

    def found(seeds, items, p):
        knobs = jax.tree.map(lambda *x: np.stack(x), *(knobs_of(lr, items=i) for i in items))
        return jax.tree.map(np.asarray, run(np.uint32(seeds), knobs, np.float32(p)))

    return found


def lane(number, found):
    return jax.tree.map(lambda x: x[number], found)


@functools.cache
def zero_on_prompts(pool_points=POINTS):
    """Of a model that says 0 to every point of a prompt; the pool has 4 tasks in play."""
    return lane(0, lanes_on_prompts(pool_points)([1, 3, 4], [4, 4, 4], 0.0))


def test_the_pool_is_drawn_as_the_design_draws():
    """Each prompt of the pool is of one of the 4 tasks in play, all of them equally often."""
    found, _, _ = zero_on_prompts()

    @jax.jit
    def vectors(seed):
        world = lr.linear_regression(LR).init(streams(seed).world)
        return lr.task_vectors(LR, world, jnp.arange(4), lr.Knobs())

    tasks = np.float64(vectors(np.uint32(1)))
    x, y = unpacked(found["pool"])
    error = y[..., None] - x @ tasks.T
    chi_square = (error**2).sum(axis=1) / LR.noise**2  # [prompts, tasks]
    assert np.all(chi_square.min(axis=1) < 30)  # of 4 degrees of freedom: one in 2e5
    counts = np.bincount(chi_square.argmin(axis=1), minlength=4)
    assert np.all(np.abs(counts - POINTS / 4) < 5 * np.sqrt(POINTS / 4))
    x, fresh = unpacked(found["test"])
    outside = ((fresh[..., None] - x @ tasks.T) ** 2).sum(axis=1).min(axis=1) / LR.noise**2
    assert np.mean(outside > 30) > 0.05  # the test law's tasks are others


def unpacked(law):
    """The points [prompts, n, d] and values [prompts, n] of a law's prompts."""
    return [np.float64(a) for a in jax.jit(lr.unpack)(law.batch.inputs)]


def test_the_pool_s_items_are_those_in_play_at_the_end():
    """Of facts, whose items can be read off; a curriculum's pool is its last stage."""
    recipe = recipe_of(facts.facts(FACTS), silent, {"curriculum_start", "curriculum_doubling"})

    @jax.jit
    def items(seed, knobs):
        laws, _ = evaluation.laws(recipe, seed, knobs)
        return {name: law.batch.inputs[:, 0] for name, law in laws.items()}

    for given, wanted in [
        ({"items": 4}, {0, 1, 2, 3}),
        ({"items": 5, "curriculum_start": 2, "curriculum_step": 19}, {0, 1, 2, 3, 4}),
        ({"items": 5, "curriculum_start": 2, "curriculum_step": 20}, {0, 1}),
        ({"curriculum_start": 1, "curriculum_step": 10, "curriculum_doubling": 1.0}, {0, 1}),
    ]:
        found = items(np.uint32(0), knobs_of(facts, **given))
        assert set(np.asarray(found["pool"]).tolist()) == wanted
        assert set(np.asarray(found["test"]).tolist()) == set(range(6))


def test_the_pool_is_fresh_and_costs_nothing_where_it_is_not_asked_for():
    found, constants, results = zero_on_prompts()
    without, fewer, less = zero_on_prompts(0)
    assert set(without) == {"test"} and set(found) == {"test", "pool"}
    kept = {name for name in results if not name.startswith("pool")}
    assert set(less) == kept and set(fewer) == {n for n in constants if not n.startswith("pool")}
    chex.assert_trees_all_equal(less, {name: results[name] for name in kept})
    prompts = found["pool"].batch.inputs
    assert len(np.unique(prompts[:, 0, 0])) == POINTS
    recipe = recipe_of(lr.linear_regression(LR), None)

    @jax.jit
    def trained_on(seed):
        keys = streams(seed)
        world = recipe.task.init(keys.world)

        def of_step(t):
            noise = jax.random.split(jax.random.fold_in(keys.noise, t), 8)
            draw = recipe.source.draw(keys.data, (), jnp.int32(4), t)
            emit = jax.vmap(recipe.task.emit, (0, None, 0, None))
            return emit(noise, world, draw, lr.Knobs()).inputs[:, 0, 0]

        return jax.vmap(of_step)(jnp.arange(20))

    others = {*found["test"].batch.inputs[:, 0, 0].tolist()}
    others |= {*np.ravel(trained_on(np.uint32(1))).tolist()}  # nor does training see any of them
    assert len(others) > POINTS and not others & {*prompts[:, 0, 0].tolist()}


def test_constants_are_the_predictors_losses_on_the_samples():
    found, constants, results = zero_on_prompts()
    assert constants["uninformed_loss"] == constants["test_loss_of_zero"]
    assert constants["best_loss"] == constants["test_loss_of_ridge"]
    for law, (batch, said) in found.items():
        assert set(said) == {"zero", "ridge", "biased_ridge", "dmmse"}
        for name, predictions in said.items():
            error = (np.float64(predictions) - np.float64(batch.targets)) ** 2
            np.testing.assert_allclose(constants[f"{law}_loss_of_{name}"], error.mean(), rtol=1e-5)
            by_prefix = constants[f"{law}_loss_by_prefix_of_{name}"]
            np.testing.assert_allclose(by_prefix, error.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(
            results[f"{law}_loss"], constants[f"{law}_loss_of_zero"], rtol=1e-6
        )
    # each predictor is best on its own law
    assert constants["pool_loss_of_dmmse"] < constants["pool_loss_of_ridge"]
    assert constants["test_loss_of_dmmse"] > constants["test_loss_of_ridge"]


def test_vectors_are_averaged_over_examples_alone():
    found, _, results = zero_on_prompts()
    for law in ("test", "pool"):
        assert results[f"{law}_loss_by_prefix"].shape == (4,)
        squares = np.float64(found[law].batch.targets) ** 2
        np.testing.assert_allclose(results[f"{law}_loss_by_prefix"], squares.mean(0), rtol=1e-5)
        np.testing.assert_allclose(
            np.mean(results[f"{law}_loss_by_prefix"]), results[f"{law}_loss"], rtol=1e-5
        )


def test_the_distance_to_a_predictor_is_zero_where_the_model_is_it():
    """One model says what zero, ridge and dmmse say, by its parameter."""
    task, names = lr.linear_regression(LR), ("zero", "ridge", "dmmse")

    @jax.jit
    def run(seed, knobs):
        world = task.init(streams(seed).world)
        prior = lambda i: uniform(1).log_prob(jnp.int32(4), i, 0)  # noqa: E731

        def say(number, x):
            batch = Example(x, x[:, 1::2, 0])
            said = task.predictors(world, batch, lr.Knobs(), prior)
            return jnp.stack([said[name] for name in names])[number]

        recipe = recipe_of(task, say)
        laws, constants = evaluation.laws(recipe, seed, knobs)
        evaluate = lambda number: evaluation.evaluate(recipe, number, laws, (), 0)  # noqa: E731
        return constants, jax.vmap(evaluate)(jnp.arange(len(names)))

    constants, found = jax.tree.map(np.asarray, run(np.uint32(1), knobs_of(lr, items=4)))
    results = {name: lane(number, found) for number, name in enumerate(names)}
    for name, other, law in itertools.product(names, names, ("test", "pool")):
        distance = results[name][f"{law}_distance_to_{other}"]
        assert distance < 1e-9 if other == name else distance > 1e-3, (name, other, law)
        loss = results[name][f"{law}_loss"]
        np.testing.assert_allclose(loss, constants[f"{law}_loss_of_{name}"], rtol=1e-5)


@functools.cache
def knows_four_subjects():
    """The program of a model that knows the facts of subjects 0 .. 3 in the world of seed 2."""
    task = facts.facts(FACTS)

    def say(p, x):
        batch = Example(x, jnp.concatenate([x[:, 1:], x[:, :1]], axis=1))
        prior = lambda i: jnp.where(i < 4, 0.0, -jnp.inf)  # noqa: E731
        phi = task.init(streams(2).world)
        return p + task.predictors(phi, batch, facts.Knobs(), prior)["trained_facts"]

    return program(recipe_of(task, say, {"curriculum_start"}))


@pytest.mark.parametrize("items", (1, 4, 6))
def test_trained_and_untrained_subjects_are_told_apart(items):
    """NaN where there is no untrained one."""
    _, constants, results = knows_four_subjects()(2, knobs_of(facts, items=items))
    known = min(items, 4) / items  # of the subjects trained on
    rest = max(4 - items, 0) / (6 - items) if items < 6 else np.nan  # known all the same
    loss = np.log(3)
    np.testing.assert_allclose(results["test_loss_trained"], (1 - known) * loss, atol=1e-5)
    np.testing.assert_allclose(results["test_loss_untrained"], (1 - rest) * loss, atol=1e-5)
    np.testing.assert_allclose(results["test_loss"], 2 / 6 * loss, atol=1e-5)
    assert results["test_accuracy_trained"] >= known - 1e-6
    assert np.isnan(results["test_accuracy_untrained"]) == (items == 6)
    np.testing.assert_allclose(constants["uninformed_loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(
        constants["test_loss_of_trained_facts"], (6 - items) / 6 * loss, atol=1e-5
    )
    assert not any("distance" in name or "pool_loss_trained" in name for name in results)


def test_what_counts_as_trained_follows_a_curriculum():
    knobs = knobs_of(facts, curriculum_start=2, curriculum_step=10)
    for t, all_trained in ((9, False), (10, True)):
        _, _, results = knows_four_subjects()(0, knobs, t)
        assert np.isnan(results["test_loss_untrained"]) == all_trained


@functools.cache
def says_the_parity():
    """The program of a model that says the parity of two signs of six, and its recipe."""
    task = sparse_parity.sparse_parity(sparse_parity.Spec(dimension=6, relevant_bits=2))
    recipe = recipe_of(task, lambda p, x: p + x[..., 0] * x[..., 1], steps=20)
    return program(recipe), recipe


def test_a_task_without_distance_or_item_reports_neither():
    found, constants, results = says_the_parity()[0](0, knobs_of(sparse_parity))
    assert set(results) == {f"{law}_{n}" for law in ("test", "pool") for n in ("loss", "accuracy")}
    assert all(not law.predictions for law in found.values())
    assert (float(constants["uninformed_loss"]), float(constants["best_loss"])) == (1.0, 0.0)


def test_other_lanes_change_no_bit():
    """Laws, constants and evaluations of a run, at another place and beside other runs."""
    run = lanes_on_prompts(POINTS)
    one, other = run([3, 4, 5], [4, 9, 2], 1.0), run([7, 3, 4], [1, 4, 4], 1.0)
    chex.assert_trees_all_equal(lane(0, one), lane(1, other))
    test = [laws["test"].batch.inputs for laws, _, _ in (one, other)]
    np.testing.assert_array_equal(test[0][1], test[1][2])  # no knob reaches the test sample
    assert len(test[0]) == 3 and np.any(test[0][0] != test[0][1])


def test_the_model_of_a_tiny_run_is_evaluated_like_any_other():
    """Through `train.phase`, with a real network: its loss on the pool, written out."""
    task = sparse_parity.sparse_parity(sparse_parity.Spec(dimension=4, relevant_bits=1))
    recipe = recipe_of(task, None)._replace(model=mlp.mlp(mlp.Spec(width=4, depth=0), 4))

    @jax.jit
    def run(seed, knobs):
        laws, constants = evaluation.laws(recipe, seed, knobs)
        state, before = train.init(recipe, seed, knobs, laws)
        state, phase = train.phase(recipe, state, seed, knobs, laws, jnp.int32(0))
        return constants, before, phase.evaluation, state.params, laws["pool"].batch

    found = jax.tree.map(np.asarray, run(np.uint32(0), knobs_of(sparse_parity)))
    constants, before, after, params, batch = found
    assert (float(constants["uninformed_loss"]), float(constants["best_loss"])) == (1.0, 0.0)
    assert set(before) == set(after) and after["pool_loss"] < before["pool_loss"]
    said = batch.inputs @ params["readout"]["kernel"][:, 0] + params["readout"]["bias"]
    error = said - batch.targets
    np.testing.assert_allclose(after["pool_loss"], np.mean(error**2), rtol=1e-4)


def test_the_pool_is_of_the_law_at_the_last_step():
    """Random labels that last as long as the run are its training law; one step less, and no more.

    A model that says the parity has loss 0 on true labels, and 2 on coins.
    """
    run, _ = says_the_parity()
    for steps, low, high in ((0, 0, 0), (19, 0, 0), (20, 1.4, 2.6), (2**30, 1.4, 2.6)):
        knobs = knobs_of(sparse_parity)
        knobs = knobs._replace(task=knobs.task._replace(random_label_steps=np.int32(steps)))
        _, constants, found = run(0, knobs)
        assert low <= found["pool_loss"] <= high and found["test_loss"] == 0
        assert low <= constants["pool_loss_of_parity"] <= high


SAYING = {  # module -> a task of it, and a model of it
    lr: (lr.linear_regression(dataclasses.replace(LR, out_of_distribution=True)), 4),
    facts: (facts.facts(FACTS), facts.vocabulary(FACTS)),
    in_context_domains: (
        in_context_domains.in_context_domains(
            in_context_domains.Spec(dimension=3, points=4, families="linear,relu")
        ),
        4,
    ),
}


@pytest.mark.parametrize("module", SAYING)
def test_names_are_those_that_are_told_beforehand(module):
    """What no two records may share, and what axes are found by."""
    task, size = SAYING[module]
    source = designs.design(designs.Spec(), 8, task.size, frozenset(), task.group_names)
    say = lambda p, x: p + jnp.zeros((*x.shape[: 1 if module is not facts else 2], size))  # noqa: E731
    recipe = recipe_of(task, say)._replace(source=source)
    knobs = knobs_of(module)._replace(data=designs.knobs_of(task.group_names)())
    of, predictors = "test_loss_of_", []

    def run(seed, knobs):
        laws, constants = evaluation.laws(recipe, seed, knobs)
        predictors.extend(n.removeprefix(of) for n in constants if n.startswith(of))
        plan = recipe.source.prepare(knobs.data, recipe.task.size)
        return constants | evaluation.evaluate(recipe, jnp.float32(0), laws, plan, 0)

    found = set(jax.eval_shape(run, np.uint32(0), knobs)) - {"uninformed_loss", "best_loss"}
    assert found == {*recorded.variables(task, predictors)} - {"uninformed_loss", "best_loss"}


def test_what_probes_say_is_recorded():
    run, recipe = says_the_parity()
    probed = recipe._replace(
        probes=(
            lambda key, p, laws, losses: {"one": p + 1},
            lambda key, p, laws, losses: {"two": p + 2},
        )
    )
    found, plain = (run(0, knobs_of(sparse_parity))[2] for run in (program(probed), run))
    assert set(found) - set(plain) == {"one", "two"} and (found["one"], found["two"]) == (1, 2)


def test_other_laws_are_measured_like_the_test_law_and_change_neither_sample(exact_jit):
    """The samples are compared to the bit; some laws are measured, in a program of its own."""
    spec = dataclasses.replace(LR, out_of_distribution=True)
    plain, recipe = (
        recipe_of(lr.linear_regression(one), lambda p, x: p + jnp.zeros((*x.shape[:-2], 4)))
        for one in (LR, spec)
    )
    knobs = knobs_of(lr, items=4)

    def samples(recipe):
        @exact_jit
        def drawn(seed, knobs):
            laws, _ = evaluation.laws(recipe, seed, knobs)
            return {law: laws[law].batch for law in ("test", "pool")}

        return drawn(np.uint32(1), knobs)

    chex.assert_trees_all_equal(samples(plain), samples(recipe))
    laws = {n: recipe.task.laws[n] for n in ("x_third", "x_half", "y_triple", "orthogonal_query")}
    some = recipe._replace(task=recipe.task._replace(laws=laws), pool_points=0)
    found, constants, measured = program(some)(1, knobs)
    y = np.float64(found["y_triple"].batch.targets)
    for told in (measured["y_triple_loss"], constants["y_triple_loss_of_zero"]):
        np.testing.assert_allclose(told, np.mean(y**2), rtol=1e-5)
    np.testing.assert_allclose(measured["y_triple_loss_by_prefix"], (y**2).mean(0), rtol=1e-5)
    query = np.float64(found["orthogonal_query"].batch.targets)[:, 1]
    np.testing.assert_allclose(measured["orthogonal_query_loss"], np.mean(query**2), rtol=1e-5)
    assert "orthogonal_query_loss_by_prefix" not in measured
    assert not np.array_equal(found["x_half"].batch.inputs, found["x_third"].batch.inputs)
