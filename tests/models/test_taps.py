"""Taps: what is refused, and in which words."""

import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models.taps import Tap

NAMES = ("hidden_0", "hidden_1", "readout")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"capture": ("hiden_1",)}, "no activation 'hiden_1'; did you mean hidden_1"),
        ({"edits": {"red out": jnp.abs}}, "no activation 'red out'; did you mean readout"),
        ({"edits": {"x": jnp.abs}, "capture": ("b",)}, "no activation 'b'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(asked, message):
    with pytest.raises(ValueError, match=message):
        Tap(NAMES, **asked)


def test_an_edit_is_applied_before_the_capture_and_only_where_it_is_named():
    tap = Tap(NAMES, edits={"hidden_0": lambda h: 2 * h}, capture=("hidden_0", "readout"))
    value = jnp.float32([1.0, 2.0])
    np.testing.assert_array_equal(tap("hidden_0", value), [2.0, 4.0])
    assert tap("hidden_1", value) is value
    assert tap("readout", value) is value
    assert set(tap.captured) == {"hidden_0", "readout"}
    np.testing.assert_array_equal(tap.captured["hidden_0"], [2.0, 4.0])


def test_nothing_asked_is_nothing_done():
    tap, value = Tap(NAMES), jnp.ones(2)
    assert all(tap(name, value) is value for name in NAMES) and tap.captured == {}
