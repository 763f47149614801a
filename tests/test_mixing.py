"""R&B through the real parts, from draws to shares, against gradients taken one by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus import evaluation, train
from plateaus.build import gradients, mixing
from plateaus.data import designs
from plateaus.models.networks import mamba, transformer
from plateaus.optim import optimisers
from plateaus.recipe import Recipe
from plateaus.tasks.laws import in_context
from plateaus.types import Example, Knobs, streams

TASK = in_context.in_context(
    in_context.Spec(families="linear,relu,conjunction", dimension=2, points=4)
)
MODELS = {
    "transformer": transformer.transformer(
        transformer.Spec(width=8, depth=1, heads=2, max_positions=8),
        inputs=2,
        read_at=TASK.reads.at,
    ),
    "mamba": mamba.mamba(mamba.Spec(width=8, depth=1), inputs=2, read_at=TASK.reads.at),
}
BATCH, ROUND, SEED = 6, 4, 3
STILL = 1e-12  # a learning rate that leaves the parameters as they are
TRAINED = 1e-2
ZEROS = np.zeros((3, 4), np.float32)  # what is evaluated on, as little as there can be
SAMPLE = Example(np.zeros((3, 8, 2), np.float32), in_context.Targets(ZEROS, ZEROS, np.arange(3)))
LAWS = {"test": evaluation.Law(SAMPLE, {})}


def recipe_of(model, layers=("readout",), **spec):
    spec = designs.Spec(**{"mixer": "r_and_b", "round_steps": ROUND, **spec})
    use = mixing.in_use(spec, model, TASK, layers)
    feedback = mixing.feedback(spec, TASK, layers)
    asked = feedback is not None and feedback.sums is not None
    return Recipe(
        task=TASK,
        source=designs.design(spec, BATCH, TASK.size, frozenset(), TASK.group_names, use),
        model=model,
        optimiser=optimisers.optimiser(optimisers.Spec(name="adam"), frozenset()),
        steps=2 * ROUND,
        phase_steps=ROUND,
        log_every=ROUND,
        eval_points=6,
        gradients=gradients.gradients_of(model, TASK) if asked else None,
        feedback=feedback,
    )


def knobs_of(rate=STILL, **data):
    knobs = Knobs(
        in_context.Knobs(), designs.knobs_of(TASK.group_names)(**data), optimisers.Knobs(rate)
    )
    return jax.tree.map(np.asarray, knobs)


@functools.cache
def programs(name, layers, kind, mixer):
    """A run's start, and its next round."""
    recipe = recipe_of(MODELS[name], layers, mixer_gram=kind, mixer=mixer)

    def start(seed, knobs, laws):
        return train.init(recipe, seed, knobs, laws)[0]

    return jax.jit(start), jax.jit(functools.partial(train.phase, recipe))


def run(setting, name="transformer", layers=("readout",), kind="biased", mixer="r_and_b"):
    """Parameters, shares and measurements after each of two rounds."""
    start, phase = programs(name, layers, kind, mixer)
    rate, data = SETTINGS[setting]
    seed, knobs = np.uint32(SEED), knobs_of(rate, **data)
    state, found = start(seed, knobs, LAWS), []
    for number in range(2):
        state, measured = phase(state, seed, knobs, LAWS, np.int32(number * ROUND))
        shares = state.source.mixer.weights if state.source.mixer else ()
        found.append((state.params, shares, measured.training))
    return jax.tree.map(lambda *x: np.stack(x), *found)


AIM = {"target_linear": 1.0, "target_relu": 2.0, "target_conjunction": 0.5}
AIMED = {"r_and_b_lambda": 2.0, **AIM}
SETTINGS = {
    "aimed": (STILL, AIMED),
    **{strength: (STILL, {"mixer_strength": strength}) for strength in (0.0, 0.5, 1.0)},
    "trained": (TRAINED, {"mixer_strength": 0.0}),
    "outside": (STILL, {"weight_relu": 0.0}),
}


@functools.cache
def single_gradients(name):
    """Gradients [N, ...] of the first round's examples, groups [N], halves [N], one by one."""
    recipe = recipe_of(MODELS[name])

    def loss(params, example):
        alone = jax.tree.map(lambda x: x[None], example)
        return TASK.loss(recipe.model.apply(params, alone.inputs)[0][0], example)

    @jax.jit
    def every(seed, knobs):
        keys = streams(seed)
        world = TASK.init(keys.world)
        plan = recipe.source.prepare(knobs.data, TASK.size)
        state = recipe.source.init(keys.data)
        params = recipe.model.init(keys.params)

        def of_step(t):
            draw = recipe.source.draw(keys.data, state, plan, t)
            noise = jax.random.split(jax.random.fold_in(keys.noise, t), BATCH)
            batch = jax.vmap(TASK.emit, (0, None, 0, None))(noise, world, draw, knobs.task)
            return jax.vmap(jax.grad(loss), (None, 0))(params, batch), draw.group

        found = jax.lax.map(of_step, jnp.arange(ROUND))
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), found)

    grads, group = jax.tree.map(np.asarray, every(np.uint32(SEED), knobs_of(**AIMED)))
    return grads, group, np.arange(ROUND).repeat(BATCH) % 2


def flat(grads, layers):
    """The gradients [N, P] of these layers."""
    chosen = [np.float64(g) for name in layers for g in jax.tree.leaves(grads[name])]
    return np.concatenate([g.reshape(len(g), -1) for g in chosen], axis=1)


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
        pytest.param("mamba", ("readout",), "unbiased", marks=pytest.mark.thorough),
    ],
)
def test_shares_follow_from_the_gradients_of_a_rounds_examples(name, layers, kind):
    target = np.array([*AIM.values()]) / sum(AIM.values())
    _, shares, told = run("aimed", name, layers, kind)
    single, group, half = single_gradients(name)
    grads = flat(single, layers)
    whole = means(grads, group)
    a, b = (means(grads[half == h], group[half == h]) for h in range(2))
    grams = {"biased": whole @ whole.T, "unbiased": (a @ b.T + b @ a.T) / 2}
    np.testing.assert_allclose(shares[0], shares_of(grams[kind], target, 2.0), rtol=1e-4)
    gain = told["train_gram_gain_unbiased_by_task"][0, -1]
    np.testing.assert_allclose(gain, grams["unbiased"] @ target, rtol=1e-3, atol=1e-7)


def last_shares(strength):
    """The shares of the first round's last window."""
    return run(strength)[-1]["train_mixture_by_task"][0, -1]


def test_half_strength_goes_half_of_the_way():
    none, half, whole = map(last_shares, (0.0, 0.5, 1.0))
    np.testing.assert_allclose(none, np.float32(1) / 3)
    np.testing.assert_allclose(half, (none + whole) / 2, rtol=1e-5)
    assert np.ptp(whole) > 0.05


def test_at_strength_0_training_is_that_of_a_mixture_without_a_mixer():
    """The same draws, bit for bit; the gradients are summed in another order."""
    mixed, *_ = run("trained")
    plain, *_ = run("trained", mixer="fixed")
    for a, b in zip(jax.tree.leaves(mixed), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a[-1], b[-1], rtol=1e-3, atol=1e-4)


def test_a_group_outside_the_mixture_gets_no_share():
    told = run("outside")[-1]
    shares = told["train_mixture_by_task"][-1]
    assert not shares[:, 1].any()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert not told["train_count_by_task"][-1][:, 1].any()
