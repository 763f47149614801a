"""A fixed instruction: the first token's one-hot names a vector that training leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models.transformer import Spec, transformer

SPEC = Spec(width=8, depth=1, heads=2, max_positions=8, fixed_instruction=True)


def prompts(number):
    x = jax.random.normal(jax.random.key(1), (2, 5, 3))
    return x.at[:, 0].set(jax.nn.one_hot(number, 3))


def test_the_first_token_is_a_row_of_a_table_that_does_not_learn():
    model = transformer(SPEC, inputs=3)
    params = model.init(jax.random.key(0))
    table = np.asarray(params["instructions"])
    assert table.shape == (3, 8) and 0.5 < table.std() < 1.5
    for number in range(3):
        _, seen = model.apply(params, prompts(number), capture=["read_in"])
        np.testing.assert_array_equal(seen["read_in"][:, 0], np.stack([table[number]] * 2))
    gradient = jax.grad(lambda p: jnp.sum(model.apply(p, prompts(1))[0] ** 2))(params)
    assert not np.any(gradient["instructions"])
    assert np.any(gradient["positions"])


def test_the_other_tokens_read_in_as_ever():
    model, plain = transformer(SPEC, inputs=3), transformer(Spec(**_plain()), inputs=3)
    params = model.init(jax.random.key(0))
    rest = {name: leaf for name, leaf in params.items() if name != "instructions"}
    seen, as_ever = (
        m.apply(p, prompts(2), capture=["read_in"])[1]["read_in"]
        for m, p in ((model, params), (plain, rest))
    )
    np.testing.assert_array_equal(seen[:, 1:], as_ever[:, 1:])
    assert np.any(seen[:, 0] != as_ever[:, 0])


def _plain():
    return {"width": 8, "depth": 1, "heads": 2, "max_positions": 8}


def test_discrete_tokens_have_none():
    with pytest.raises(ValueError, match="fixed_instruction: discrete"):
        transformer(SPEC, vocabulary=5)
