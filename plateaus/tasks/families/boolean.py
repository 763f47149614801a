"""Boolean families: x in {-1, +1}^d, y in {-1, +1}; parities, clauses and majorities.

A function is a theta in {-1, 0, 1}^d and a rule of two numbers, the score theta.x and the size
|theta|_1. So one line a rule serves samples, no-context laws and enumerations of all functions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.tasks.families import chances
from plateaus.tasks.families.enumeration import bayes_logits
from plateaus.tasks.families.family import Family, Sizes, require
from plateaus.tasks.families.inputs import boolean_inputs
from plateaus.tasks.families.linear import dots, subset
from plateaus.types import Array

MOST_FUNCTIONS = 20_000  # that an in-context predictor enumerates
MOST_PARITY_BITS = 12  # parity's functions are 2^d


def product(score, size):
    """Return the parity of the chosen signs: -1 for an odd number of minuses."""
    return 1.0 - 2.0 * (((size - score) / 2) % 2)


def all_hold(score, size):
    """Return +1 where every literal is true; no literals: +1."""
    return 2.0 * (score > size - 1) - 1.0


def any_holds(score, size):
    """Return +1 where some literal is true; no literals: -1."""
    return 2.0 * (score > 1 - size) - 1.0


def most(score, size):
    """Return the sign of the majority."""
    return 2.0 * (score > 0) - 1.0


def _boolean(
    parameters: Callable[..., Array],
    rule: Callable[..., Array],
    law: np.ndarray,
    functions: Callable[[], tuple[np.ndarray, np.ndarray]] | None,
) -> Family:
    """Return a family from theta's law, a rule, P(y = +1 | m), and all theta with log P(theta)."""
    weights, no_context_logits = chances.binomial(len(law) - 1), chances.logits(law)

    def signal(theta, x):
        return rule(dots(theta, x), jnp.sum(jnp.abs(theta)))

    def no_context(x):
        return jnp.asarray(no_context_logits)[chances.plus_signs(x)]

    def in_context(x, y):
        assert functions is not None
        thetas, log_prior = functions()
        return bayes_logits(x, y, jnp.asarray(thetas), jnp.asarray(log_prior), rule)

    return Family(
        parameters=parameters,
        signal=signal,
        inputs=boolean_inputs,
        no_context=no_context,
        no_context_loss=float(np.sum(weights * chances.binary_entropy(law))),
        no_context_accuracy=float(np.sum(weights * np.maximum(law, 1 - law))),
        boolean=True,
        in_context=None if functions is None else in_context,
        learned_below=0.05,
    )


def _of_subset(sizes: Sizes, size: int, rule: Callable[..., Array]) -> Family:
    """Return a rule of a uniform subset of so many signs."""
    d = sizes.dimension

    def parameters(key):
        return subset(key, d, size)

    def functions():
        thetas = np.zeros((math.comb(d, size), d), np.float32)
        for theta, chosen in zip(thetas, itertools.combinations(range(d), size), strict=True):
            theta[list(chosen)] = 1
        return thetas, np.zeros(len(thetas), np.float32)

    few = math.comb(d, size) <= MOST_FUNCTIONS
    return _boolean(parameters, rule, chances.subset_law(d, size, rule), functions if few else None)


def sparse_parity(bits: int, sizes: Sizes) -> Family:
    """y is the product of a uniform subset of so many of the d signs.

    Without context: the mean over all subsets, a function of the number of +1 in x.

    Source: paper 2, its tasks "sparse parity (2)" and "(3)".

    >>> two = sparse_parity(2, Sizes())
    >>> round(two.no_context_loss, 4), round(two.no_context_accuracy, 4)
    (0.6814, 0.5547)
    """
    d = sizes.dimension
    require(bits < d, "dimension", d, f"must be over {bits}, or there is but one parity of {bits}")
    return _of_subset(sizes, bits, product)


def majority(sizes: Sizes) -> Family:
    """y is the sign of the sum of k = `majority_bits` distinct signs, a uniform subset of the d.

    k is odd, so there are no ties, and below d: a vote of all would be a single function.

    >>> round(majority(Sizes()).no_context_accuracy, 4)
    0.6914
    """
    k, d = sizes.majority_bits, sizes.dimension
    require(k % 2 == 1, "majority_bits", k, "must be odd")
    require(k < d, "majority_bits", k, f"must be below dimension ({d}), for a choice of signs")
    return _of_subset(sizes, k, most)


def _all_of(values: Sequence[int], dimension: int) -> np.ndarray:
    """Return all vectors of these values, [len(values)^d, d]."""
    return np.array(list(itertools.product(values, repeat=dimension)), np.float32)


def parity(sizes: Sizes) -> Family:
    """y is the product of a uniform subset of the d signs, of any size; +1 for the empty one.

    Without context: certain at x = (1, .., 1), even odds elsewhere.

    Source: paper 2, its task "parity".

    >>> round(parity(Sizes(dimension=1)).no_context_loss / math.log(2), 4)
    0.5
    """
    d = sizes.dimension

    def parameters(key):
        return jax.random.bernoulli(key, 0.5, (d,)).astype(jnp.float32)

    def functions():
        return _all_of((0, 1), d), np.zeros(2**d, np.float32)

    law = np.full(d + 1, 0.5)
    law[d] = 1.0
    return _boolean(parameters, product, law, functions if d <= MOST_PARITY_BITS else None)


def _clause(sizes: Sizes, rule: Callable[..., Array], true: float) -> Family:
    """Return a rule of random literals, true with this probability whatever x is."""
    d, p = sizes.dimension, sizes.literal_probability
    require(0 < p <= 0.5, "literal_probability", p, "must be in (0, 0.5]")

    def parameters(key):
        u = jax.random.uniform(key, (d,))
        return (u < p).astype(jnp.float32) - ((u >= p) & (u < 2 * p)).astype(jnp.float32)

    def functions():
        thetas = _all_of((-1, 0, 1) if p < 0.5 else (-1, 1), d)
        literals = np.sum(np.abs(thetas), axis=1)
        absent = math.log(1 - 2 * p) if p < 0.5 else 0.0
        return thetas, np.float32(literals * math.log(p) + (d - literals) * absent)

    few = 3**d <= MOST_FUNCTIONS
    return _boolean(parameters, rule, np.full(d + 1, true), functions if few else None)


def conjunction(sizes: Sizes) -> Family:
    """y is the AND of literals: each sign enters plain, negated or not at all; no literals: +1.

    Without context: whatever x is, true with probability (1 - p)^d, p = `literal_probability`.

    Source: paper 2, its task "conjunction", at .15 / .15 / .7.

    >>> and_ = conjunction(Sizes())
    >>> round(1 - and_.no_context_accuracy, 4), round(and_.no_context_loss, 4)
    (0.1969, 0.496)
    """
    return _clause(sizes, all_hold, (1 - sizes.literal_probability) ** sizes.dimension)


def disjunction(sizes: Sizes) -> Family:
    """y is the OR of literals: each sign enters plain, negated or not at all; no literals: -1.

    Without context: whatever x is, true with probability 1 - (1 - p)^d.

    Source: paper 2, its task "disjunction", at .15 / .15 / .7.

    >>> round(disjunction(Sizes()).no_context_accuracy, 4)
    0.8031
    """
    return _clause(sizes, any_holds, 1 - (1 - sizes.literal_probability) ** sizes.dimension)
