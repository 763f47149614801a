"""R&B through the real parts, from draws to shares, against gradients taken one by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus import evaluation, train
from plateaus.data import design
from plateaus.experiment import adaptation, geometry
from plateaus.models import mamba, transformer
from plateaus.optim import optimiser
from plateaus.recipe import Recipe
from plateaus.tasks import in_context
from plateaus.types import Knobs, streams

TASK = in_context.in_context(
    in_context.Spec(families="linear,relu,conjunction", dimension=2, points=4)
)
MODELS = {
    "transformer": transformer.transformer(
        transformer.Spec(width=8, depth=1, heads=2, max_positions=8),
        inputs=2,
        read_at=TASK.read_at,
    ),
    "mamba": mamba.mamba(mamba.Spec(width=8, depth=1), inputs=2, read_at=TASK.read_at),
}
BATCH, ROUND, SEED = 6, 4, 3
STILL = 1e-12  # a learning rate that leaves the parameters as they are


def recipe_of(model, layers=("readout",), rate=STILL, **spec):
    spec = design.Spec(**{"mixer": "r_and_b", "round_steps": ROUND, **spec})
    use = adaptation.in_use(spec, model, TASK, layers)
    feedback = adaptation.feedback(spec, TASK, layers)
    asked = feedback is not None and feedback.sums is not None
    return Recipe(
        task=TASK,
        source=design.design(spec, BATCH, TASK.size, frozenset(), TASK.groups, use),
        model=model,
        optimiser=optimiser.optimiser(optimiser.Spec(name="adam"), frozenset()),
        steps=2 * ROUND,
        phase_steps=ROUND,
        log_every=ROUND,
        eval_points=6,
        gradients=geometry.gradients_of(model, TASK) if asked else None,
        feedback=feedback,
    )


def knobs_of(rate=STILL, **data):
    knobs = Knobs(in_context.Knobs(), design.knobs_of(TASK.groups)(**data), optimiser.Knobs(rate))
    return jax.tree.map(jnp.asarray, knobs)


def run(recipe, knobs, phases=1):
    laws, _ = jax.jit(functools.partial(evaluation.laws, recipe))(SEED, knobs)
    state, _ = jax.jit(functools.partial(train.init, recipe))(SEED, knobs, laws)
    phase = jax.jit(functools.partial(train.phase, recipe))
    for number in range(phases):
        state, measured = phase(state, SEED, knobs, laws, jnp.int32(number * ROUND))
    return state, measured


def single_gradients(recipe, knobs, layers):
    """(gradients [N, P] of the first round's examples, groups [N], halves [N]), one by one."""
    keys = streams(SEED)
    world = TASK.init(keys.world)
    plan = recipe.source.prepare(knobs.data, TASK.size)
    state = recipe.source.init(keys.data)
    params = recipe.model.init(keys.params)

    def loss(params, example):
        alone = jax.tree.map(lambda x: x[None], example)
        return TASK.loss(recipe.model.apply(params, alone.inputs)[0][0], example)

    def of_step(t):
        draw = recipe.source.draw(keys.data, state, plan, t)
        noise = jax.random.split(jax.random.fold_in(keys.noise, t), BATCH)
        batch = jax.vmap(TASK.emit, (0, None, 0, None))(noise, world, draw, knobs.task)
        grads = jax.vmap(jax.grad(loss), (None, 0))(params, batch)
        chosen = [g.reshape(BATCH, -1) for name in layers for g in jax.tree.leaves(grads[name])]
        return jnp.concatenate(chosen, axis=1), draw.group

    every = [jax.jit(of_step)(t) for t in range(ROUND)]
    grads = np.concatenate([np.asarray(g, np.float64) for g, _ in every])
    return grads, np.concatenate([g for _, g in every]), np.arange(ROUND).repeat(BATCH) % 2


def shares_of(gram, target, lambda_):
    gain = gram @ target
    odds = np.exp(lambda_ * gain / np.linalg.norm(gain))
    return odds / odds.sum()


def means(grads, group):
    return np.stack([grads[group == g].mean(axis=0) for g in range(3)])


@pytest.mark.parametrize(
    ("name", "layers", "kind"),
    [
        ("transformer", ("readout",), "biased"),
        ("transformer", ("block_0", "read_in"), "unbiased"),
        ("mamba", ("readout",), "unbiased"),
    ],
)
def test_shares_follow_from_the_gradients_of_a_rounds_examples(name, layers, kind):
    aim = {"target_linear": 1.0, "target_relu": 2.0, "target_conjunction": 0.5}
    target = np.array([*aim.values()]) / sum(aim.values())
    recipe = recipe_of(MODELS[name], layers, mixer_gram=kind)
    knobs = knobs_of(r_and_b_lambda=2.0, **aim)
    state, measured = run(recipe, knobs)
    grads, group, half = single_gradients(recipe, knobs, layers)
    whole = means(grads, group)
    a, b = (means(grads[half == h], group[half == h]) for h in range(2))
    grams = {"biased": whole @ whole.T, "unbiased": (a @ b.T + b @ a.T) / 2}
    np.testing.assert_allclose(
        state.source.mixer.weights, shares_of(grams[kind], target, 2.0), rtol=1e-4
    )
    gain = measured.training["train_gram_gain_unbiased_by_task"][-1]
    np.testing.assert_allclose(gain, grams["unbiased"] @ target, rtol=1e-3, atol=1e-7)


def test_half_strength_goes_half_of_the_way():
    """Three strengths in one program."""
    recipe, knobs = recipe_of(MODELS["transformer"]), knobs_of()
    data = knobs.data._replace(mixer_strength=jnp.array([0.0, 0.5, 1.0]))
    axes = jax.tree.map(lambda _: None, knobs.data)._replace(mixer_strength=0)

    def last_shares(data):
        own = knobs._replace(data=data)
        laws, _ = evaluation.laws(recipe, SEED, own)
        state, _ = train.init(recipe, SEED, own, laws)
        _, measured = train.phase(recipe, state, SEED, own, laws, jnp.int32(0))
        return measured.training["train_mixture_by_task"][-1]

    shares = np.asarray(jax.jit(jax.vmap(last_shares, in_axes=(axes,)))(data))
    np.testing.assert_allclose(shares[0], np.float32(1) / 3)
    np.testing.assert_allclose(shares[1], (shares[0] + shares[2]) / 2, rtol=1e-5)
    assert np.ptp(shares[2]) > 0.05


def test_at_strength_0_training_is_that_of_a_mixture_without_a_mixer():
    """The same draws, bit for bit; the gradients are summed in another order."""
    model = MODELS["transformer"]
    rate = 1e-2
    mixed, _ = run(recipe_of(model), knobs_of(rate, mixer_strength=0.0), phases=2)
    plain, _ = run(recipe_of(model, mixer="fixed"), knobs_of(rate), phases=2)
    for a, b in zip(jax.tree.leaves(mixed.params), jax.tree.leaves(plain.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_group_outside_the_mixture_gets_no_share():
    knobs = knobs_of(weight_relu=0.0)
    _, measured = run(recipe_of(MODELS["transformer"]), knobs, phases=2)
    shares = np.asarray(measured.training["train_mixture_by_task"])
    assert not shares[:, 1].any()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert not np.asarray(measured.training["train_count_by_task"])[:, 1].any()
