"""Statistics of Gram matrices, against the gradients themselves and against known noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.measures.gradients import probe as gradients

B, P = 7, 40


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(B, P)) + 0.3


def gram_of(vectors):
    return (vectors @ vectors.T).astype(np.float32)


@jax.jit
def of_one(gram):
    """All that is said of one matrix."""
    found = gradients.of_examples(gram)
    found["mean_cosine"] = gradients.mean_cosine(gram)
    return found


of_batches = jax.jit(gradients.of_batches)


def pairs(function, vectors):
    return np.mean([function(a, b) for i, a in enumerate(vectors) for b in vectors[i + 1 :]])


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_mean_cosine_and_conflicts_of_all_pairs(vectors):
    vectors = vectors - 0.3
    found = of_one(gram_of(vectors))
    assert float(found["mean_cosine"]) == pytest.approx(pairs(cosine, vectors))
    assert 0 < found["conflict_fraction"] < 1
    assert float(found["conflict_fraction"]) == pytest.approx(
        pairs(lambda a, b: a @ b < 0, vectors)
    )


def test_layers_add_up_to_the_whole(vectors):
    parts = {"a": vectors[:, :5], "b": vectors[:, 5:30], "c": vectors[:, 30:]}
    found = of_batches({name: gram_of(part) for name, part in parts.items()}, batch=16)
    assert float(found["cosine"]) == pytest.approx(pairs(cosine, vectors), rel=1e-5)
    for kind, whole in (("cosine_in_", found["cosine"]), ("noise_in_", 1.0)):
        assert sum(found[kind + name] for name in parts) == pytest.approx(float(whole), rel=1e-5)
    norms = np.linalg.norm(vectors, axis=1)
    mean = pairs(lambda a, b: a @ b, parts["b"] / norms[:, None])
    assert float(found["cosine_in_b"]) == pytest.approx(mean, rel=1e-5)
    assert float(found["noise"]) == pytest.approx(16 * vectors.var(axis=0, ddof=1).sum(), rel=1e-4)


def test_noise_and_signal_are_unbiased():
    """Over many samples their means are the truth, within five standard errors."""
    rng, samples = np.random.default_rng(1), 4000
    mean, scale = rng.normal(size=P) * 0.2, rng.uniform(0.5, 2, size=P)
    drawn = mean + scale * rng.normal(size=(samples, B, P))
    grams = (drawn @ drawn.transpose(0, 2, 1)).astype(np.float32)

    @jax.jit
    def of_all(grams):
        own = jax.vmap(lambda gram: (gradients.signal(gram), gradients.noise(gram)))(grams)
        each = jax.vmap(gradients.of_examples)(grams)
        steps = {name: jnp.mean(x) for name, x in each.items()}
        return own, steps, gradients.over_steps(steps)["noise_scale"]

    own, steps, found_scale = of_all(grams)
    for found, truth in zip(map(np.asarray, own), (mean @ mean, scale @ scale), strict=True):
        assert abs(found.mean() - truth) < 5 * found.std() / samples**0.5
    scale_true = float(steps["noise"]) / float(steps["signal"])
    assert float(found_scale) == pytest.approx(scale_true)
    assert scale_true > 0


def test_rank_is_that_of_equal_directions():
    rank_of = jax.jit(gradients.effective_rank)
    for rank in (1, 3, B):
        found = rank_of(gram_of(np.eye(B)[np.arange(B) % rank]))
        even = np.bincount(np.arange(B) % rank)
        assert float(found) == pytest.approx(B**2 / (even**2).sum())
    assert float(rank_of(gram_of(1e-15 * np.eye(B)))) == pytest.approx(B)


@pytest.mark.parametrize("scale", (0.0, 1e-18))
def test_zero_and_tiny_gradients_give_no_nan(scale):
    gram = gram_of(scale * np.eye(3))
    found = of_one(gram) | of_batches({"a": gram}, 1)
    unknown = {"noise_in_a"} if scale == 0 else set()  # a share of nothing
    for name, value in found.items():
        assert np.isfinite(value) or name in unknown, name


def test_one_gradient_has_no_pair_and_nan_is_seen():
    assert np.isnan(jax.jit(gradients.mean_cosine)(np.ones((1, 1), np.float32)))
    for value in of_one(np.full((3, 3), np.nan, np.float32)).values():
        assert np.isnan(value)


def test_no_scale_where_there_is_no_signal():
    assert np.isnan(jax.jit(gradients.noise_scale)(np.float32(1.0), np.float32(-0.1)))
