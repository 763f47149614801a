"""Contracts of every aggregator, with every number it takes; tested by registering it."""

import collections
import functools
import inspect
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.optim.aggregation import AGGREGATORS, blend

SIZE = 6
ORDERED = {"pcgrad", "gradvac"}  # the result depends on the gradients' order
BY_SPECTRUM = {"imtl_g", "aligned_mtl"}  # where float32 ends: a ratio of lengths of 1,000
OWN_SCALE = {"nash_mtl", "fairgrad"}  # the weights change with the gradients' common scale
NEVER_CONFLICTING = {"mgda", "upgrad", "nash_mtl", "fairgrad"}
# where equal orthogonal gradients of length 1 do not get 1 (a sum) or 1/B (a mean), but so much:
FACTOR = {"cagrad": 1.5, "nash_mtl": SIZE**-0.5}  # 1 + c; length 1 of the result
each = pytest.mark.parametrize("name", AGGREGATORS)


def numbers(name):
    """The arguments that are numbers: what may be traced."""
    parameters = inspect.signature(AGGREGATORS[name].make).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, float)}


WITH_NUMBERS = [(name, number) for name in AGGREGATORS for number in numbers(name)]


def rows_of(case, size=SIZE):
    """[B, n]"""
    rows = np.random.default_rng(0).standard_normal((size, 3 * size))
    made = {
        "random": lambda: rows,
        "agreeing": lambda: rows + 1,
        "zero": lambda: 0 * rows,
        "equal": lambda: np.ones((size, 1)) * rows[0],
        "parallel": lambda: np.arange(1, size + 1)[:, None] * rows[0],
        "opposite": lambda: (-1) ** np.arange(size)[:, None] * rows[0],
        "deficient": lambda: rows[:, : size // 2],
        "one zero": lambda: np.where(np.arange(size)[:, None] == 1, 0, rows),
        "twins": lambda: rows[np.arange(size) // 2],
        "tiny": lambda: 1e-12 * rows,
        "huge": lambda: 1e12 * rows,
        "lengths": lambda: rows * 10.0 ** np.linspace(-3, 3, size)[:, None],
    }
    return made[case]()


CASES = ("random", "agreeing", "zero", "equal", "parallel", "opposite", "deficient", "one zero")
CASES += ("twins", "tiny", "huge", "lengths")


def gram_of(rows):
    return np.float32(rows @ rows.T)


traces = collections.Counter()


def second(name, options, gram, key=None):
    """Weights [B] of a gram [B, B]; of the second step where there is a state."""
    aggregator = AGGREGATORS[name].make(**options)
    state = aggregator.init(len(gram))
    if jax.tree.leaves(state):
        first, key = (None, None) if key is None else jax.random.split(key)
        _, state = aggregator.update(gram, state, key=first)
    return aggregator.update(gram, state, key=key)[0]


@functools.cache
def program(name):
    """(numbers, gram [B, B], seed of a key or None) -> weights [B]."""

    @jax.jit
    def weights(options, gram, seed):
        traces[name] += 1
        return second(name, options, gram, None if seed is None else jax.random.key(seed))

    return weights


def traced(name, **options):
    return {n: np.float32(v) for n, v in (numbers(name) | options).items()}


def weigh_gram(name, gram, seed=None, **options):
    seed = None if seed is None else np.uint32(seed)
    weights = np.asarray(program(name)(traced(name, **options), gram, seed))
    assert weights.dtype == np.float32
    return np.float64(weights)


def weigh(name, rows, seed=None, **options):
    return weigh_gram(name, gram_of(rows), seed, **options)


def close(found, expected, rows, rtol=1e-4):
    """Do two weightings of the gradients have the same result, up to its length or theirs?"""
    difference = np.linalg.norm((found - expected) @ rows)
    plain = np.abs(expected).sum() * np.linalg.norm(rows, axis=1).max()
    assert difference <= max(rtol * np.linalg.norm(expected @ rows), 1e-6 * plain)


@each
@pytest.mark.parametrize("case", CASES)
def test_finite_and_float32(name, case):
    for seed in (None, 0):
        weights = weigh(name, rows_of(case), seed)
        assert weights.shape == (SIZE,) and np.all(np.isfinite(weights))


@each
def test_float32_with_numbers_by_default(name):
    weights = jax.eval_shape(functools.partial(second, name, {}), gram_of(rows_of("random")))
    assert weights.shape == (SIZE,) and weights.dtype == jnp.float32


@each
@pytest.mark.parametrize("case", ("equal", "twins", "parallel", "one zero", "deficient"))
def test_the_result_is_never_longer_than_all_gradients_together(name, case):
    """No method should blow up where gradients are linearly dependent.

    imtl_g extrapolates by design, and the scale of the bargains is their own.
    """
    rows = rows_of(case)
    if name in OWN_SCALE | {"imtl_g"}:
        return
    length = np.linalg.norm(weigh(name, rows) @ rows)
    assert length <= 1.5 * np.linalg.norm(rows, axis=1).sum()


@each
def test_the_scale_that_it_is_registered_with(name):
    share = {"sum": 1, "mean": 1 / SIZE}[AGGREGATORS[name].returns]
    expected = FACTOR.get(name, 1) * share
    np.testing.assert_allclose(weigh(name, np.eye(SIZE)), expected, rtol=2e-4)


@each
@pytest.mark.parametrize("case", ("random", "agreeing", "deficient"))
def test_a_common_scale_changes_the_weights_of_few(name, case):
    rows = rows_of(case)
    one, other = weigh(name, rows), weigh(name, 2.0**20 * rows)
    if name in OWN_SCALE:
        assert np.linalg.norm(one - other) > 0.1 * np.linalg.norm(one)
    else:
        close(other, one, rows, rtol=1e-5)


@each
@pytest.mark.parametrize("case", ("random", "agreeing", "lengths"))
def test_reordered_gradients_are_reordered_weights(name, case):
    if case == "lengths" and name in BY_SPECTRUM:
        return
    rows, order = rows_of(case), np.array([3, 0, 5, 1, 2, 4])
    found, expected = weigh(name, rows[order]), weigh(name, rows)[order]
    if name not in ORDERED:
        close(found, expected, rows[order])
    elif case == "random":
        assert np.linalg.norm(found - expected) > 1e-3


@pytest.mark.parametrize("name", sorted(NEVER_CONFLICTING))
@pytest.mark.parametrize("case", ("random", "agreeing", "opposite", "deficient", "one zero"))
def test_no_gradient_is_gone_against(name, case):
    """g_b . d >= 0, up to the ridge of upgrad (1e-4) and to rounding."""
    rows = rows_of(case)
    weights = weigh(name, rows)
    lengths = np.linalg.norm(rows, axis=1)
    slack = 1e-4 * np.sum(lengths**2) * np.abs(weights).max() if name == "upgrad" else 0
    assert np.all(rows @ (weights @ rows) >= -slack - 1e-6 * np.abs(weights).sum() * lengths**2)


@pytest.mark.parametrize(("name", "number"), WITH_NUMBERS)
def test_numbers_are_traced_and_act(name, number):
    """One trace, distinct results, the same side by side, and as a Python number."""
    default, rows = numbers(name)[number], rows_of("random")
    values = [0.5 * default, default, 2 * default]
    found = [weigh(name, rows, **{number: values[0]})]
    before = traces[name]
    found += [weigh(name, rows, **{number: value}) for value in values[1:]]
    assert traces[name] == before
    assert all(np.linalg.norm(a - b) > 1e-6 for a, b in itertools.pairwise(found))

    @jax.jit
    def others(gram, lanes):
        one = lambda value: second(name, {number: value}, gram)  # noqa: E731
        return jax.vmap(one)(lanes), one(values[-1])

    together, fixed = others(gram_of(rows), np.float32(values))
    np.testing.assert_allclose(together, found, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fixed, found[-1], rtol=1e-4, atol=1e-6)


@pytest.mark.thorough  # the examples in the docstrings do without jit, too
@pytest.mark.programs(80)  # each operation is one
@pytest.mark.parametrize(("name", "number"), WITH_NUMBERS)
def test_numbers_do_without_jit(name, number):
    value, rows = 2 * numbers(name)[number], rows_of("random")
    found = second(name, {number: value}, jnp.asarray(gram_of(rows)))
    expected = weigh(name, rows, **{number: value})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@each
def test_runs_side_by_side(name):
    rows = [rows_of(case) for case in ("random", "agreeing", "zero", "deficient", "lengths")]
    grams = np.stack([gram_of(r) for r in (r @ np.eye(r.shape[1], 3 * SIZE) for r in rows)])
    lanes = np.float64(jax.jit(jax.vmap(functools.partial(second, name, {})))(grams))
    assert not np.allclose(lanes[0], lanes[1]) or name in ("mean", "sum")
    for lane, r in zip(lanes, rows, strict=True):
        close(lane, weigh(name, r), r)


@each
def test_state_keeps_its_form_through_a_scan(name):
    aggregator = AGGREGATORS[name].make()
    grams = np.stack([gram_of(rows_of(case)) for case in ("random", "agreeing", "opposite")])

    def scanned(grams):
        state = aggregator.init(SIZE)
        return state, jax.lax.scan(lambda s, g: aggregator.update(g, s)[::-1], state, grams)

    state, (after, weights) = jax.eval_shape(scanned, grams)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert weights.shape == (3, SIZE) and weights.dtype == jnp.float32


@each
def test_a_batch_of_one(name):
    """The gradient itself, or at the aggregator's own scale."""
    expected = {"nash_mtl": 1 / 3, "fairgrad": 1 / 3, "cagrad": 1.5}.get(name, 1)
    np.testing.assert_allclose(weigh(name, np.array([[3.0]])), [expected], rtol=2e-4)


@each
@pytest.mark.parametrize("broken", (np.nan, np.inf, -np.inf))
def test_a_broken_gradient_is_seen(name, broken):
    gram = gram_of(rows_of("random"))
    gram[2, :] = gram[:, 2] = broken
    for seed in (None, 0):
        assert np.all(np.isnan(weigh_gram(name, gram, seed)))


@each
def test_blended_at_strength_0_it_is_the_plain_sum_or_mean(name):
    """Bit for bit, with a traced strength; at 1 it is the aggregator itself."""
    make, returns = AGGREGATORS[name]

    @jax.jit
    def blended(gram, strengths):
        state = make().init(SIZE)
        one = lambda s: blend(make(), s, returns).update(gram, state)[0]  # noqa: E731
        plain = AGGREGATORS[returns].make().update(gram, ())[0]
        return *jax.vmap(one)(strengths), plain, make().update(gram, state)[0]

    given = gram_of(rows_of("random")), np.float32([0, 0.5, 1])
    none, half, full, plain, own = map(np.asarray, blended(*given))
    assert np.array_equal(none, plain)
    np.testing.assert_allclose(full, own, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(half, (own + plain) / 2, rtol=1e-4, atol=1e-6)


@each
def test_what_the_docstring_must_say(name):
    text = AGGREGATORS[name].make.__doc__
    assert AGGREGATORS[name].returns in text.lower() and ">>>" in text and "$" in text
    if name not in ("mean", "sum"):
        assert "Source:" in text and "Neutral" in text and "scale" in text
