"""The norms of layers against numpy."""

import jax
import numpy as np

from plateaus.measures.weights import layer_norms


def test_norms_are_over_all_that_a_layer_holds():
    rng = np.random.default_rng(0)
    first, second, third = (rng.standard_normal(shape) for shape in ((3, 4), (4,), (2, 2, 2)))
    params = {"a": {"kernel": first, "bias": second}, "b": {"deep": {"er": third}}}
    found = jax.jit(layer_norms)(jax.tree.map(np.float32, params))
    assert set(found) == {"weight_norm_a", "weight_norm_b"}
    whole = np.concatenate([first.ravel(), second])
    np.testing.assert_allclose(found["weight_norm_a"], np.linalg.norm(whole), rtol=1e-6)
    np.testing.assert_allclose(found["weight_norm_b"], np.linalg.norm(third), rtol=1e-6)
    assert found["weight_norm_b"].shape == ()
