r"""A transformer whose weights are set, not trained: K tasks in superposition, in one pass.

A prompt is m examples and a query. An example is n distinct letters, a separator, the answer and a
newline, so n + 3 tokens; the query is n letters and a separator. Task k answers with the letter at
place i_k.

The stream has a name for each of its coordinates (`_layout`): a letter is one-hot, of d; a position
s is $e(s) = (\cos, \sin)(2 \pi s / 2^j)$ for j = 1 ... L, with 2^L >= T positions. If 2^a is the
largest power of two that divides s - r, the term j = a + 1 of $e(s) \cdot e(r)$ is -1 and not 1: so
$e(s) \cdot e(r) \le e(s) \cdot e(s) - 2$ for s unlike r, and a head finds one position exactly.

Two things make norms and gelus exact up to rounding. One coordinate of the stream, C, outweighs all
others together, x: the root mean square is $C / \sqrt W$ to a relative error of $|x|^2 / 2 C^2$, so
that the scale of a norm undoes it. And $\mathrm{gelu}(g z) / g$ is relu(z) in float32 where z is 0
or |z| > 6 / g: every z below, if it is as meant, is a multiple of 1/m, and g is 16 m.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.models.networks.transformer import Spec

CONSTANT = 2.0**16  # C
SHARP = 30.0  # what a head does not mean has weights of e^-30
FLOOR = 20.0  # what is impossible has a probability of e^-20


def superposing(
    places: Sequence[int],
    *,
    letters: Sequence[int],
    separator: int,
    newline: int,
    length: int,
    examples: int,
    vocabulary: int,
) -> tuple[Spec, dict[str, Any]]:
    r"""Return the spec and the parameters of a transformer that does K tasks in superposition.

    Let n_k count the examples whose answer is the letter at place i_k of their input. At the
    separator of a query x the next token is v with probability
    $$P(v) = \sum_k n_k [x_{i_k} = v] / \sum_k n_k,$$
    to about 1e-5. After an input it is the separator, after an answer the newline, for certain.

    Args:
      places: i_1 ... i_K, from 1 to `length`.
      letters: the d tokens that inputs and answers are made of.
      separator, newline: the tokens after an input and after an answer.
      length: n, letters of an input.
      examples: m, the most that a prompt may have.
      vocabulary: how many tokens there are.

    P holds with fewer examples, too, and so at every separator of a prompt, of those before it;
    where there are none, all tokens are alike. What is predicted within an input means nothing.
    Activation "block_1.attention_out" at a separator is a task vector, the shares n_k / m alone:
    added to a query without examples it does the tasks, and convex combinations of such vectors do
    what mixed prompts do. Where an accelerator rounds products, the error is larger:
    `jax.default_matmul_precision("highest")` forbids it.

    Raises ValueError for a place that the input does not have, places or tokens that are there
    twice, fewer letters than `length`, a token outside the vocabulary, no place or no example.

    Source: paper 5's theorem: a transformer of 7 layers, width O(d + log(mn)) and K heads a layer
    can do K tasks in superposition. It says that weights exist. These have 3 layers, of the last of
    which only the MLP is used, and K heads a layer, each of size O(d + log(mn)); the width is K
    times that. The MLPs have max(K, m) d hidden units, rounded up to a multiple of the width.

    >>> from plateaus.models.networks.transformer import transformer
    >>> spec, params = superposing(
    ...     (1, 2), letters=range(4), separator=4, newline=5, length=2, examples=3, vocabulary=6
    ... )
    >>> prompt = "ab>a;cd>d;bd>b;ac>"  # the first letter, the second, the first
    >>> tokens = jnp.array([["abcd>;".index(token) for token in prompt]])
    >>> logits, _ = jax.jit(transformer(spec, vocabulary=6).apply)(params, tokens)
    >>> [f"{p:.4f}" for p in jax.nn.softmax(logits[0, -1])]
    ['0.6667', '0.0000', '0.3333', '0.0000', '0.0000', '0.0000']
    """
    _check(places, [*letters, separator, newline], length, examples, vocabulary)
    k, d, n, m = len(places), len(letters), length, examples
    positions = (m + 1) * (n + 3)
    code = 2 * (positions - 1).bit_length()  # 2 L
    at = _layout(
        one=1,  # C, read as 1: its weights are biases
        last=1,  # 1 at the last letter of an input
        answer=1,  # 1 at an answer
        first=1,  # 1 at position 0
        missing=1,  # log of how many of the m examples are still to come
        position=code,  # e(position)
        start=code,  # e(position where the example starts)
        token=d,  # the token, if it is a letter
        slot=k * d,  # for each task, the letter at place i_k of the example
        match=k,  # 1 at an answer that is task k's
        share=k,  # n_k / m
        chance=d,  # sum_k n_k [x_{i_k} = v] / m
        score=d,  # the log of it
    )
    slot = at["slot"].reshape(k, d)
    size = max(code, -(-int(at["score"][-1] + 1) // k))  # of a head: a code and the stream fit
    width = k * size
    head = np.arange(width).reshape(k, size)
    spec = Spec(
        width=width,
        depth=3,
        heads=k,
        mlp_multiple=-(-d * max(k, m) // width),
        max_positions=positions,
        norm="rmsnorm",
        bias=False,
    )
    blocks = [_Weights(width, spec.mlp_multiple) for _ in range(spec.depth)]
    gain = 16.0 * m  # g

    # Block 0, attention: head k copies the letter at place i_k of its example to slot k.
    # Its MLP, with a unit for a task and a letter: match_k = sum_v relu(slot_k[v] + token[v] +
    # answer - 2), 1 at an answer that is the letter in slot k.
    block, unit = blocks[0], np.arange(k * d).reshape(k, d)
    for task, place in enumerate(places):
        turn = SHARP / 2 * np.sqrt(size) * _turn(place - 1, code)
        block.query[np.ix_(at["start"], head[task, :code])] = turn
        block.key[at["position"], head[task, :code]] = 1
        block.value[at["token"], head[task, :d]] = 1
        block.out[head[task, :d], slot[task]] = 1
        for read in (slot[task], at["token"], at["answer"]):
            block.up[read, unit[task]] = gain
        block.up[at["one"], unit[task]] = -2 * gain
        block.down[unit[task], at["match"][task]] = 1 / gain

    # Block 1, attention: head k takes the mean of match_k over the answers so far and position 0,
    # which has no match and the weight of all examples that are missing: n_k / m.
    # Its MLP: chance[v] = sum_k relu(share_k - 2 (1 - slot_k[v])) = sum_k share_k slot_k[v].
    block = blocks[1]
    for task in range(k):
        to_answers, to_first = head[task, :2]
        block.query[at["one"], [to_answers, to_first]] = SHARP * np.sqrt(size)
        block.query[at["missing"], to_first] = np.sqrt(size)
        block.key[at["answer"], to_answers] = block.key[at["first"], to_first] = 1
        block.value[at["match"][task], head[task, 0]] = 1
        block.out[head[task, 0], at["share"][task]] = 1
        block.up[at["share"][task], unit[task]] = gain
        block.up[slot[task], unit[task]] = 2 * gain
        block.up[at["one"], unit[task]] = -2 * gain
        block.down[unit[task], at["chance"]] = 1 / gain

    # Block 2, MLP: score = log(chance), linear between 0, 1/m, ..., 1 and so exact there. It is
    # -sum_j bend_j relu(j/m - chance), and bends of a concave function are > 0: nothing cancels.
    block, unit = blocks[2], np.arange(m * d).reshape(m, d)
    logs = np.array([-FLOOR, *np.log(np.arange(1, m + 1) / m)])
    for j, bend in enumerate(-np.diff(m * np.diff(logs), append=0), 1):
        block.up[at["one"], unit[j - 1]] = gain * j / m
        block.up[at["chance"], unit[j - 1]] = -gain
        block.down[unit[j - 1], at["score"]] = -bend / gain

    embedding, table = np.zeros((vocabulary, width)), np.zeros((positions, width))
    embedding[letters, at["token"]] = 1
    t = np.arange(positions)
    example, place_of = np.divmod(t, n + 3)
    table[:, at["one"]] = CONSTANT
    table[place_of == n - 1, at["last"]] = table[place_of == n + 1, at["answer"]] = 1
    table[0, at["first"]] = 1
    table[:, at["missing"]] = np.log(np.maximum(m - example, np.exp(-SHARP)))[:, None]
    table[:, at["position"]], table[:, at["start"]] = _code(t, code), _code(example * (n + 3), code)
    readout = np.zeros((width, vocabulary))
    readout[at["one"], :] = -FLOOR  # but a letter has its score, between that and 0
    readout[at["one"], letters], readout[at["score"], letters] = 0, 1
    readout[at["last"], separator] = readout[at["answer"], newline] = 2 * FLOOR
    norm = np.full(width, CONSTANT / np.sqrt(width))
    norm[at["one"]] = 1 / np.sqrt(width)
    params = {
        "read_in": {"embedding": embedding},
        "positions": table,
        **{f"block_{i}": block.params(norm) for i, block in enumerate(blocks)},
        "final_norm": {"scale": norm},
        "readout": {"kernel": readout},
    }
    return spec, jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)


class _Weights:
    """The matrices of one block, [read from, written to]; zero until they are set."""

    def __init__(self, width: int, multiple: int) -> None:
        self.query, self.key, self.value, self.out = np.zeros((4, width, width))
        self.up, self.down = (
            np.zeros((width, multiple * width)),
            np.zeros((multiple * width, width)),
        )

    def params(self, norm: np.ndarray) -> dict[str, Any]:
        return {
            "attention_norm": {"scale": norm},
            "qkv": {"kernel": np.concatenate([self.query, self.key, self.value], axis=1)},
            "attention_out": {"kernel": self.out},
            "mlp_norm": {"scale": norm},
            "mlp_up": {"kernel": self.up},
            "mlp_down": {"kernel": self.down},
        }


def _layout(**sizes: int) -> dict[str, np.ndarray]:
    """Return the coordinates of each part of the stream, one part after the other."""
    parts = np.split(np.arange(sum(sizes.values())), np.cumsum(list(sizes.values()))[:-1])
    return dict(zip(sizes, parts, strict=True))


def _code(t: np.ndarray, code: int) -> np.ndarray:
    """Return e(t), [T, code]: cosines, then sines.

    >>> products = _code(np.arange(100), 14) @ _code(np.arange(100), 14).T
    >>> float((products - 2 * np.eye(100)).max().round(6))  # L = 7 of s with s; else at most L - 2
    5.0
    """
    angles = 2 * np.pi * t[:, None] / 2.0 ** np.arange(1, code // 2 + 1)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _turn(s: int, code: int) -> np.ndarray:
    """Return the matrix R with e(t) R = e(t + s) for all t.

    >>> t = np.arange(100)
    >>> np.allclose(_code(t, 14) @ _turn(3, 14), _code(t + 3, 14))
    True
    """
    cosine, sine = (np.diag(part) for part in np.split(_code(np.array([s]), code)[0], 2))
    return np.block([[cosine, sine], [-sine, cosine]])


def _check(
    places: Sequence[int], tokens: Sequence[int], length: int, examples: int, vocabulary: int
) -> None:
    *letters, separator, newline = tokens
    odd = [place for place in places if not 1 <= place <= length]
    unknown = [token for token in tokens if not 0 <= token < vocabulary]
    wrong = {
        f"places: {odd} must be from 1 to length, {length}": odd,
        f"places: {list(places)} must be one or more, all different": not _differ(places),
        f"letters: {letters} must be different tokens": not _differ(letters),
        f"letters: {len(letters)} are too few for {length} distinct ones": len(letters) < length,
        f"separator {separator}, newline {newline}: must be two and no letters": not _differ(
            tokens
        ),
        f"tokens: {unknown} must be from 0 to vocabulary - 1, {vocabulary - 1}": unknown,
        f"examples: {examples} must be at least 1": examples < 1,
    }
    for message, holds in wrong.items():
        if holds:
            raise ValueError(message)


def _differ(values: Sequence[int]) -> bool:
    return 0 < len(set(values)) == len(values)
