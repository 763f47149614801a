"""Measures of mixed prompts on answers whose law is known: superposers, switchers, chance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.measures.superposition import summary as superposition

PROMPTS, EXAMPLES = 4_000, 20


def prompts(share, seed=0):
    """Which of two tasks each example is of: [N, m]; the first with chance `share`."""
    draws = np.random.default_rng(seed).random((PROMPTS, EXAMPLES))
    return (draws >= share).astype(np.int32)


def log(p):
    return np.log(np.maximum(p, 1e-30)).astype(np.float32)


def sure(which, tasks=2):
    """log P of models that are sure of one task."""
    return np.log(np.maximum(np.eye(tasks)[which], 1e-12)).astype(np.float32)


@jax.jit
def summary(log_p, order):
    outputs = jnp.concatenate([log_p, log_p - 1e-7], axis=1)
    return superposition.summary(log_p, order, outputs, 10)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_superposer_says_the_shares_in_every_prompt(share):
    order = prompts(share)
    exact = jax.jit(superposition.shares, static_argnums=1)(order, 2)
    found = jax.tree.map(np.asarray, summary(log(exact), order))
    np.testing.assert_allclose(found["mixed_probability"], found["mixed_share"], rtol=1e-4)
    np.testing.assert_allclose(found["mixed_kl"], 0.0, atol=1e-5)
    # of a binomial share: variance d (1 - d) / m
    np.testing.assert_allclose(found["mixed_saturation"], 1 / EXAMPLES, rtol=0.1)
    same, other = found["mixed_recency_same"], found["mixed_recency_other"]
    se = (share * (1 - share) / EXAMPLES) ** 0.5 / (PROMPTS * min(share, 1 - share)) ** 0.5
    np.testing.assert_allclose(same - other, 1 / EXAMPLES, atol=6 * se)  # each example as much
    bits = -share * np.log(share) - (1 - share) * np.log(1 - share)
    np.testing.assert_allclose(found["mixed_entropy_of_mean"], bits, atol=0.02)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_who_follows_the_last_example_has_the_same_mean_and_is_told_apart(share):
    order = prompts(share)
    found = jax.tree.map(np.asarray, summary(sure(order[:, -1]), order))
    se = (share * (1 - share) / PROMPTS) ** 0.5
    np.testing.assert_allclose(found["mixed_probability"], [share, 1 - share], atol=4 * se)
    np.testing.assert_allclose(found["mixed_saturation"], 1.0, rtol=1e-4)
    np.testing.assert_allclose(found["mixed_entropy"], 0.0, atol=1e-5)
    effect = found["mixed_recency_same"] - found["mixed_recency_other"]
    np.testing.assert_allclose(effect[0], 1.0, atol=1e-5)
    # others say nothing: the difference of two means of a coin
    each = (share * (1 - share) / (PROMPTS * share * (1 - share))) ** 0.5
    np.testing.assert_allclose(effect[1:], 0.0, atol=4.5 * each)
    ends = found["mixed_histogram"][:, [0, -1]]
    np.testing.assert_allclose(ends.sum(axis=1), 1.0, rtol=1e-5)


def test_tasks_completed_is_the_rank_of_each_answer():
    completed = jax.jit(superposition.completed)
    log_p = log([[0.4, 0.05], [0.3, 0.2], [0.01, 0.02]])
    outputs = log([[0.4, 0.3, 0.05, 0.01], [0.3, 0.2, 0.1, 0.1], [0.5, 0.4, 0.02, 0.01]])
    np.testing.assert_array_equal(completed(log_p, outputs), [1.0, 2.0, 0.0])
    # rounding does not make an answer its own rival
    np.testing.assert_array_equal(completed(log_p, outputs + np.float32(5e-5)), [1.0, 2.0, 0.0])


def test_entropy_and_divergence_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    share = p[:, [2, 1, 3]]
    share = share / share.sum(axis=1, keepdims=True)
    both = jax.jit(lambda x, y: (superposition.entropy(x), superposition.divergence(x, y)))
    entropy, divergence = both(log(p[:, :3]), share.astype(np.float32))
    np.testing.assert_allclose(entropy, stats.entropy(p, axis=1), rtol=1e-4)
    wanted = np.sum(share * np.log(share / p[:, :3]), axis=1)
    np.testing.assert_allclose(divergence, wanted, rtol=1e-3, atol=1e-5)


def test_a_task_that_is_not_in_the_prompt_does_not_count():
    log_p, share = np.array([[0.0, -np.inf]], np.float32), np.array([[1.0, 0.0]], np.float32)
    np.testing.assert_array_equal(jax.jit(superposition.divergence)(log_p, share), [0.0])


def test_a_mean_of_0_or_1_has_no_saturation():
    log_p = np.array([[0.0, -np.inf], [0.0, -np.inf]], np.float32)
    assert np.isnan(jax.jit(superposition.saturation)(log_p)).all()
