"""Mixers that look at losses, of training or after short runs: against numpy loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from plateaus.data.mixers import aioli, doremi, exp3, skill_it
from plateaus.data.mixers.mixer import Round

GROUPS, ROUNDS = 4, 12


def told(groups=GROUPS, **known):
    """A round; what is not given is not known, or alike."""
    row, square = np.full(groups, np.nan), np.full((groups, groups), np.nan)
    alike = np.full(groups, 1 / groups)
    found = Round(alike, row, np.ones(groups), alike, square, row, square, row, square)
    return Round(*map(np.float32, found._replace(**known)))


@functools.cache
def program(build, **options):
    """(knobs, rounds, state) -> the weights after every round, and the last state."""
    mixer = build(**options)

    @jax.jit
    def all_rounds(knobs, rounds, state):
        def step(state, given):
            weights, state = mixer.update(given[0], state, knobs, given[1])
            return state, weights

        state = mixer.init(rounds.target.shape[1]) if state is None else state
        state, found = jax.lax.scan(step, state, (rounds, jnp.arange(len(rounds.target))))
        return found, state

    return all_rounds


def run(build, knobs, rounds, state=None, **options):
    together = jax.tree.map(lambda *x: np.stack(x), *rounds)
    return jax.device_get(program(build, **options)(knobs, together, state))


# DoReMi


def test_doremi_by_hand():
    """Excess log 3 and 0: factors 3 and 1; a tenth shared: .9 x .75 + .05."""
    rounds = [told(2, excess=[np.log(3), 0])]
    found, _ = run(doremi.doremi, doremi.Knobs(smoothing=0.1), rounds)
    np.testing.assert_allclose(found, [[0.725, 0.275]], rtol=1e-5)


@pytest.mark.parametrize("smoothing", (0.0, 1e-4, 0.2))
def test_doremi_is_its_loop(smoothing):
    """A group without an example keeps its last excess, at first 0; smoothed weights go on."""
    rng = np.random.default_rng(0)
    excess = rng.uniform(0, 2, (ROUNDS, GROUPS))
    count = rng.integers(0, 2, (ROUNDS, GROUPS))
    assert 0 in count[0]
    excess[count == 0] = 0  # as rounds.summary says it
    rounds = [told(excess=e, count=c) for e, c in zip(excess, count, strict=True)]
    found, _ = run(doremi.doremi, doremi.Knobs(0.5, smoothing), rounds)
    q, last = np.full(GROUPS, 1 / GROUPS), np.zeros(GROUPS)
    for t in range(ROUNDS):
        last = np.where(count[t] > 0, excess[t], last)
        q = q * np.exp(0.5 * last)
        q = (1 - smoothing) * q / q.sum() + smoothing / GROUPS
        np.testing.assert_allclose(found[t], q, rtol=1e-4)


def test_doremi_has_a_floor():
    """However long one group is worse: c / G, and it comes back in one step of its own."""
    rounds = [told(2, excess=[30, 0])] * 20
    found, state = run(doremi.doremi, doremi.Knobs(smoothing=0.01), rounds)
    np.testing.assert_allclose(found[-1], [0.995, 0.005], rtol=1e-3)
    back, _ = run(doremi.doremi, doremi.Knobs(smoothing=0.01), [told(2, excess=[0, 30])], state)
    np.testing.assert_allclose(back[0], [0.005, 0.995], rtol=1e-3)


# Exp3


def odm(losses, counts, shares, decay, importance=True, exponential=False):
    """The bandit in float64, with losses l, counts n and shares b by round."""
    groups = losses.shape[1]

    def explore(t):
        return 1 / groups if t == 0 else min(1 / groups, np.sqrt(np.log(groups) / (groups * t)))

    reward = np.zeros(groups)
    for number, (loss, n, b) in enumerate(zip(losses, counts, shares, strict=True), 1):
        for i in range(groups):
            if n[i] > 0:
                new = np.exp(loss[i]) if exponential else loss[i]
                if importance:
                    new = (n[i] / n.sum()) * new / b[i]
                reward[i] = decay * reward[i] + (1 - decay) * new
        t = number + 1
        gibbs = np.exp(explore(t - 1) * reward)
        yield (1 - groups * explore(t)) * gibbs / gibbs.sum() + explore(t)


@pytest.mark.parametrize("importance", (True, False))
@pytest.mark.parametrize("exponential", (True, False))
def test_exp3_is_its_loop(importance, exponential):
    rng = np.random.default_rng(1)
    losses, counts = rng.uniform(0.1, 4, (40, GROUPS)), rng.integers(0, 5, (40, GROUPS))
    shares = rng.dirichlet(3 * np.ones(GROUPS), 40)
    losses[counts == 0] = np.nan
    counts[7], losses[7] = 0, np.nan  # nothing at all
    drawn = zip(losses, counts, shares, strict=True)
    rounds = [told(loss=loss, count=n, shares=b) for loss, n, b in drawn]
    found, _ = run(
        exp3.exp3, exp3.Knobs(decay=0.8), rounds, importance=importance, exponential=exponential
    )
    expected = list(odm(losses, counts, shares, 0.8, importance, exponential))
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    np.testing.assert_allclose(found[:3], 0.25, rtol=1e-6)  # it only explores until t = 4 log 4
    assert np.ptp(found[-1]) > 0.005
    for t, weights in enumerate(found, 2):
        assert weights.min() >= np.sqrt(np.log(4) / (4 * t)) - 1e-6 or t < 6


def test_exp3_by_hand():
    """t = 100 of 2 groups: eps_99 = (log 2 / 198)^.5 = .059167, eps_100 = .058871; R = .1 x 3 x
    (1/4) / (1/2) = .15 and .1 x 1 x (3/4) / (1/2) = .15: alike; with half of each, .3 and .1."""
    state = exp3.State(np.zeros(2, np.float32), np.int32(98))
    rounds = [told(2, loss=[3, 1], count=[1, 3])]
    found, after = run(exp3.exp3, exp3.Knobs(), rounds, state)
    np.testing.assert_allclose(after.reward, [0.15, 0.15], rtol=1e-5)
    np.testing.assert_allclose(found[0], [0.5, 0.5], rtol=1e-6)
    found, _ = run(exp3.exp3, exp3.Knobs(), [told(2, loss=[3, 1], count=[2, 2])], state)
    first = (1 - 2 * 0.058871) / (1 + np.exp(-0.059167 * 0.2)) + 0.058871
    np.testing.assert_allclose(found[0], [first, 1 - first], rtol=1e-5)


def test_exp3s_reward_is_the_loss_in_expectation():
    """Groups drawn at random: the mean of n/N l/b over rounds is l, within its standard error."""
    rng = np.random.default_rng(2)
    shares, loss = np.array([0.1, 0.2, 0.7]), np.array([3.0, 1.0, 2.0])
    rule, zero = exp3.exp3(), exp3.State(jnp.zeros(3), jnp.int32(0))

    def reward(n):
        signals = jax.tree.map(jnp.asarray, told(3, loss=loss, shares=shares))._replace(count=n)
        return rule.update(signals, zero, exp3.Knobs(decay=0.0), 0)[1].reward

    counts = rng.multinomial(20, shares, 4000)
    rewards = np.asarray(jax.jit(jax.vmap(reward))(np.float32(counts)))
    error = rewards.std(axis=0) / np.sqrt(len(rewards))
    assert np.all(np.abs(rewards.mean(axis=0) - loss) < 4 * error) and np.all(error < 0.1)


# Skill-It


def test_skill_it_by_hand():
    """A = [[1/2, 0], [1/4, 1]] of losses 2, 1; A l = (1, 3/2) after one round, twice that after
    two and so on, up to three rounds."""
    rounds = [told(2, target_loss=[2, 1], affinity=[[1, 0], [0.5, 1]])] * 5
    found, _ = run(skill_it.skill_it, skill_it.Knobs(eta=1.0), rounds)
    expected = [special.softmax(np.array([1.0, 1.5]) * min(n, 3)) for n in range(1, 6)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("window", (1, 3, 20))
@pytest.mark.parametrize("relative", (True, False))
def test_skill_it_is_its_loop(window, relative):
    """The matrix is the first round's, what hurts is no edge, weights start from ones."""
    rng = np.random.default_rng(3)
    losses = rng.uniform(0.2, 2, (ROUNDS, GROUPS))
    falls = rng.uniform(-0.5, 1, (ROUNDS, GROUPS, GROUPS))
    target = np.array([0.5, 0.2, 0.3, 0.0])
    rounds = [
        told(target_loss=x, affinity=f, target=target) for x, f in zip(losses, falls, strict=True)
    ]
    found, _ = run(
        skill_it.skill_it, skill_it.Knobs(eta=0.3), rounds, window=window, relative=relative
    )
    helps = [[max(f, 0) for f in row] for row in falls[0]]
    for t in range(ROUNDS):
        exponents = np.zeros(GROUPS)
        for i in range(GROUPS):
            for j in range(3):  # the targets
                part = helps[i][j] / (losses[0, j] if relative else 1)
                for s in range(max(0, t - window + 1), t + 1):
                    exponents[i] += 0.3 * 3 * target[j] * part * losses[s, j]
        np.testing.assert_allclose(found[t], special.softmax(exponents), rtol=1e-4)


# Aioli


def aioli_loop(falls, eta, ema=None, normalise=True, target=None):
    """De-mixed by a general solver; ema: of the averaged variant."""
    groups = falls.shape[1]
    mixtures = (1 - aioli.SMOOTHING) * np.eye(groups) + aioli.SMOOTHING / groups
    q, average = np.ones(groups) / groups, None
    for fall in falls:
        helps = np.stack([np.linalg.solve(mixtures, fall[:, j]) for j in range(groups)], axis=1)
        if target is not None:
            helps = helps * target * np.sum(np.asarray(target) > 0)
        if normalise:
            helps = helps - min(helps.min(), 0)
            helps = helps / helps.sum()
        if ema is None:
            q = q * np.exp(eta * helps.sum(axis=1))
        else:
            average = helps if average is None else (1 - ema) * helps + ema * average
            q = np.exp(eta * average.sum(axis=1))
        q = q / q.sum()
        yield q


def test_aioli_by_hand():
    """Runs on 7/8 + 1/8 mixtures. Group 0 alone lowers losses by (3, 1), group 1 by (0, 2); so runs
    lower them by (21, 9)/8 and (3, 15)/8. A / 6 has the rows' sums 4/6 and 2/6."""
    rounds = [told(2, affinity=np.array([[21, 9], [3, 15]]) / 8)]
    assert aioli.SMOOTHING == 0.25
    found, _ = run(aioli.aioli, aioli.Knobs(eta=3.0), rounds)
    np.testing.assert_allclose(found, [special.softmax([2.0, 1.0])], rtol=1e-5)
    found, _ = run(aioli.aioli, aioli.Knobs(eta=0.5), rounds, normalise=False)
    np.testing.assert_allclose(found, [special.softmax([2.0, 1.0])], rtol=1e-5)
    # all that is positive is not shifted: (3, 1) and (1, 2) have the parts 4/7 and 3/7
    rounds = [told(2, affinity=np.array([[22, 9], [10, 15]]) / 8)]
    found, _ = run(aioli.aioli, aioli.Knobs(eta=7.0), rounds)
    np.testing.assert_allclose(found, [special.softmax([4.0, 3.0])], rtol=1e-5)


@pytest.mark.parametrize("normalise", (True, False))
@pytest.mark.parametrize("average", (True, False))
@pytest.mark.parametrize("target", (None, (0.5, 0.2, 0.3, 0.0)))
def test_aioli_is_its_loop(normalise, average, target):
    falls = np.random.default_rng(4).uniform(-0.5, 1, (ROUNDS, GROUPS, GROUPS))
    given = {} if target is None else {"target": np.array(target)}
    rounds = [told(affinity=fall, **given) for fall in falls]
    found, _ = run(
        aioli.aioli, aioli.Knobs(eta=0.7, ema=0.3), rounds, normalise=normalise, average=average
    )
    expected = list(aioli_loop(falls, 0.7, 0.3 if average else None, normalise, target))
    np.testing.assert_allclose(found, expected, rtol=5e-4)


def test_aioli_that_learns_nothing_changes_nothing():
    moved, state = run(
        aioli.aioli, aioli.Knobs(eta=5.0), [told(affinity=np.diag(np.eye(GROUPS)[1]))]
    )
    still, _ = run(aioli.aioli, aioli.Knobs(), [told(affinity=np.zeros((4, 4)))], state)
    np.testing.assert_allclose(still, moved, rtol=1e-6)
