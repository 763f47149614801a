"""Contracts of every aggregator, with every number it takes; tested by registering it."""

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
    return jnp.asarray(rows @ rows.T, jnp.float32)


@functools.cache
def program(name):
    """(numbers, gram [B, B], key) -> weights [B]; of the second step where there is a state."""

    @jax.jit
    def weights(options, gram, key):
        aggregator = AGGREGATORS[name].make(**options)
        state = aggregator.init(len(gram))
        if jax.tree.leaves(state):
            first, key = (None, None) if key is None else jax.random.split(key)
            _, state = aggregator.update(gram, state, key=first)
        return aggregator.update(gram, state, key=key)[0]

    return weights


def weigh(name, rows, key=None, **options):
    traced = {n: jnp.float32(v) for n, v in (numbers(name) | options).items()}
    return np.asarray(program(name)(traced, gram_of(rows), key), np.float64)


def close(found, expected, rows, rtol=1e-4):
    """Do two weightings of the gradients have the same result, up to its length or theirs?"""
    difference = np.linalg.norm((found - expected) @ rows)
    plain = np.abs(expected).sum() * np.linalg.norm(rows, axis=1).max()
    assert difference <= max(rtol * np.linalg.norm(expected @ rows), 1e-6 * plain)


@each
@pytest.mark.parametrize("case", CASES)
def test_finite_and_float32(name, case):
    for key in (None, jax.random.key(0)):
        weights = weigh(name, rows_of(case), key)
        assert weights.shape == (SIZE,) and np.all(np.isfinite(weights))
    assert program(name)({}, gram_of(rows_of(case)), None).dtype == jnp.float32


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
    """One trace, distinct results, the same side by side, and as a Python number without jit."""
    default, gram = numbers(name)[number], gram_of(rows_of("random"))
    values = [0.5 * default, default, 2 * default]
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def one(value):
        return program(name).__wrapped__({number: value}, gram, None)

    found = [np.asarray(one(jnp.float32(value))) for value in values]
    assert all(np.linalg.norm(a - b) > 1e-6 for a, b in itertools.pairwise(found))
    together = jax.vmap(one.__wrapped__.__wrapped__)(jnp.array(values))
    np.testing.assert_allclose(together, found, rtol=1e-4, atol=1e-6)
    fixed = program(name).__wrapped__({number: values[-1]}, gram, None)
    np.testing.assert_allclose(fixed, found[-1], rtol=1e-4, atol=1e-6)


@each
def test_runs_side_by_side(name):
    rows = [rows_of(case) for case in ("random", "agreeing", "zero", "deficient", "lengths")]
    grams = jnp.stack([gram_of(r) for r in (r @ np.eye(r.shape[1], 3 * SIZE) for r in rows)])
    lanes = jax.vmap(lambda gram: program(name)({}, gram, None))(grams)
    assert not np.allclose(lanes[0], lanes[1]) or name in ("mean", "sum")
    for lane, r in zip(lanes, rows, strict=True):
        close(np.asarray(lane, np.float64), weigh(name, r), r)


@each
def test_state_keeps_its_form_through_a_scan(name):
    aggregator = AGGREGATORS[name].make()
    grams = jnp.stack([gram_of(rows_of(case)) for case in ("random", "agreeing", "opposite")])
    state = aggregator.init(SIZE)
    after, weights = jax.lax.scan(lambda s, g: aggregator.update(g, s)[::-1], state, grams)
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
    gram = gram_of(rows_of("random")).at[2, :].set(broken).at[:, 2].set(broken)
    for key in (None, jax.random.key(0)):
        assert np.all(np.isnan(program(name)({}, gram, key)))


@each
def test_blended_at_strength_0_it_is_the_plain_sum_or_mean(name):
    """Bit for bit, with a traced strength; at 1 it is the aggregator itself."""
    make, returns = AGGREGATORS[name]
    gram = gram_of(rows_of("random"))
    strengths = jnp.array([0.0, 0.5, 1.0])
    state = make().init(SIZE)
    none, half, full = jax.vmap(lambda s: blend(make(), s, returns).update(gram, state)[0])(
        strengths
    )
    plain = AGGREGATORS[returns].make().update(gram, ())[0]
    assert np.array_equal(none, plain)
    own = make().update(gram, state)[0]
    np.testing.assert_allclose(full, own, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(half, (own + plain) / 2, rtol=1e-4, atol=1e-6)


@each
def test_what_the_docstring_must_say(name):
    text = AGGREGATORS[name].make.__doc__
    assert AGGREGATORS[name].returns in text.lower() and ">>>" in text and "$" in text
    if name not in ("mean", "sum"):
        assert "Source:" in text and "Neutral" in text and "scale" in text
