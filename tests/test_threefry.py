"""Keys of quick draws: what they draw is what JAX's keys draw, and it is computed apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.threefry import quick

KEY = jax.random.key(3, impl="threefry2x32")
SEEDS = np.array([0, 1, 2**32 - 1], np.uint32)

DRAWS = {
    "words": lambda key: jax.random.bits(key, (5, 3), jnp.uint32),
    "one word": lambda key: jax.random.bits(key, (), jnp.uint32),
    "no words": lambda key: jax.random.bits(key, (0,), jnp.uint32),
    "bytes": lambda key: jax.random.bits(key, (7,), jnp.uint8),
    "halves": lambda key: jax.random.bits(key, (7,), jnp.uint16),
    "split": lambda key: jax.random.key_data(jax.random.split(key, (2, 3))),
    "folds": lambda key: jax.random.key_data(
        jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.array([0, 7, -1]))
    ),
    "integers": lambda key: jax.random.randint(key, (9,), -3, 1_000_003),
    "order": lambda key: jax.random.permutation(key, 11),
    "normal": lambda key: jax.random.normal(jax.random.split(key)[1], (4,)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_those_of_the_plain_key(name):
    """Of single keys and of many at once, as in a program over runs."""
    draw = DRAWS[name]

    def both(seed):
        key = jax.random.key(seed, impl="threefry2x32")
        return draw(key), draw(quick(key))

    plain, soon = jax.jit(jax.vmap(both))(SEEDS)
    np.testing.assert_array_equal(plain, soon)
    assert plain.dtype == soon.dtype
    if name in ("words", "folds"):
        np.testing.assert_array_equal(jax.jit(draw)(KEY), jax.jit(lambda k: draw(quick(k)))(KEY))


def test_seeds_are_those_of_the_plain_key():
    kind = jax.random.key_impl(quick(KEY))
    np.testing.assert_array_equal(
        jax.random.key_data(jax.jit(lambda seed: jax.random.key(seed, impl=kind))(np.uint32(9))),
        jax.random.key_data(jax.random.key(9, impl="threefry2x32")),
    )


def test_a_word_read_many_times_is_hashed_once():
    """Fused into what reads it, the hash would be computed for each of the 64 numbers."""
    if jax.default_backend() != "cpu":
        pytest.skip("only there the hash is written out by hand")

    def read(key):
        return jnp.outer(jax.random.bits(quick(key), (8,), jnp.uint32), jnp.arange(8)) & 1

    text = jax.jit(read).lower(KEY).compile().as_text()
    assert " while(" in text and " conditional(" not in text


def test_words_of_64_bits_are_refused():
    with jax.enable_x64(True), pytest.raises(NotImplementedError, match="64 bits"):
        jax.random.bits(quick(KEY), (), jnp.uint64)


def test_streams_of_another_law_stay_theirs():
    """`jax_threefry_partitionable` off is another law of the words, and only JAX has it."""
    with jax.threefry_partitionable(False):
        assert quick(KEY) is KEY
    assert quick(KEY) is not KEY
