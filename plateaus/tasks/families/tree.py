"""Decision trees: full, binary, splitting on the signs of random coordinates."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.tasks.families.family import Family, Sizes
from plateaus.tasks.families.inputs import InputLaw
from plateaus.tasks.families.linear import linear


def decision_tree(sizes: Sizes, law: InputLaw) -> Family:
    """y is the leaf that x comes to, going right where x_i > 0, left elsewhere.

    A full tree of `tree_depth`; each node's i is a uniform coordinate, each leaf ~ N(0, 1).
    Without context 0, with loss 1. theta: coordinates [2^depth - 1], the children of node k being
    2k + 1 (left) and 2k + 2, and leaves [2^depth], from left to right.

    Source: paper 2, its task "decision tree"; Garg et al. 2022.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> tree = decision_tree(Sizes(tree_depth=1), gaussian(10))
    >>> theta = (jnp.array([1]), jnp.array([5.0, 7.0]))
    >>> jax.jit(tree.signal)(theta, jnp.array([[9.0, -1.0], [-9.0, 1.0]])).tolist()
    [5.0, 7.0]
    """
    nodes = 2**sizes.tree_depth - 1

    def parameters(key):
        key_nodes, key_leaves = jax.random.split(key)
        coordinates = jax.random.randint(key_nodes, (nodes,), 0, sizes.dimension)
        return coordinates, jax.random.normal(key_leaves, (nodes + 1,))

    def signal(theta, x):
        coordinates, leaves = theta
        node = jnp.zeros(x.shape[0], jnp.int32)
        for _ in range(sizes.tree_depth):
            tested = jnp.take_along_axis(x, coordinates[node][:, None], axis=1)[:, 0]
            node = 2 * node + 1 + (tested > 0)
        return leaves[node - nodes]

    return linear(sizes, law)._replace(
        parameters=parameters, signal=signal, no_context_loss=1.0, in_context=None
    )
