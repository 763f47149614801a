"""How probable answers of several tokens are after a prompt, and which outputs are most probable.

One pass over the prompt; what follows goes on from its cached keys and values.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from plateaus.types import Array, Float, Int, MixedPrompt, Model, PyTree

Past = dict[str, Array]


def cached(model: Model, params: PyTree, prefix: Int[Array, " T"], ways: int) -> Past:
    """Return what `ways` continuations need of a prompt, the same for each.

    The model must read at all positions and have a cache.
    """
    _, past = model.apply(params, prefix[None], capture=model.cache)
    return {name: jnp.broadcast_to(x, (ways, *x.shape[1:])) for name, x in past.items()}


def log_probabilities(
    model: Model, params: PyTree, prompt: MixedPrompt, past: Past, **options: Any
) -> Float[Array, " K"]:
    r"""Return $\sum_j \log P(a_j \mid \text{prompt}, a_{<j})$ of each way to go on, in nats.

    `options` are `Model.apply`'s edits.

    Source: paper 5: the probability of a task is the product over its answer and the newline.
    """
    logits, _ = model.apply(params, prompt.ways, past=past, **options)
    return scored(logits, prompt)


def scored(logits: Float[Array, "K S V"], prompt: MixedPrompt) -> Float[Array, " K"]:
    """Return the log-probability of each way's answer, from the logits after each of its tokens."""
    log_p = jax.nn.log_softmax(logits)
    of_targets = jnp.take_along_axis(log_p, prompt.targets[..., None], axis=-1)[..., 0]
    return jnp.sum(jnp.where(prompt.scored, of_targets, 0.0), axis=-1)


def most_probable(
    model: Model,
    params: PyTree,
    first: Int[Array, ""],
    past: Past,
    *,
    end: Int[Array, ""],
    tokens: int,
) -> tuple[Float[Array, " W"], Int[Array, "W S"]]:
    """Return the log-probabilities and tokens of the most probable outputs: a search of W beams.

    W is the number of ways in `past`; `first` the token after the prefix; an output is at most S =
    `tokens` tokens, of which `end` is the last, and 0 follows. What has ended does not compete with
    what goes on. Exact where the likeliest outputs begin with the W likeliest tokens; in general
    outputs may be missed, so that an answer's rank is a lower bound. -inf, and tokens -1, for fewer
    than W outputs.
    """
    beams = next(iter(past.values())).shape[0]
    written = jnp.zeros((beams, tokens + 1), jnp.int32).at[:, 0].set(first)
    score = jnp.where(jnp.arange(beams) == 0, 0.0, -jnp.inf)
    outputs, texts = jnp.full(beams, -jnp.inf), jnp.full((beams, tokens), -1)
    for place in range(tokens):
        logits, _ = model.apply(params, written[:, :-1], past=past)
        log_p = jax.nn.log_softmax(logits[:, place])
        ended = score + jnp.take(log_p, end, axis=1)
        outputs, kept = jax.lax.top_k(jnp.concatenate([outputs, ended]), beams)
        texts = jnp.concatenate([texts, written.at[:, place + 1].set(end)[:, 1:]])[kept]
        going = jnp.where(jnp.arange(log_p.shape[1]) == end, -jnp.inf, log_p)
        score, chosen = jax.lax.top_k((score[:, None] + going).ravel(), beams)
        beam, token = chosen // log_p.shape[1], chosen % log_p.shape[1]
        written = written[beam].at[:, place + 1].set(token.astype(jnp.int32))
    return outputs, texts


def with_answers(
    outputs: Float[Array, " W"],
    texts: Int[Array, "W S"],
    prompt: MixedPrompt,
    log_p: Float[Array, " K"],
) -> Float[Array, " W"]:
    """Return the outputs' log-probabilities, of those that are answers as `log_p` has them.

    Passes of other shapes round otherwise (in bfloat16 by 1e-2 nats): so that an answer never
    stands behind itself in the order of the two.
    """
    same = (texts[:, None, :] == prompt.targets[None]) | ~prompt.scored[None]
    matches = jnp.all(same, axis=-1)  # [W, K], one of each row at most
    of_answer = jnp.sum(jnp.where(matches, log_p[None], 0.0), axis=1)
    return jnp.where(jnp.any(matches, axis=1), of_answer, outputs)
