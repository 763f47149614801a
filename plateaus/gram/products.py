"""Gram matrices and weighted sums of gradients that are held as factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import EXACT, Array, Float

PRODUCT, LOOKUP, DENSE = "product", "lookup", "dense"
BLOCK = 128  # rows of a matrix product that is worth splitting
PART = 2**22  # entries of the single gradients that are held at once


class Term(NamedTuple):
    """A summand of one parameter's gradient: how its factors, captured, are multiplied.

    Fields:
      kind: PRODUCT of factors L [e, t, p] and R [e, t, q]: sum over t of L R, [e, p, q]. LOOKUP of
        rows [t] and values [t, q]: values added up in those rows, [1, p, q]. DENSE: the summand
        itself. Captured factors have another axis, of examples, in front.
      places: the numbers of its factors among the captured ones.
      shape: the product's shape before `finish`.
      finish: the operations after it, as (name, argument) in order; they keep inner products.
    """

    kind: str
    places: tuple[int, ...]
    shape: tuple[int, ...]
    finish: tuple[tuple[str, Any], ...]


class Pair(NamedTuple):
    """The factors of a term: rows [B, e, t, p], or their numbers [B, t]; columns [B, e, t, q]."""

    rows: Array
    columns: Array

    @property
    def lookup(self) -> bool:
        """Whether rows are given by their numbers."""
        return self.rows.ndim == 2


def combine(
    terms: Sequence[Term],
    factors: Sequence[Array],
    weights: Float[Array, " B"],
    shape: tuple[int, ...],
    dtype: str,
) -> Array:
    """Return one parameter's weighted sum of gradients, summed in float32."""
    parts = [_finished(term, _weighted(term, factors, weights)) for term in terms]
    return sum(parts[1:], start=parts[0]).reshape(shape).astype(dtype)


def gram(terms: Sequence[Term], factors: Sequence[Array]) -> Float[Array, "B B"]:
    """Return the inner products of one parameter's gradients, by the form with fewer operations."""
    pairs = _pairs(terms, factors)
    if pairs is None or not ghost_is_cheaper(pairs):
        if pairs is not None and len(pairs) == 1 and not pairs[0].lookup:
            return _in_parts(pairs[0])
        return _squared(_direct(terms, factors))
    total = jnp.float32(0.0)
    for i, pair in enumerate(pairs):
        total += _symmetric(pair)
        for other in pairs[i + 1 :]:
            across = _ghost(pair, other)
            total += across + across.T
    return total


def _in_parts(pair: Pair) -> Array:
    """Return a term's inner products from its gradients, computed in blocks of columns.

    A small buffer that is used again takes a quarter less time on a CPU than one for all columns.
    """
    short, long = sorted(pair, key=lambda factor: factor.shape[-1])
    entries = short.shape[0] * short.shape[1] * short.shape[-1] * long.shape[-1]
    parts = jnp.array_split(long, max(1, -(-entries // PART)), axis=-1)
    made = (
        jnp.einsum(
            "betp,betq->bepq", short, part, precision=EXACT, preferred_element_type=jnp.float32
        )
        for part in parts
    )
    return sum(map(_squared, made), start=jnp.float32(0.0))


def _squared(each: Array) -> Float[Array, "B B"]:
    """Return the inner products of the rows of [B, ...]."""
    each = each.reshape(each.shape[0], -1)
    return jnp.matmul(each, each.T, precision=EXACT, preferred_element_type=jnp.float32)


def ghost_is_cheaper(pairs: Sequence[Pair]) -> bool:
    r"""Return whether the ghost form has fewer operations than the direct one, for B examples.

    With T positions in all terms together: $B^2 T^2 (p + q)$, one triangle of the two products of
    positions, against $2 B T p q$ to make the gradients and $2 B^2 p q$ to multiply them.

    >>> pair = lambda t, p, q: Pair(jnp.zeros((64, 1, t, p)), jnp.zeros((64, 1, t, q)))
    >>> ghost_is_cheaper([pair(8, 192, 576)]), ghost_is_cheaper([pair(82, 64, 192)])
    (True, False)
    """
    first = pairs[0].columns
    batch, groups, _, q = first.shape
    positions = sum(pair.columns.shape[2] for pair in pairs)
    dense = [pair.rows.shape[-1] for pair in pairs if not pair.lookup]
    if not dense:  # comparing numbers costs next to nothing
        return True
    p = dense[0]
    ghost = groups * batch**2 * positions**2 * (p + q)
    return ghost <= 2 * batch * groups * p * q * (positions + batch)


def _pairs(terms: Sequence[Term], factors: Sequence[Array]) -> list[Pair] | None:
    """Return the factors of all terms as pairs of equal orientation; None where there are none."""
    pairs, shapes = [], set()
    for term in terms:
        if term.kind == DENSE:
            return None
        rows, columns = (factors[place] for place in term.places)
        if term.kind == LOOKUP:
            rows, columns = _in_table(term, rows, columns)
            columns = columns[:, None]
        elif len(terms) > 1 and rows.shape[1] != 1:
            return None
        if len(terms) > 1:
            turned = _turned(term)
            if turned is None or (turned and term.kind == LOOKUP):
                return None
            if turned:
                rows, columns = columns, rows
            shapes.add(term.shape[::-1] if turned else term.shape)
        pairs.append(Pair(rows, columns))
    return pairs if len(shapes) <= 1 else None


def _in_table(term: Term, index: Array, values: Array) -> tuple[Array, Array]:
    """Return a look-up in which numbers beyond the table are row 0 with a value of 0."""
    inside = (index >= 0) & (index < term.shape[0])
    return jnp.where(inside, index, 0), jnp.where(inside[..., None], values, 0)


def _turned(term: Term) -> bool | None:
    """Return whether `finish` transposes a term's matrix; None if it does anything else."""
    turned = False
    for name, argument in term.finish:
        if name == "transpose" and argument == (1, 0):
            turned = not turned
        elif name != "convert":
            return None
    return turned if len(term.shape) == 2 else None


def _symmetric(pair: Pair) -> Array:
    """Return a term's inner products with itself: one triangle of blocks, mirrored."""
    batch, positions = pair.columns.shape[0], pair.columns.shape[2]
    blocks = max(n for n in (1, 2, 4) if n == 1 or batch * positions >= n * BLOCK)
    if batch % blocks:
        return _ghost(pair, pair)
    size = batch // blocks
    parts = [jax.tree.map(lambda x, i=i: x[i * size : (i + 1) * size], pair) for i in range(blocks)]
    upper = {(i, j): _ghost(parts[i], parts[j]) for i in range(blocks) for j in range(i, blocks)}
    return jnp.block(
        [[upper[i, j] if i <= j else upper[j, i].T for j in range(blocks)] for i in range(blocks)]
    )


def _ghost(first: Pair, second: Pair) -> Array:
    """Return the inner products of two terms' gradients, [A, B], from those of their positions."""
    columns = _positions(first.columns, second.columns)
    if first.lookup and second.lookup:
        alike = first.rows[:, None, :, None, None] == second.rows[None, None, None]
        return jnp.sum(jnp.where(alike, columns, 0.0), axis=(1, 2, 4))
    if first.lookup:
        return _ghost(second, first).T
    if second.lookup:  # a row of zeros but for a one picks an entry
        picked = jnp.take(first.rows[:, 0], second.rows, axis=-1)  # [A, t, B, s]
        return jnp.sum(picked[:, None].astype(jnp.float32) * columns, axis=(1, 2, 4))
    return jnp.sum(_positions(first.rows, second.rows) * columns, axis=(1, 2, 4))


def _positions(first: Array, second: Array) -> Float[Array, "A e t B s"]:
    """Return the inner products of all positions of all examples."""
    return jnp.einsum(
        "aetp,besp->aetbs", first, second, precision=EXACT, preferred_element_type=jnp.float32
    )


def _direct(terms: Sequence[Term], factors: Sequence[Array]) -> Float[Array, "B n"]:
    """Return one parameter's gradients on each example."""
    each = [
        jax.vmap(lambda *single, term=term: _of_example(term, single))(
            *(factors[place] for place in term.places)
        )
        for term in terms
    ]
    total = sum(each[1:], start=each[0])
    return total.reshape(total.shape[0], -1)


def _of_example(term: Term, factors: Sequence[Array]) -> Array:
    """Return a term of a single example, from its factors without the axis of examples."""
    weight = jnp.ones(1, jnp.float32)
    places = tuple(range(len(factors)))
    value = _weighted(term._replace(places=places), [x[None] for x in factors], weight, EXACT)
    return _finished(term, value)


def _weighted(
    term: Term,
    factors: Sequence[Array],
    weights: Array,
    precision: jax.lax.Precision | None = None,  # as in a backward pass
) -> Array:
    """Return the weighted sum over examples of a term, before `finish`."""
    parts = [factors[place] for place in term.places]
    if term.kind == DENSE:
        (value,) = parts
        flat = value.reshape(value.shape[0], -1).astype(jnp.float32)
        return jnp.matmul(weights, flat, precision=EXACT).reshape(term.shape)
    if term.kind == LOOKUP:
        index, values = _in_table(term, *parts)
        scaled = values.astype(jnp.float32) * weights[:, None, None]
        width = values.shape[-1]
        table = jnp.zeros((term.shape[0], width), jnp.float32)
        table = table.at[index.reshape(-1)].add(scaled.reshape(-1, width))
        return table.reshape(term.shape)
    rows, columns = parts
    scale = weights[:, None, None, None].astype(rows.dtype)
    if rows.shape[-1] <= columns.shape[-1]:
        rows = rows * scale
    else:
        columns = columns * scale
    # Examples and positions as one axis: over two, XLA copies both factors on a CPU.
    rows, columns = (
        jnp.moveaxis(x, 1, 0).reshape(x.shape[1], -1, x.shape[-1]) for x in (rows, columns)
    )
    total = jnp.einsum(
        "enp,enq->epq", rows, columns, precision=precision, preferred_element_type=jnp.float32
    )
    return total.reshape(term.shape)


def _finished(term: Term, value: Array) -> Array:
    """Return a term in the shape of its parameter; `combine` makes the conversions at the end."""
    for name, argument in term.finish:
        if name == "transpose":
            value = jnp.transpose(value, argument)
        elif name == "reshape":
            value = value.reshape(argument)
        elif name == "pad":
            value = jax.lax.pad(value, jnp.zeros((), value.dtype), argument)
    return value
