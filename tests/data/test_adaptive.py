"""A mixer in use: rounds, stages, strength, and what its weights are weights of."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data import adaptive, designs
from plateaus.data.mixers.mixer import Mixer, Round
from plateaus.types import Signals

NAMES = ("a", "b", "c")
GROUPS, K = len(NAMES), 4
TRACKED = {"w": jax.ShapeDtypeStruct((GROUPS, 2), jnp.float32)}


class Told(NamedTuple):
    round: Round
    t: jax.Array


def spy():
    """A mixer whose weights are the losses of the round over their sum, and that keeps what it is
    told."""

    def init(groups):
        row, square = jnp.zeros(groups), jnp.zeros((groups, groups))
        kept = Round(row, row, row, row, square, row, square, row, square)
        return Told(kept, jnp.asarray(-1, jnp.int32))

    def update(signals, state, knobs, t):
        return signals.loss / jnp.sum(signals.loss), Told(signals, jnp.asarray(t, jnp.int32))

    return Mixer(init, update)


def use_of(mixer=None, tracked=None, target=(1.0, 1.0, 2.0), **spec):
    spec = designs.Spec(mixer="uniform", round_steps=K, **spec)
    return adaptive.Adaptive(spec, mixer or spy(), target, tracked)


def weighted(use, weights):
    """The state in which a mixer has these weights."""
    return adaptive.init(use)._replace(weights=jnp.asarray(weights, jnp.float32))


def run(use, steps, tracked=False):
    """States after each of these steps (losses [G], counts [G], gradients [G, 2])."""

    @jax.jit
    def all_steps(steps):
        def step(state, given):
            t, loss, count, gradient = given
            told = Signals(loss, count, {"w": gradient} if tracked else None)
            shares = jnp.full(GROUPS, 1 / GROUPS)
            target = jnp.asarray(use.target)
            state = adaptive.observe(use, state, told, target, shares, None, t)
            return state, state

        return jax.lax.scan(step, adaptive.init(use), steps)[1]

    losses, counts, gradients = map(np.float32, steps)
    return jax.device_get(all_steps((np.arange(len(losses)), losses, counts, gradients)))


def steps_of(number, seed=0):
    rng = np.random.default_rng(seed)
    losses, counts = rng.uniform(0.5, 2, (number, GROUPS)), rng.integers(1, 4, (number, GROUPS))
    return losses, counts, rng.standard_normal((number, GROUPS, 2))


def round_weights(steps, number):
    """What the spy answers after round `number`, from 0: its mean losses over their sum."""
    losses, counts, _ = (x[number * K : (number + 1) * K] for x in steps)
    mean = (losses * counts).sum(axis=0) / counts.sum(axis=0)
    return mean / mean.sum()


def test_shares_change_at_the_end_of_a_round_and_by_its_examples_alone():
    steps = steps_of(3 * K)
    states = run(use_of(), steps)
    weights = np.asarray(states.weights)
    np.testing.assert_allclose(weights[: K - 1], 1 / GROUPS, rtol=1e-6)
    for number in range(3):
        held = weights[(number + 1) * K - 1 : (number + 2) * K - 1]
        expected = np.broadcast_to(round_weights(steps, number), held.shape)
        np.testing.assert_allclose(held, expected, rtol=1e-5)
    assert list(states.rounds) == [0] * 3 + [1] * 4 + [2] * 4 + [3]
    told = states.mixer
    assert list(told.t[K - 1 :: K]) == [3, 7, 11]
    np.testing.assert_allclose(told.round.target[-1], [0.25, 0.25, 0.5])  # over their sum
    assert np.array_equal(told.round.count[-1], steps[1][2 * K :].sum(axis=0))


@pytest.mark.parametrize("kind", ("biased", "unbiased"))
def test_the_gram_asked_for_is_told_and_both_gains_are_kept(kind):
    losses, counts, gradients = steps_of(2 * K)
    use = use_of(tracked=TRACKED, mixer_gram=kind)
    states = run(use, (losses, counts, gradients), tracked=True)
    last = slice(K, 2 * K)
    whole = gradients[last].sum(axis=0) / counts[last].sum(axis=0)[:, None]
    even, odd = (
        gradients[K + h : 2 * K : 2].sum(axis=0) / counts[K + h : 2 * K : 2].sum(axis=0)[:, None]
        for h in range(2)
    )
    across = (even @ odd.T + odd @ even.T) / 2
    expected = {"biased": whole @ whole.T, "unbiased": across}
    np.testing.assert_allclose(states.mixer.round.gram[-1], expected[kind], atol=1e-5)
    aim = np.array([0.25, 0.25, 0.5])
    gains = np.stack([expected["biased"] @ aim, across @ aim])
    np.testing.assert_allclose(states.gain[-1], gains, atol=1e-5)


@pytest.mark.parametrize("empty", ("zero", "last"))
def test_an_empty_group_has_no_gradient_or_its_last(empty):
    losses, counts, gradients = steps_of(2 * K)
    counts[K:, 1], losses[K:, 1], gradients[K:, 1] = 0, np.nan, 0
    use = use_of(tracked=TRACKED, mixer_empty=empty)
    gram = run(use, (losses, counts, gradients), tracked=True).mixer.round.gram[-1]
    mean = [
        g.sum(axis=0) / np.maximum(c.sum(axis=0), 1)[:, None]
        for g, c in ((gradients[:K], counts[:K]), (gradients[K:], counts[K:]))
    ]
    row = mean[0][1] if empty == "last" else np.zeros(2)
    rows = np.stack([mean[1][0], row, mean[1][2]])
    np.testing.assert_allclose(gram, rows @ rows.T, atol=1e-5)


def test_stages_reference_adapts_nothing_proxy_ends_in_its_average():
    """A round of the reference, three of the proxy, two of the model that is kept."""
    steps = steps_of(6 * K)
    use = use_of(reference_steps=K, proxy_steps=3 * K)
    assert (use.begins, use.ends) == (K, 4 * K)
    states = run(use, steps)
    after = np.asarray(states.weights)[K - 1 :: K]
    proxy = [round_weights(steps, number) for number in (1, 2, 3)]
    expected = [np.full(3, 1 / 3), *proxy[:2], *[np.mean(proxy, axis=0)] * 3]
    np.testing.assert_allclose(after, expected, rtol=1e-5)
    assert list(states.rounds[K - 1 :: K]) == [0, 1, 2, 3, 3, 3]
    assert states.mixer.t[-1] == 4 * K - 1
    assert not np.any(states.ledger.count[K - 1 :: K])  # and every round starts anew
    without = run(use_of(reference_steps=K), steps)  # no proxy: it adapts to the end
    np.testing.assert_allclose(without.weights[-1], round_weights(steps, 5), rtol=1e-5)


BASE = np.float32([0.2, 0.8, 0.0])


@functools.cache
def shares_of():
    """(weights of the mixer, strength) -> the shares that are drawn."""

    @jax.jit
    def blended(weights, strength):
        return adaptive.blended(jnp.asarray(BASE), weighted(use_of(), weights), strength)

    return blended


@pytest.mark.parametrize("strength", (0.0, 0.3, 1.0))
def test_strength_is_the_way_to_the_mixers_shares(strength):
    """Of the groups that the mixture draws."""
    shares = shares_of()(np.float32([0.3, 0.1, 0.6]), np.float32(strength))
    expected = (1 - strength) * BASE + strength * np.array([0.75, 0.25, 0])
    np.testing.assert_allclose(shares, expected, rtol=1e-6)
    if not strength:
        assert np.array_equal(shares, BASE)


@pytest.mark.parametrize("weights", ([np.nan, 0.5, 0.5], [0, 0, 1], [np.inf, 0, 0]))
def test_weights_that_say_nothing_of_what_is_drawn_change_nothing(weights):
    """And never bring in a group that the mixture does not draw."""
    np.testing.assert_allclose(shares_of()(np.float32(weights), np.float32(1)), BASE, rtol=1e-6)


@pytest.mark.parametrize("what", ("draws", "losses"))
def test_weights_are_of_draws_or_of_losses(what):
    """Of losses while the proxy trains, then always of draws."""
    use = use_of(mixer_use=what, proxy_steps=2 * K)

    @jax.jit
    @jax.vmap
    def run(t):
        state, full, base = weighted(use, [0.3, 0.1, 0.6]), jnp.float32(1), jnp.asarray(BASE)
        return tuple(law(use, base, state, full, t) for law in (adaptive.draws, adaptive.emphasis))

    mixed, times = np.array([0.75, 0.25, 0]), np.int32([0, 2 * K - 1, 2 * K, 5 * K])
    for t, drawn, factors in zip(times, *run(times), strict=True):
        of_losses = what == "losses" and t < 2 * K
        np.testing.assert_allclose(drawn, BASE if of_losses else mixed, rtol=1e-6)
        expected = [0.75 / 0.2, 0.25 / 0.8, 1] if of_losses else np.ones(3)
        np.testing.assert_allclose(factors, expected, rtol=1e-6)


def test_by_their_papers_doge_and_doremi_weigh_losses():
    of_losses = {
        name: adaptive.adaptive(designs.Spec(mixer=name), (1.0, 1.0)).weighs_losses
        for name in adaptive.MIXERS
    }
    assert {name for name, own in of_losses.items() if own} == {"doge", "doremi"}


@functools.cache
def source_of(**spec):
    use = use_of(**spec)
    return designs.design(use.spec, 8, 100, frozenset(), NAMES, use)


def knobs_of(**values):
    return jax.tree.map(jnp.asarray, designs.knobs_of(NAMES)(**values))


VALUES, WEIGHTS = np.array([1.0, -2.0, 4.0]), np.array([0.6, 0.1, 0.3])


@functools.cache
def mean_loss_of(what):
    """Strength -> the mean of factor times value at each of 4,000 steps."""
    source = source_of(mixer_use=what, mixing="sequence")

    @jax.jit
    def run(strength):
        plan = source.prepare(knobs_of(weight_b=3.0, mixer_strength=strength), 100)
        key = jax.random.key(0)
        state = source.init(key)
        state = state._replace(mixer=state.mixer._replace(weights=jnp.float32(WEIGHTS)))

        def one(t):
            group = source.draw(key, state, plan, t).group
            factors = jnp.ones(3) if source.emphasis is None else source.emphasis(state, plan, t)
            return jnp.mean(factors[group] * jnp.float32(VALUES)[group])

        return jax.vmap(one)(jnp.arange(4000))

    return run


@pytest.mark.parametrize("strength", (0.4, 1.0))
@pytest.mark.parametrize("what", ("draws", "losses"))
def test_either_way_the_mean_loss_is_that_of_the_mixers_shares(what, strength):
    """Over draws through the mixture: of factor times value, within its standard error."""
    means = np.asarray(mean_loss_of(what)(np.float32(strength)))
    expected = ((1 - strength) * np.array([0.2, 0.6, 0.2]) + strength * WEIGHTS) @ VALUES
    error = means.std() / np.sqrt(len(means))
    assert abs(means.mean() - expected) < 4 * error
    assert error < 0.05 < abs(np.array([0.2, 0.6, 0.2]) @ VALUES - expected)  # told apart


@functools.cache
def steered(what):
    """Strength -> (shares, factors, groups drawn) of a state that is told its shares."""
    source = source_of(mixer_use=what)

    @jax.jit
    def run(strength):
        key = jax.random.key(0)
        plan = source.prepare(knobs_of(weight_c=0.0, mixer_strength=strength), 100)
        state = source.steer(source.init(key), jnp.array([0.25, 0.75, 0.0]))
        factors = None if source.emphasis is None else source.emphasis(state, plan, 0)
        draw = jax.vmap(lambda t: source.draw(key, state, plan, t).group)
        return source.weights(state, plan, 0), factors, draw(jnp.arange(9))

    return run


@pytest.mark.parametrize("what", ("draws", "losses"))
@pytest.mark.parametrize("strength", (0.0, 1.0))
def test_a_steered_state_draws_as_it_is_told(what, strength):
    """Whatever the strength and the use."""
    shares, factors, group = jax.device_get(steered(what)(np.float32(strength)))
    np.testing.assert_allclose(shares, [0.25, 0.75, 0], rtol=1e-6)
    assert factors is None or np.array_equal(factors, np.ones(3))
    assert np.all(np.sum(group == 1, axis=1) == 6) and not np.any(group == 2)


def values_of(**given):
    spec = {f: getattr(designs.Spec(), f) for f in adaptive.Spec.__dataclass_fields__}
    aims = {f"target_{name}": 1.0 for name in NAMES}
    return {**spec, **aims, "switch": "none", "mixer": "r_and_b", "steps": 400, **given}


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"mixer": "fixed", "reference_steps": 100}, "reference_steps", "data.mixer is fixed"),
        ({"mixer": "fixed", "proxy_steps": 100}, "proxy_steps", "data.mixer is fixed"),
        ({"round_steps": 30}, "round_steps", "must divide steps (400)"),
        ({"round_steps": 1, "mixer_gram": "unbiased"}, "round_steps", "must be at least 2"),
        ({"proxy_steps": 50}, "proxy_steps", "must be a multiple of round_steps (100)"),
        ({"proxy_steps": 400}, "proxy_steps", "leaves no step of 400"),
        ({"mixer": "doremi"}, "reference_steps", "doremi compares with a reference"),
        ({"reference_steps": 100}, "reference_steps", "r_and_b compares with no reference"),
        (dict.fromkeys(["target_a", "target_b", "target_c"], 0.0), "target_a", "aims at nothing"),
        ({"names": ("a", "b"), "target_a": 0.0, "target_b": 0.0}, "target_a", "aims at nothing"),
        ({"switch": "escape", "proxy_steps": 100}, "switch", "of the model before"),
        ({"names": ("a",)}, "mixer", "r_and_b has nothing to mix: a is the only group"),
    ],
)
def test_what_leaves_a_mixer_nothing_to_do_is_refused(given, field, message):
    assert not list(adaptive.check(values_of(), NAMES))
    names = given.get("names", NAMES)
    ((found, text),) = adaptive.check(values_of(**given), names)
    assert found == field and message in text
