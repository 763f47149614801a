"""Scores of heads against loops, and ablations against edits written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models import transformer
from plateaus.probes import attention

LAYERS, HEADS, SIZE = 2, 3, 4
MODEL = transformer.transformer(
    transformer.Spec(width=6, depth=LAYERS, heads=HEADS, max_positions=16), inputs=SIZE
)


@pytest.fixture(scope="module")
def params():
    """Weights large enough for heads that differ."""
    return jax.tree.map(lambda x: 8 * x, MODEL.init(jax.random.key(0)))


def prompts(tokens, number=5):
    return jnp.asarray(
        np.random.default_rng(1).standard_normal((number, tokens, SIZE)), jnp.float32
    )


def weights_of(params, inputs):
    names = [f"block_{layer}.attention_weights" for layer in range(LAYERS)]
    seen = jax.jit(lambda p: MODEL.apply(p, inputs, capture=names)[1])(params)
    return np.stack([np.asarray(seen[name], np.float64) for name in names])  # [L, B, H, T, T]


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
    found = jax.jit(lambda p: attention.head_scores(MODEL, p, inputs, offset))(params)
    weights = weights_of(params, inputs)
    own = [(offset + 2 * i + 1, offset + 2 * i) for i in range(pairs)]
    before = [(t, t - 1) for t in range(1, tokens)]
    once = np.asarray(inputs)[:, offset : offset + half]
    twice = np.concatenate([np.asarray(inputs)[:, :offset], once, once], axis=1)
    after = [(offset + half + j, offset + j + 1) for j in range(half)]
    for name, values in {
        "retrospective": looped(weights, own),
        "previous": looped(weights, before),
        "induction": looped(weights_of(params, jnp.asarray(twice)), after),
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
    for made, wanted in ((own, (1, 0.5, 0)), (before, (1, 1, 0)), (after, (0, 0, 1))):
        scores = (
            attention.retrospective(jnp.asarray(made), offset),
            attention.previous_token(jnp.asarray(made)),
            attention.induction(jnp.asarray(made), offset),
        )
        np.testing.assert_allclose([float(s[0]) for s in scores], wanted)


def test_prompts_are_scored_some_at_a_time_to_the_same_mean(params, monkeypatch):
    inputs = prompts(8, 7)
    whole = jax.jit(lambda p: attention.head_scores(MODEL, p, inputs))(params)
    monkeypatch.setattr(attention, "TOGETHER", 3)
    parts = jax.jit(lambda p: attention.head_scores(MODEL, p, inputs))(params)
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, rtol=1e-5)


def test_nothing_removed_is_the_intact_model_bit_for_bit(params):
    inputs, none = prompts(8), jnp.zeros((LAYERS, HEADS), bool)
    run = jax.jit(
        lambda gone: MODEL.apply(params, inputs, edits=attention.without(gone))[0],
    )
    intact = jax.jit(lambda: MODEL.apply(params, inputs)[0])()
    np.testing.assert_array_equal(run(none), intact)
    assert np.any(run(none.at[1, 2].set(True)) != intact)


def losses_of(params, inputs):
    def losses(edits):
        said, _ = MODEL.apply(params, inputs, edits=edits)
        return {"": jnp.mean(said**2), "_by_task": jnp.mean(said**2, axis=1)}

    return losses


def test_ablations_are_explicit_edits(params):
    """The heads are zeroed by name and place; each control is one such set that was not chosen."""
    inputs = prompts(8)
    losses = losses_of(params, inputs)
    scores = jnp.asarray([[0.1, 0.7, 0.2], [0.3, 0.6, 0.0]])

    def explicit(heads):
        edits = {}
        for layer in range(LAYERS):
            own = [head for at, head in heads if at == layer]
            edits[f"block_{layer}.heads"] = lambda x, own=own: x.at[:, :, jnp.array(own, int)].set(
                0
            )
        return jax.jit(lambda: losses(edits))()

    draws = 30
    found = jax.jit(lambda key: attention.ablation(key, losses, scores, 2, draws))(
        jax.random.key(2)
    )
    wanted = explicit([(0, 1), (1, 1)])
    np.testing.assert_allclose(found["ablation_loss_retrospective"], wanted[""], rtol=1e-5)
    by_task = found["ablation_loss_retrospective_by_task"]
    np.testing.assert_allclose(by_task, wanted["_by_task"], rtol=1e-5)
    assert found["ablation_loss_random"].shape == (draws,)
    assert found["ablation_loss_random_by_task"].shape == (draws, inputs.shape[0])
    rest = [(0, 0), (0, 2), (1, 0), (1, 2)]
    controls = [float(explicit([a, b])[""]) for i, a in enumerate(rest) for b in rest[i + 1 :]]
    nearest = [np.argmin(np.abs(controls - np.float64(x))) for x in found["ablation_loss_random"]]
    np.testing.assert_allclose(
        found["ablation_loss_random"], np.array(controls)[nearest], rtol=1e-5
    )
    assert len(set(nearest)) > 3  # of 6 pairs: the draws differ


def test_others_are_drawn_evenly_and_never_from_the_chosen():
    chosen = jnp.asarray([[True, False, False], [False, True, False]])
    keys = jax.random.split(jax.random.key(3), 2000)
    drawn = jax.jit(jax.vmap(lambda key: attention.others(key, chosen, 2)))(keys)
    assert (np.sum(drawn, axis=(1, 2)) == 2).all() and not np.any(drawn & chosen[None])
    share = np.mean(drawn, axis=0)[~np.asarray(chosen)]
    assert np.abs(share - 0.5).max() < 4 * 0.5 / np.sqrt(2000)
