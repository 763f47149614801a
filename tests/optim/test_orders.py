"""Random orders: permutations, the same by counting as by sorting, each with its inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.optim.aggregators import orders as module
from plateaus.optim.aggregators.orders import orders


def drawn(size):
    """Orders of one seed, and their inverses."""
    return jax.jit(lambda key: orders(key, size)[:2])(jax.random.key(4))


@pytest.mark.parametrize("size", [1, 2, 5, 20, 65])
def test_each_row_is_an_order_with_its_inverse(size):
    order, place = drawn(size)
    assert order.shape == place.shape == (size, size)
    np.testing.assert_array_equal(np.sort(order), np.tile(np.arange(size), (size, 1)))
    inverse = np.take_along_axis(np.asarray(order), np.asarray(place), axis=1)
    np.testing.assert_array_equal(inverse, np.tile(np.arange(size), (size, 1)))


def test_counting_gives_the_orders_of_sorting(monkeypatch):
    counted = drawn(20)
    monkeypatch.setattr(module, "_PAIRED", 0)
    for one, other in zip(counted, drawn(20), strict=True):
        np.testing.assert_array_equal(one, other)
    assert jnp.any(counted[0][0] != counted[0][1])
