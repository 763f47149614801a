"""Task vectors: the residual stream at the last separator of a prompt, and what it does elsewhere.

A model of L blocks has L + 1 layers of its stream: layer l goes into block l, layer L comes out of
the last block. A query is a prompt without examples, whose own separator is the first token of its
`ways`: there a vector [W] is patched in, in place of the stream or added to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from plateaus.measures.superposition import answers
from plateaus.types import Array, Float, Int, MixedPrompt, Model, PyTree

NOWHERE = -1  # a layer that is not there: nothing is patched


def layers(model: Model) -> tuple[str, ...]:
    """Return the names of the residual stream, layer by layer, L + 1.

    >>> names = ("read_in", "block_0.residual", "block_0.residual_middle", "final_residual")
    >>> layers(Model(init=None, apply=None, activations=names))
    ('block_0.residual', 'final_residual')
    """
    blocks = [name for name in model.activations if name.endswith(".residual")]
    return (*blocks, "final_residual")


def of_prompt(model: Model, params: PyTree, prompt: MixedPrompt) -> Float[Array, "layers W"]:
    """Return the stream at the last separator of a prompt, at every layer: its task vectors.

    The model must read at all positions.

    Source: paper 5, task vectors.
    """
    names = layers(model)
    tokens = jnp.concatenate([prompt.prefix, prompt.ways[0, :1]])
    _, seen = model.apply(params, tokens[None], capture=names)
    return jnp.stack([seen[name][0, -1].astype(jnp.float32) for name in names])


def patch(
    model: Model,
    layer: Int[Array, ""] | int,
    vector: Float[Array, " W"],
    *,
    keep: Array | bool = False,
) -> dict[str, Callable[[Array], Array]]:
    """Return the edits that put a vector in place of the stream at the first token, at one layer.

    With `keep` the stream stays, and the vector is added to it. Both may be traced: all layers are
    edited, the others to what they are; at `NOWHERE` none.

    >>> names = ("block_0.residual", "final_residual")
    >>> edits = patch(Model(None, None, names), 1, jnp.ones(1))
    >>> [jax.jit(edits[name])(jnp.zeros((1, 2, 1))).ravel().tolist() for name in names]
    [[0.0, 0.0], [1.0, 0.0]]
    """

    def edit(stream: Array, *, patched: Array) -> Array:
        put = vector[None, :].astype(stream.dtype)
        put = jnp.where(keep, stream[:, 0] + put, put)
        first = jnp.where(patched, put, stream[:, 0])
        return stream.at[:, 0].set(first)

    return {
        name: functools.partial(edit, patched=jnp.asarray(layer == number))
        for number, name in enumerate(layers(model))
    }


def patched(
    model: Model,
    params: PyTree,
    query: MixedPrompt,
    at: Int[Array, " N"],
    vectors: Float[Array, "N W"],
    *,
    keep: Array | bool = False,
) -> Float[Array, "N K"]:
    r"""Return $P_k$ of each answer to a query if vector n is patched in at layer `at[n]`.

    P is the product over an answer's tokens, those after the first from the patched stream, too.
    """
    past = answers.cached(model, params, query.prefix, query.ways.shape[0])

    def probabilities(layer: Array, vector: Array) -> Array:
        edits = patch(model, layer, vector, keep=keep)
        return jnp.exp(answers.log_probabilities(model, params, query, past, edits=edits))

    return jax.vmap(probabilities)(at, vectors)


def by_layer(
    model: Model,
    params: PyTree,
    query: MixedPrompt,
    vectors: Float[Array, "K layers W"],
    *,
    keep: Array | bool = False,
) -> tuple[Float[Array, "layers K"], Float[Array, " K"]]:
    """Return how probable answer k is with task k's vector patched in, by layer, and without.

    Source: paper 5, task vectors: the best layer is the one with the highest P(correct).
    """
    tasks, count, _ = vectors.shape
    at = jnp.concatenate([jnp.tile(jnp.arange(count), tasks), jnp.array([NOWHERE])])
    flat = vectors.reshape(tasks * count, -1)
    patches = jnp.concatenate([flat, jnp.zeros_like(flat[:1])])
    p = patched(model, params, query, at, patches, keep=keep)
    matched = jnp.diagonal(p[:-1].reshape(tasks, count, tasks), axis1=0, axis2=2)  # [layers, K]
    return matched, p[-1]


def combinations(
    first: Float[Array, " W"], second: Float[Array, " W"], steps: int
) -> Float[Array, "steps W"]:
    r"""Return $(1 - \lambda) v_a + \lambda v_b$ for `steps` even $\lambda$ from 0 to 1.

    Source: paper 5, convex combinations of task vectors.

    >>> several = jax.jit(combinations, static_argnums=2)
    >>> several(jnp.array([0.0]), jnp.array([4.0]), 3).ravel().tolist()
    [0.0, 2.0, 4.0]
    """
    share = jnp.linspace(0.0, 1.0, steps)[:, None]
    return (1 - share) * first[None, :] + share * second[None, :]
