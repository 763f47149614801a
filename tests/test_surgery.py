"""Training on aggregated gradients, and the probe of batches: against steps written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus import evaluation, train
from plateaus.build import gradients
from plateaus.data import designs
from plateaus.measures.gradients import instrument
from plateaus.measures.instrument import Parts
from plateaus.models.networks import mlp
from plateaus.optim import optimisers
from plateaus.recipe import Recipe
from plateaus.tasks.laws import sparse_parity
from plateaus.types import Knobs, streams

RATE, STEPS = 0.05, 4
TASK = sparse_parity.sparse_parity(
    sparse_parity.Spec(dimension=4, relevant_bits=2, dataset_size=10_000)
)
MODEL = mlp.mlp(mlp.Spec(width=8, depth=1), 4)
PARTS = Parts(TASK, MODEL, MODEL)


def recipe_of(aggregator="none", batch=2, probed=0, **options):
    spec = optimisers.Spec(aggregator=aggregator, **options)
    return Recipe(
        task=TASK,
        source=designs.design(designs.Spec(), batch, TASK.size, frozenset()),
        model=MODEL,
        optimiser=optimisers.optimiser(spec, frozenset()),
        steps=STEPS,
        phase_steps=STEPS,
        log_every=2,
        eval_points=16,
        gradients=gradients.gradients_of(MODEL, TASK) if aggregator != "none" else None,
        surgery=gradients.surgery(spec),
        batch_probes=(instrument.batch_probe({"gradient_batches": probed}, PARTS),)
        if probed
        else (),
    )


@functools.cache
def program(**given):
    """(seed, knobs, laws, spoiled) -> what `trained` returns."""
    recipe = recipe_of(**given)

    @jax.jit
    def run(seed, knobs, laws, spoiled):
        def loss(y, example):  # a quotient of x and 1 is x, to the bit
            return TASK.loss(y, example) / jnp.where(spoiled, example.inputs[0] > 0, 1.0)

        own = recipe._replace(task=TASK._replace(loss=loss))
        if recipe.gradients is not None:
            own = own._replace(gradients=gradients.gradients_of(MODEL, own.task))
        state, first = train.init(own, seed, knobs, laws)
        return first if recipe.batch_probes else None, *train.phase(
            own, state, seed, knobs, laws, jnp.int32(0)
        )

    return run


@jax.jit
def laws_of(seed, knobs):
    return evaluation.laws(recipe_of(), seed, knobs)[0]


@functools.cache
def trained(seed=0, strength=1.0, spoiled=False, **given):
    """(first evaluation where it is probed, final state, what the phase has measured)."""
    optim = optimisers.Knobs(learning_rate=RATE, aggregator_strength=strength)
    knobs = Knobs(sparse_parity.Knobs(), designs.Knobs(), optim)
    seed, knobs = np.uint32(seed), jax.tree.map(np.float32, knobs)
    found = program(**given)(seed, knobs, laws_of(seed, knobs), spoiled)
    return jax.tree.map(np.asarray, found)


def by_hand(direction, seed=0, batch=2):
    """The parameters after STEPS steps of SGD on direction([B, P] gradients), and the gradients."""
    flat, seen = np.asarray(start(np.uint32(seed))), []
    for t in range(STEPS):
        each = np.asarray(single_gradients(np.uint32(seed), flat, np.int32(t), batch), np.float64)
        seen.append(each)
        flat = flat - np.float32(RATE) * np.asarray(direction(each), np.float32)
    return flat, seen


@jax.jit
def start(seed):
    return jax.flatten_util.ravel_pytree(MODEL.init(streams(seed).params))[0]


@functools.partial(jax.jit, static_argnames="batch")
def single_gradients(seed, flat, t, batch):
    """The gradients [B, P] of a step's examples, each by itself."""
    recipe, keys = recipe_of(batch=batch), streams(seed)
    _, back = jax.flatten_util.ravel_pytree(MODEL.init(keys.params))
    plan = recipe.source.prepare(designs.Knobs(), TASK.size)
    draw = recipe.source.draw(keys.data, (), plan, t)
    noise = jax.random.split(jax.random.fold_in(keys.noise, t), batch)
    emit = jax.vmap(TASK.emit, (0, None, 0, None))
    examples = emit(noise, TASK.init(keys.world), draw, sparse_parity.Knobs())

    def loss(flat, example):
        said = MODEL.apply(back(flat), example.inputs[None])[0][0]
        return TASK.loss(said, example)

    return jax.vmap(jax.grad(loss), (None, 0))(flat, examples)


def flattened(params):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def projected(each, always=False):
    """PCGrad of two gradients as vectors, whose order does not matter: the mean of what is left."""
    a, b = each
    if a @ b >= 0 and not always:
        return (a + b) / 2
    return (a - (a @ b) / (b @ b) * b + b - (a @ b) / (a @ a) * a) / 2


@pytest.mark.parametrize("project", ("conflict", "always"))
def test_steps_of_pcgrad_are_those_of_projected_vectors(project):
    for seed in range(3):
        _, state, _ = trained(seed, aggregator="pcgrad", project=project)
        wanted, _ = by_hand(lambda each: projected(each, project == "always"), seed)
        np.testing.assert_allclose(flattened(state.params), wanted, rtol=2e-5, atol=1e-6)
    plain, _ = by_hand(lambda each: each.mean(axis=0), seed)
    assert np.abs(plain - wanted).max() > 1e-3


def test_the_mean_of_examples_is_the_gradient_of_the_mean():
    _, plain, _ = trained(batch=8)
    _, mean, _ = trained(batch=8, aggregator="mean")
    _, total, _ = trained(batch=8, aggregator="sum")
    for state in (mean, total):  # a sum is divided by B
        np.testing.assert_allclose(
            flattened(state.params), flattened(plain.params), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(
    "name", ("pcgrad", "mgda", pytest.param("gradvac", marks=pytest.mark.thorough))
)
def test_no_strength_is_the_mean_bit_for_bit(name):
    base = "mean" if name == "mgda" else "sum"
    _, plain, _ = trained(batch=8, aggregator=base)
    _, none, _ = trained(batch=8, aggregator=name, strength=0.0)
    _, full, _ = trained(batch=8, aggregator=name)
    np.testing.assert_array_equal(flattened(none.params), flattened(plain.params))
    assert np.any(flattened(full.params) != flattened(plain.params))


def test_what_is_recorded_is_of_the_examples_gradients():
    """Means over two windows of two steps each, from gradients made one by one."""
    _, _, measured = trained(batch=8, aggregator="mean")
    _, seen = by_hand(lambda each: each.mean(axis=0), batch=8)
    pairs = [(each @ each.T)[np.triu_indices(8, 1)] for each in seen]
    signal = np.array([p.mean() for p in pairs]).reshape(2, 2).mean(axis=1)
    noise = np.array([each.var(axis=0, ddof=1).sum() for each in seen]).reshape(2, 2).mean(axis=1)
    conflicts = np.array([(p < 0).mean() for p in pairs]).reshape(2, 2).mean(axis=1)
    found = measured.training
    np.testing.assert_allclose(found["train_signal"], signal, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found["train_noise"], noise, rtol=1e-3)
    np.testing.assert_allclose(found["train_conflict_fraction"], conflicts, rtol=1e-5)
    ratio = np.where(signal > 0, noise / signal, np.nan)
    np.testing.assert_allclose(found["train_noise_scale"], ratio, rtol=5e-3)
    assert trained(batch=8)[2].training == {}


def test_the_probe_of_batches_changes_nothing_and_adds_up():
    _, plain, _ = trained(batch=8)
    first, state, measured = trained(batch=8, probed=3)
    np.testing.assert_allclose(
        flattened(state.params), flattened(plain.params), rtol=1e-5, atol=1e-6
    )
    for found in (first, measured.evaluation):
        layers = [found[f"gradient_cosine_in_{name}"] for name in ("hidden_0", "readout")]
        assert float(sum(layers)) == pytest.approx(float(found["gradient_cosine"]), rel=1e-5)
        assert -1 <= found["gradient_cosine"] <= 1 and found["gradient_noise"] > 0


def test_seeds_are_probed_on_batches_of_their_own():
    one, other = (trained(seed, batch=8, probed=3)[0]["gradient_noise"] for seed in (0, 1))
    assert one != other


def test_a_run_whose_examples_have_no_finite_gradient_is_flagged():
    """Half of the examples divide by zero: the combined gradient is not finite, and is seen."""
    _, state, measured = trained(batch=8, aggregator="pcgrad", spoiled=True)
    assert state.diverged_at == 0 and np.isnan(measured.train_loss).all()
