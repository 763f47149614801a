"""Measures of mixed prompts on answers whose law is known: superposers, switchers, chance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.probes import superposition

PROMPTS, EXAMPLES = 4_000, 20


def prompts(share, seed=0):
    """Which of two tasks each example is of: [N, m]; the first with chance `share`."""
    draws = np.random.default_rng(seed).random((PROMPTS, EXAMPLES))
    return jnp.asarray((draws >= share).astype(np.int32))


def sure(which, tasks=2):
    """log P of models that are sure of one task."""
    return jnp.log(jnp.maximum(jax.nn.one_hot(which, tasks), 1e-12))


def summary(log_p, order, outputs=None):
    outputs = jnp.concatenate([log_p, log_p - 1e-7], axis=1) if outputs is None else outputs
    return jax.jit(superposition.summary, static_argnums=3)(log_p, order, outputs, 10)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_superposer_says_the_shares_in_every_prompt(share):
    order = prompts(share)
    exact = superposition.shares(order, 2)
    found = summary(jnp.log(jnp.maximum(exact, 1e-30)), order)
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
    found = summary(sure(order[:, -1]), order)
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
    log = lambda *rows: jnp.log(jnp.array(rows))  # noqa: E731
    log_p = log([0.4, 0.05], [0.3, 0.2], [0.01, 0.02])
    outputs = log([0.4, 0.3, 0.05, 0.01], [0.3, 0.2, 0.1, 0.1], [0.5, 0.4, 0.02, 0.01])
    np.testing.assert_array_equal(superposition.completed(log_p, outputs), [1.0, 2.0, 0.0])
    # rounding does not make an answer its own rival
    np.testing.assert_array_equal(superposition.completed(log_p, outputs + 5e-5), [1.0, 2.0, 0.0])


def test_entropy_and_divergence_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    log_p, share = jnp.log(jnp.asarray(p[:, :3], jnp.float32)), p[:, [2, 1, 3]]
    share = share / share.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(superposition.entropy(log_p), stats.entropy(p, axis=1), rtol=1e-4)
    wanted = np.sum(share * np.log(share / p[:, :3]), axis=1)
    found = superposition.divergence(log_p, jnp.asarray(share, jnp.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_a_task_that_is_not_in_the_prompt_does_not_count():
    found = superposition.divergence(jnp.array([[0.0, -jnp.inf]]), jnp.array([[1.0, 0.0]]))
    np.testing.assert_array_equal(found, [0.0])


def test_a_mean_of_0_or_1_has_no_saturation():
    found = superposition.saturation(jnp.log(jnp.array([[1.0, 0.0], [1.0, 0.0]])))
    assert np.isnan(found).all()
