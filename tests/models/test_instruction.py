"""A fixed instruction: the first token's one-hot names a vector that training leaves alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models.networks.transformer import Spec, transformer

SPEC = Spec(width=8, depth=1, heads=2, max_positions=8, fixed_instruction=True)


def prompts(*numbers):
    x = np.random.default_rng(1).normal(size=(len(numbers), 5, 3)).astype(np.float32)
    x[:, 0] = np.eye(3)[list(numbers)]
    return x


def parameters(model):
    """The first weights' table of instructions; the others, drawn with numpy."""
    rng = np.random.default_rng(0)
    table = jax.jit(lambda seed: model.init(jax.random.key(seed))["instructions"])(np.uint32(0))
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    drawn = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    return drawn | {"instructions": np.asarray(table)}


def test_the_first_token_is_a_row_of_a_table_that_does_not_learn():
    model = transformer(SPEC, inputs=3)
    params, every = parameters(model), prompts(0, 1, 2, 0, 1, 2)
    table = params["instructions"]
    assert table.shape == (3, 8) and 0.5 < table.std() < 1.5

    @jax.jit
    @functools.partial(jax.grad, has_aux=True)
    def loss(params):
        said, seen = model.apply(params, every, capture=["read_in"])
        return jnp.sum(said**2), seen["read_in"]

    gradient, seen = loss(params)
    np.testing.assert_array_equal(np.asarray(seen)[:, 0], np.concatenate([table, table]))
    assert not np.any(gradient["instructions"])
    assert np.any(gradient["positions"])


def test_the_other_tokens_read_in_as_ever():
    model, plain = transformer(SPEC, inputs=3), transformer(Spec(**_plain()), inputs=3)

    params = parameters(model)
    rest = {name: leaf for name, leaf in params.items() if name != "instructions"}

    @jax.jit
    def both(params, rest, x):
        return [
            m.apply(p, x, capture=["read_in"])[1]["read_in"]
            for m, p in ((model, params), (plain, rest))
        ]

    seen, as_ever = map(np.asarray, both(params, rest, prompts(2, 2)))
    np.testing.assert_array_equal(seen[:, 1:], as_ever[:, 1:])
    assert np.any(seen[:, 0] != as_ever[:, 0])


def _plain():
    return {"width": 8, "depth": 1, "heads": 2, "max_positions": 8}


def test_discrete_tokens_have_none():
    with pytest.raises(ValueError, match="fixed_instruction: discrete"):
        transformer(SPEC, vocabulary=5)
