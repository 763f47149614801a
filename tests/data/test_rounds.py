"""The ledger of a round: against sums over single examples, and what its Gram matrices estimate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data import rounds
from plateaus.types import Signals

GROUPS, BATCH, STEPS = 4, 5, 6
TREE = {"a": (2, 3), "b": (4,)}  # shapes of the tracked layers
TRACKED = {n: jax.ShapeDtypeStruct((GROUPS, *shape), jnp.float32) for n, shape in TREE.items()}


def examples(seed, never=()):
    """Steps of (groups [B], losses, excess, gradients), single examples of random groups."""
    rng = np.random.default_rng(seed)
    allowed = [g for g in range(GROUPS) if g not in never]
    for _ in range(STEPS):
        gradient = {n: rng.standard_normal((BATCH, *shape)) for n, shape in TREE.items()}
        yield rng.choice(allowed, BATCH), rng.random(BATCH), rng.random(BATCH), gradient


def signals(step, gradients=True, excess=True, **more):
    """What a step tells, by group."""
    group, loss, above, gradient = step
    member = group[None] == np.arange(GROUPS)[:, None]
    count = member.sum(axis=1)

    def mean(values):
        sums = member @ values
        return np.where(count > 0, sums / np.maximum(count, 1), np.nan)

    sums = {n: np.tensordot(member, g, 1) for n, g in gradient.items()}
    found = Signals(
        group_loss=mean(loss),
        count=count,
        gradient=sums if gradients else None,
        excess=mean(above) if excess else None,
        **more,
    )
    return jax.tree.map(np.float32, found)


@jax.jit
def added(steps, times):
    """The ledger after some steps, and the means and the Gram matrices that it makes."""
    ledger = rounds.empty(GROUPS, TRACKED if steps.gradient else None)

    def add(ledger, given):
        return rounds.add(ledger, *given), None

    ledger = jax.lax.scan(add, ledger, (steps, times))[0]
    means = rounds.means(ledger)
    return ledger, means, rounds.grams(means) if steps.gradient else None


def round_of(steps, first=0, **kind):
    told = jax.tree.map(lambda *x: np.stack(x), *(signals(step, **kind) for step in steps))
    return jax.device_get(added(told, first + np.arange(len(steps))))


told_of, means_of = jax.jit(rounds.summary), jax.jit(rounds.means)
EVENLY = np.full(GROUPS, 1 / GROUPS, np.float32)


def flat(gradient, i):
    return np.concatenate([gradient[name][i].ravel() for name in sorted(TREE)])


def by_group(steps, first=0):
    """Group -> its examples, in order, as (even or odd step, loss, excess, gradient)."""
    found = {g: [] for g in range(GROUPS)}
    for t, (group, loss, above, gradient) in enumerate(steps, first):
        for i in range(BATCH):
            found[group[i]].append((t % 2, loss[i], above[i], flat(gradient, i)))
    return found


def mean_gradient(own, half=None):
    chosen = [g for side, _, _, g in own if half in (None, side)]
    return sum(chosen) / len(chosen) if chosen else np.zeros(10)


@pytest.mark.parametrize("first", (0, 3))
@pytest.mark.parametrize("never", ((), (2,)))
def test_sums_are_those_over_examples(first, never):
    steps = list(examples(0, never))
    own = by_group(steps, first)
    ledger, means, _ = round_of(steps, first)
    told = told_of(ledger, signals(steps[-1]), means, None, EVENLY, np.ones_like(EVENLY))
    told = jax.device_get(told)
    for g in range(GROUPS):
        assert told.count[g] == len(own[g]) and (len(own[g]) > 0) == (g not in never)
        expected = np.mean([loss for _, loss, _, _ in own[g]]) if own[g] else np.nan
        np.testing.assert_allclose(told.loss[g], expected, rtol=1e-5)
        expected = np.mean([above for _, _, above, _ in own[g]]) if own[g] else 0
        np.testing.assert_allclose(told.excess[g], expected, rtol=1e-5)
        np.testing.assert_allclose(flat(means.whole, g), mean_gradient(own[g]), atol=1e-5)
        for half in range(2):
            one = jax.tree.map(lambda x, half=half: x[half], means.halves)
            np.testing.assert_allclose(flat(one, g), mean_gradient(own[g], half), atol=1e-5)
            count = sum(side == half for side, *_ in own[g])
            assert ledger.count[half, g] == count


@pytest.mark.parametrize("first", (0, 3))
def test_gram_matrices_are_products_of_means(first):
    steps = list(examples(1, never=(3,)))
    own = by_group(steps, first)
    grams = round_of(steps, first)[2]
    whole = [mean_gradient(own[g]) for g in range(GROUPS)]
    even, odd = ([mean_gradient(own[g], half) for g in range(GROUPS)] for half in range(2))
    for i in range(GROUPS):
        for j in range(GROUPS):
            np.testing.assert_allclose(grams["biased"][i, j], whole[i] @ whole[j], atol=1e-5)
            across = (even[i] @ odd[j] + odd[i] @ even[j]) / 2
            np.testing.assert_allclose(grams["unbiased"][i, j], across, atol=1e-5)
    assert not np.any(grams["biased"][3]) and not np.any(grams["unbiased"][:, 3])


def test_what_the_gram_matrices_estimate():
    """Of noisy gradients: one diagonal is |E g|^2 in the mean, the other tr Cov / n above it."""
    draws, steps, each, size = 4000, 4, 3, 5  # `each` examples of both groups in every step
    rng = np.random.default_rng(2)
    mean = np.array([[1.0, 0, 0.5, 0, 0], [0.2, 0.3, 0, 0, 0]])
    spread = np.array([0.7, 2.0])
    noise = rng.standard_normal((draws, steps, 2, each, size)) * spread[:, None, None]
    sums = np.float32((mean[:, None] + noise).sum(axis=3))
    tracked = {"w": jax.ShapeDtypeStruct((2, size), jnp.float32)}

    @jax.jit
    @jax.vmap
    def grams(sums):
        ledger = rounds.empty(2, tracked)
        for t in range(steps):
            one = Signals(jnp.zeros(2), jnp.full(2, float(each)), {"w": sums[t]})
            ledger = rounds.add(ledger, one, t)
        return rounds.grams(rounds.means(ledger))

    found = {name: np.asarray(gram, np.float64) for name, gram in grams(sums).items()}
    true, above = mean @ mean.T, size * spread**2 / (steps * each)
    for name, expected in (("unbiased", true), ("biased", true + np.diag(above))):
        error = found[name].std(axis=0) / np.sqrt(draws)
        assert np.all(np.abs(found[name].mean(axis=0) - expected) < 4.5 * error), name
        assert np.all(4.5 * error < np.diag(above).max() / 5)  # the two are told apart
    assert np.all(found["unbiased"][:, 1, 1].min() < 0)  # its price


def test_a_group_without_an_example_is_zero_or_its_last():
    before = round_of(list(examples(3)))[1]
    # and no odd step
    ledger, zero, _ = round_of(list(examples(4, never=(1,)))[:1], first=2)
    last = jax.device_get(means_of(ledger, before))
    there = ledger.count.sum(axis=0) > 0
    assert not there[1] and there.any()
    for g in range(GROUPS):
        new, old = flat(zero.whole, g), flat(before.whole, g)
        assert np.any(new) == there[g]
        np.testing.assert_array_equal(flat(last.whole, g), new if there[g] else old)
        for half in range(2):
            of = [jax.tree.map(lambda x, h=half: x[h], m.halves) for m in (zero, last, before)]
            known = there[g] and half == 0
            expected = flat(of[0], g) if known else flat(of[2], g)
            assert np.any(flat(of[0], g)) == known
            np.testing.assert_array_equal(flat(of[1], g), expected)


def test_what_is_not_asked_for_is_nan():
    steps = list(examples(5))
    ledger, means, _ = round_of(steps, gradients=False, excess=False)
    target = np.float32([0.1, 0.2, 0.3, 0.4])
    last = signals(steps[-1], gradients=False, excess=False)
    told = jax.device_get(told_of(ledger, last, means, None, target, target[::-1]))
    for name in ("gram", "target_loss", "target_gram", "excess", "affinity"):
        assert np.all(np.isnan(getattr(told, name))), name
    assert told.gram.shape == told.affinity.shape == told.target_gram.shape == (GROUPS, GROUPS)
    assert np.array_equal(told.target, target) and np.array_equal(told.shares, target[::-1])


def test_what_the_last_step_tells_is_passed_on():
    steps, rng = list(examples(6)), np.random.default_rng(7)
    aimed = {n: rng.standard_normal((GROUPS, *shape)) for n, shape in TREE.items()}
    more = {
        "target_loss": rng.random(GROUPS),
        "target_gradient": aimed,
        "affinity": rng.random((GROUPS, GROUPS)),
    }
    (ledger, means, _), own = round_of(steps), by_group(steps)
    gram = np.eye(GROUPS, dtype=np.float32)
    told = told_of(ledger, signals(steps[-1], **more), means, gram, gram[0], gram[1])
    told = jax.device_get(told)
    np.testing.assert_allclose(told.target_loss, more["target_loss"], rtol=1e-6)
    np.testing.assert_allclose(told.affinity, more["affinity"], rtol=1e-6)
    assert np.array_equal(told.gram, gram)
    for i in range(GROUPS):
        for j in range(GROUPS):
            expected = mean_gradient(own[i]) @ flat(aimed, j)
            np.testing.assert_allclose(told.target_gram[i, j], expected, atol=1e-5)
