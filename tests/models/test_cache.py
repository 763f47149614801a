"""Tokens that go on after cached keys and values: what a pass over all tokens says."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models import mamba
from plateaus.models.transformer import Spec, transformer

PREFIX, MORE, WAYS = 9, 4, 3
KINDS = list(itertools.product(("learned", "rotary"), ("softmax", "linear")))


def built(positions, attention, **more):
    spec = Spec(
        width=16,
        depth=3,
        heads=2,
        positions=positions,
        attention=attention,
        initialisation="lecun_normal",
        max_positions=PREFIX + MORE,
        **more,
    )
    model = transformer(spec, vocabulary=11)
    return model, model.init(jax.random.key(0))


def tokens():
    before = jax.random.randint(jax.random.key(1), (PREFIX,), 0, 11)
    ways = jax.random.randint(jax.random.key(2), (WAYS, MORE), 0, 11)
    whole = jnp.concatenate([jnp.tile(before, (WAYS, 1)), ways], axis=1)
    return before, ways, whole


@pytest.mark.parametrize(("positions", "attention"), KINDS)
@pytest.mark.parametrize("more", [{}, {"norm": "rmsnorm", "bias": False, "activation": "swiglu"}])
def test_a_prefix_is_shared(positions, attention, more):
    model, params = built(positions, attention, **more)
    before, ways, whole = tokens()
    wanted = model.apply(params, whole)[0][:, PREFIX:]
    _, past = model.apply(params, before[None], capture=model.cache)
    past = {name: jnp.repeat(x, WAYS, axis=0) for name, x in past.items()}
    found, seen = model.apply(params, ways, past=past, capture=["block_1.attention_weights"])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert seen["block_1.attention_weights"].shape == (WAYS, 2, MORE, PREFIX + MORE)
    other = {name: x[:, ::-1] if "keys" in name else x for name, x in past.items()}
    assert np.abs(np.asarray(model.apply(params, ways, past=other)[0] - wanted)).max() > 1e-2


def test_edits_hold_for_the_tokens_that_follow():
    model, params = built("rotary", "softmax")
    before, ways, whole = tokens()
    cut = {"block_2.heads": lambda heads: heads.at[:, -MORE:, 0].set(0.0)}
    wanted = model.apply(params, whole, edits=cut)[0][:, PREFIX:]
    _, past = model.apply(params, jnp.tile(before, (WAYS, 1)), capture=model.cache)
    found, _ = model.apply(params, ways, past=past, edits=cut)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_what_is_no_cache_is_refused():
    model, params = built("learned", "softmax")
    before, ways, _ = tokens()
    _, past = model.apply(params, before[None], capture=model.cache[:2])
    with pytest.raises(ValueError, match=r"past must hold block_0\.keys, block_0\.values"):
        model.apply(params, ways[:1], past=past)
    _, past = model.apply(params, before[None], capture=model.cache)
    with pytest.raises(ValueError, match="14 tokens, but max_positions is 13"):
        model.apply(params, jnp.zeros((1, 5), jnp.int32), past=past)
    other = mamba.mamba(mamba.Spec(width=8, depth=1, state_size=4), vocabulary=11)
    assert other.cache == ()
    with pytest.raises(ValueError, match="there is no cache"):
        other.apply(other.init(jax.random.key(0)), ways, past=past)


def test_positions_are_read_by_their_numbers():
    spec = Spec(width=16, depth=1, heads=2, max_positions=13)
    params = transformer(spec, vocabulary=11).init(jax.random.key(0))
    _, _, whole = tokens()
    every = transformer(spec, vocabulary=11).apply(params, whole)[0]
    some = transformer(spec, vocabulary=11, read_at=(2, 3, 12)).apply(params, whole)[0]
    np.testing.assert_allclose(some, every[:, [2, 3, 12]], atol=1e-6)


def test_the_papers_model_has_its_parameters():
    """14,239,872 in the released runs of paper 5."""
    spec = Spec(
        width=384,
        depth=6,
        heads=6,
        mlp_multiple=4,
        positions="rotary",
        norm="rmsnorm",
        bias=False,
        activation="swiglu",
    )
    shapes = jax.eval_shape(transformer(spec, vocabulary=103).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 14_239_872
