"""Tokens that go on after cached keys and values: what a pass over all tokens says."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models.networks import mamba
from plateaus.models.networks.transformer import Spec, transformer

PREFIX, MORE, WAYS = 9, 4, 3
OTHER = {"norm": "rmsnorm", "bias": False, "activation": "swiglu"}


def kinds():
    """Every two choices together; thoroughly, all three."""
    for n, (positions, attention, more) in enumerate(
        itertools.product(("learned", "rotary"), ("softmax", "linear"), ({}, OTHER))
    ):
        marks = () if n.bit_count() % 2 == 0 else pytest.mark.thorough
        yield pytest.param(positions, attention, more, marks=marks)


def parameters(model):
    """None is at a special value, such as a bias of zero."""
    rng = np.random.default_rng(0)

    def leaf(path, x):
        scale = x.shape[0] ** -0.5 if x.ndim > 1 else 0.1
        return rng.normal(path[-1].key == "scale", scale, x.shape).astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(leaf, shapes)


def built(positions, attention, **more):
    sizes = {"width": 16, "depth": 2, "heads": 2, "max_positions": PREFIX + MORE}
    model = transformer(
        Spec(positions=positions, attention=attention, **sizes, **more), vocabulary=11
    )
    return model, parameters(model)


def tokens():
    rng = np.random.default_rng(1)
    before, ways = rng.integers(11, size=PREFIX), rng.integers(11, size=(WAYS, MORE))
    return before, ways, np.concatenate([np.tile(before, (WAYS, 1)), ways], axis=1)


@pytest.mark.parametrize(("positions", "attention", "more"), list(kinds()))
def test_a_prefix_is_shared(positions, attention, more):
    model, params = built(positions, attention, **more)

    @jax.jit
    def both(params, before, ways, whole):
        wanted = model.apply(params, whole)[0][:, PREFIX:]
        _, past = model.apply(params, before[None], capture=model.cache)
        past = {  # of the prefix, and of one whose keys are in another order
            name: jnp.concatenate([x] * WAYS + [x[:, ::-1] if "keys" in name else x] * WAYS)
            for name, x in past.items()
        }
        names = ["block_1.attention_weights"]
        found, seen = model.apply(params, jnp.tile(ways, (2, 1)), past=past, capture=names)
        return found[:WAYS], found[WAYS:], seen["block_1.attention_weights"][:WAYS], wanted

    found, other, weights, wanted = map(np.asarray, both(params, *tokens()))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert weights.shape == (WAYS, 2, MORE, PREFIX + MORE)
    assert np.abs(other - wanted).max() > 1e-2


def test_edits_hold_for_the_tokens_that_follow():
    model, params = built("rotary", "softmax")
    cut = {"block_1.heads": lambda heads: heads.at[:, -MORE:, 0].set(0.0)}

    @jax.jit
    def both(params, before, ways, whole):
        wanted = model.apply(params, whole, edits=cut)[0][:, PREFIX:]
        _, past = model.apply(params, jnp.tile(before, (WAYS, 1)), capture=model.cache)
        return model.apply(params, ways, past=past, edits=cut)[0], wanted

    np.testing.assert_allclose(*both(params, *tokens()), atol=1e-5)


def test_what_is_no_cache_is_refused():
    model, params = built("learned", "softmax")
    before, ways, _ = tokens()

    def shapes(model, params, tokens, past=None, **options):
        call = lambda p, x, past: model.apply(p, x, past=past, **options)  # noqa: E731
        return jax.eval_shape(call, params, tokens, past)

    _, past = shapes(model, params, before[None], capture=model.cache[:2])
    with pytest.raises(ValueError, match=r"past must hold block_0\.keys, block_0\.values"):
        shapes(model, params, ways[:1], past)
    _, past = shapes(model, params, before[None], capture=model.cache)
    with pytest.raises(ValueError, match="14 tokens, but max_positions is 13"):
        shapes(model, params, np.zeros((1, 5), np.int32), past)
    other = mamba.mamba(mamba.Spec(width=8, depth=1, state_size=4), vocabulary=11)
    assert other.cache == ()
    with pytest.raises(ValueError, match="there is no cache"):
        shapes(other, parameters(other), ways, past)


def test_positions_are_read_by_their_numbers():
    spec = Spec(width=16, depth=1, heads=2, max_positions=13)
    model = transformer(spec, vocabulary=11)
    few = transformer(spec, vocabulary=11, read_at=(2, 3, 12))
    both = jax.jit(lambda p, x: (model.apply(p, x)[0], few.apply(p, x)[0]))
    every, some = map(np.asarray, both(parameters(model), tokens()[2]))
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
