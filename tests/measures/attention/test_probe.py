"""Scores of heads against loops, and ablations against edits written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.measures.attention import probe as attention
from plateaus.models.networks import transformer

LAYERS, HEADS, SIZE = 2, 3, 4
MODEL = transformer.transformer(
    transformer.Spec(width=6, depth=LAYERS, heads=HEADS, max_positions=16), inputs=SIZE
)


@pytest.fixture(scope="module")
def params():
    """Weights large enough for heads that differ."""
    rng = np.random.default_rng(0)

    def leaf(path, x):
        if path[-1].key == "bias":
            return np.zeros(x.shape, np.float32)
        return rng.normal(8 * (path[-1].key == "scale"), 0.16, x.shape).astype(np.float32)

    shapes = jax.eval_shape(MODEL.init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(leaf, shapes)


def prompts(tokens, number=5):
    return np.random.default_rng(1).standard_normal((number, tokens, SIZE)).astype(np.float32)


NAMES = [f"block_{layer}.attention_weights" for layer in range(LAYERS)]


def weights_of(params, inputs):
    seen = MODEL.apply(params, inputs, capture=NAMES)[1]
    return jnp.stack([seen[name] for name in NAMES])  # [L, B, H, T, T]


def looped(weights, looks):
    """Mean over (from, to) of every layer and head, one number at a time."""
    found = np.zeros((LAYERS, HEADS))
    for layer in range(LAYERS):
        for head in range(HEADS):
            each = [w[head, t, s] for w in weights[layer] for t, s in looks]
            found[layer, head] = sum(each) / len(each)
    return found


@pytest.mark.parametrize(
    ("tokens", "offset", "pairs", "half"),
    [(12, 0, 6, 6), (12, 1, 5, 4)],
)
def test_scores_are_means_over_all_pairs_and_prompts(params, tokens, offset, pairs, half):
    inputs = prompts(tokens)
    once = inputs[:, offset : offset + half]
    twice = np.concatenate([inputs[:, :offset], once, once], axis=1)

    @jax.jit
    def both(params, inputs, twice):
        scores = attention.head_scores(MODEL, params, inputs, offset)
        return scores, weights_of(params, inputs), weights_of(params, twice)

    found, weights, repeated = both(params, inputs, twice)
    weights, repeated = np.float64(weights), np.float64(repeated)
    own = [(offset + 2 * i + 1, offset + 2 * i) for i in range(pairs)]
    before = [(t, t - 1) for t in range(1, tokens)]
    after = [(offset + half + j, offset + j + 1) for j in range(half)]
    for name, values in {
        "retrospective": looped(weights, own),
        "previous": looped(weights, before),
        "induction": looped(repeated, after),
    }.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6)
        assert np.ptp(values) > 1e-3  # heads differ, so that places can be told apart


def test_an_ideal_head_of_each_kind_has_score_one():
    tokens, offset = 13, 1
    own, before, after = (np.zeros((1, 1, tokens, tokens), np.float32) for _ in range(3))
    for i in range(6):
        own[0, 0, offset + 2 * i + 1, offset + 2 * i] = 1
    for t in range(1, tokens):
        before[0, 0, t, t - 1] = 1
    for t in range(offset + 6, tokens):  # the token after the last time this one was there
        after[0, 0, t, t - 6 + 1] = 1

    @jax.jit
    def scores(made):
        return (
            attention.retrospective(made, offset),
            attention.previous_token(made),
            attention.induction(made, offset),
        )

    for made, wanted in ((own, (1, 0.5, 0)), (before, (1, 1, 0)), (after, (0, 0, 1))):
        np.testing.assert_allclose([float(np.asarray(s)[0]) for s in scores(made)], wanted)


def test_prompts_are_scored_some_at_a_time_to_the_same_mean(params, monkeypatch):
    inputs = prompts(8, 7)

    @jax.jit
    def both(params, inputs):
        whole = attention.head_scores(MODEL, params, inputs)
        monkeypatch.setattr(attention, "TOGETHER", 3)
        return whole, attention.head_scores(MODEL, params, inputs)

    whole, parts = both(params, inputs)
    assert set(whole) == set(parts) == set(attention.SCORES)
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, rtol=1e-5)


def test_nothing_removed_is_the_intact_model_bit_for_bit(params):
    inputs, none = prompts(8), np.zeros((LAYERS, HEADS), bool)
    run = jax.jit(
        lambda gone: MODEL.apply(params, inputs, edits=attention.without(gone))[0],
    )
    intact = np.asarray(jax.jit(lambda: MODEL.apply(params, inputs)[0])())
    np.testing.assert_array_equal(run(none), intact)
    one = none.copy()
    one[1, 2] = True
    assert np.any(np.asarray(run(one)) != intact)


def losses_of(params, inputs):
    def losses(edits):
        said, _ = MODEL.apply(params, inputs, edits=edits)
        return {"": jnp.mean(said**2), "_by_task": jnp.mean(said**2, axis=1)}

    return losses


def test_ablations_are_explicit_edits(params):
    """The heads are zeroed by name and place; each control is one such set that was not chosen."""
    inputs, draws = prompts(8), 30
    scores = np.float32([[0.1, 0.7, 0.2], [0.3, 0.6, 0.0]])
    rest = [(0, 0), (0, 2), (1, 0), (1, 2)]
    removed = [[(0, 1), (1, 1)], *([a, b] for i, a in enumerate(rest) for b in rest[i + 1 :])]
    kept = np.ones((len(removed), LAYERS, HEADS), np.float32)
    for number, heads in enumerate(removed):
        for layer, head in heads:
            kept[number, layer, head] = 0

    @jax.jit
    def both(params, seed, inputs, scores, kept):
        losses = losses_of(params, inputs)

        def explicit(kept):
            return losses(
                {
                    f"block_{layer}.heads": lambda x, own=kept[layer]: x * own[None, None, :, None]
                    for layer in range(LAYERS)
                }
            )

        key = jax.random.key(seed)
        return attention.ablation(key, losses, scores, 2, draws), jax.lax.map(explicit, kept)

    found, explicit = jax.tree.map(np.asarray, both(params, np.uint32(2), inputs, scores, kept))
    np.testing.assert_allclose(found["ablation_loss_retrospective"], explicit[""][0], rtol=1e-5)
    by_task = found["ablation_loss_retrospective_by_task"]
    np.testing.assert_allclose(by_task, explicit["_by_task"][0], rtol=1e-5)
    assert found["ablation_loss_random"].shape == (draws,)
    assert found["ablation_loss_random_by_task"].shape == (draws, inputs.shape[0])
    controls = np.float64(explicit[""][1:])
    nearest = [np.argmin(np.abs(controls - np.float64(x))) for x in found["ablation_loss_random"]]
    np.testing.assert_allclose(found["ablation_loss_random"], controls[nearest], rtol=1e-5)
    assert len(set(nearest)) > 3  # of 6 pairs: the draws differ


def test_others_are_drawn_evenly_and_never_from_the_chosen():
    chosen = np.array([[True, False, False], [False, True, False]])

    @jax.jit
    def others(seed, chosen):
        keys = jax.random.split(jax.random.key(seed), 2000)
        return jax.vmap(lambda key: attention.others(key, chosen, 2))(keys)

    drawn = np.asarray(others(np.uint32(3), chosen))
    assert (np.sum(drawn, axis=(1, 2)) == 2).all() and not np.any(drawn & chosen[None])
    share = np.mean(drawn, axis=0)[~chosen]
    assert np.abs(share - 0.5).max() < 4 * 0.5 / np.sqrt(2000)
