"""What holds for every family: shapes, signs, and an optimum without context that is one."""

import numpy as np
import pytest

from plateaus.tasks.families.registry import FAMILIES, Sizes

SIZES = Sizes(dimension=5, points=6, noise=0.5)
MANY = 4000
TEACHERS = [name for name in FAMILIES if name.startswith("no_context")]
IN_CONTEXT = [
    *("linear", "quadratic", "sparse_linear", "hermite_linear", "noisy_linear"),
    *("sparse_parity_2", "sparse_parity_3", "parity", "conjunction", "disjunction", "majority"),
    *("retrieval_gaussian", "retrieval_boolean"),
    *("skewed_linear", "skewed_quadratic", "skewed_sparse_linear"),
    *("skewed_hermite_linear", "skewed_noisy_linear"),
    *("student_linear", "student_sparse_linear", "student_hermite_linear", "student_noisy_linear"),
]
# a law of inputs enters these by moments by which it enters others, too; disjunctions and parities
# of three signs are enumerated where boolean families are tested
THOROUGH = [
    *("disjunction", "sparse_parity_3", "no_context_sparse_parity_3"),
    *("skewed_sparse_linear", "skewed_leaky_relu", "skewed_relu_net", "skewed_decision_tree"),
    *("skewed_hermite_linear", "skewed_hermite_quadratic", "skewed_noisy_linear"),
    *("student_sparse_linear", "student_leaky_relu", "student_relu_net", "student_decision_tree"),
    *("student_hermite_linear", "student_noisy_linear"),
]


def _each(names):
    """One family after the other, so that its prompts are drawn once."""
    marks = {name: [pytest.mark.thorough] if name in THOROUGH else [] for name in names}
    params = [pytest.param(name, marks=mark) for name, mark in marks.items()]
    return pytest.mark.parametrize("name", params, scope="module")


each_family = _each([*IN_CONTEXT, *(name for name in FAMILIES if name not in IN_CONTEXT)])
each_in_context = _each(IN_CONTEXT)


def _losses(law, y, said):
    return np.logaddexp(0, -y * said) if law.boolean else (y - said) ** 2


def _means(law, said):
    """Expected y (or its chance to be +1) that a prediction stands for."""
    return 1 / (1 + np.exp(-said)) if law.boolean else said


def _assert_zero(per_prompt):
    """The mean over independent prompts is within 4 standard errors of 0 (or a clip's width)."""
    error = np.std(per_prompt) / np.sqrt(len(per_prompt))
    assert abs(np.mean(per_prompt)) < 4 * error + 1e-7


@each_family
def test_shapes_types_and_signs(name, prompts):
    drawn = prompts(name, SIZES, MANY)
    law = drawn.law
    assert bool(law.in_context and name not in TEACHERS) == (name in IN_CONTEXT)
    n, d = SIZES.points, SIZES.dimension
    for array, shape in zip(drawn.raw, ((n, d), (n,), (n,)), strict=True):
        assert array.shape == (MANY, *shape)
        assert array.dtype == np.float32 and np.isfinite(array).all()
    assert drawn.signal.shape == (MANY, n)
    if drawn.in_context is not None:
        assert drawn.in_context.shape == (MANY, n) and np.isfinite(drawn.in_context).all()
    assert law.boolean == (law.no_context_accuracy is not None)
    if law.boolean:
        for signs in (drawn.x, drawn.y, drawn.signal):
            assert set(np.unique(signs)) == {-1.0, 1.0}


@each_family
def test_the_loss_without_context_is_the_stated_one(name, prompts):
    drawn = prompts(name, SIZES, MANY)
    law = drawn.law
    losses = _losses(law, drawn.y, drawn.no_context)
    stated = law.no_context_loss
    if name.startswith("student") and not name.endswith(("tree", "sine")):
        # a squared error of infinite variance; divided by its mean given |x|^2 it has a finite one
        noise = SIZES.noise**2 if "noisy" in name else 0.0
        slope = (stated - noise) / (2 * SIZES.dimension)
        losses, stated = losses / (slope * np.sum(drawn.x**2, axis=-1) + noise), 1.0
    _assert_zero(np.mean(losses, axis=1) - stated)
    if law.boolean:
        right = np.where(drawn.no_context == 0, 0.5, np.sign(drawn.no_context) == drawn.y)
        _assert_zero(np.mean(right, axis=1) - law.no_context_accuracy)


@each_family
def test_nothing_in_x_improves_on_the_optimum_without_context(name, prompts):
    """What is left over has mean 0 against functions of x: so E[y | x] was said."""
    drawn = prompts(name, SIZES, MANY)
    law = drawn.law
    y = (1 + drawn.y) / 2 if law.boolean else drawn.y
    left = y - _means(law, drawn.no_context)
    size = np.sum(drawn.x**2, axis=-1)
    if name in TEACHERS:  # theirs is the best constant
        return _assert_zero(np.mean(left, axis=1))
    pair, plus = drawn.x[..., 0] * drawn.x[..., 1], np.sum(drawn.x > 0, axis=-1)
    for feature in (np.ones_like(y), size, pair, np.sign(drawn.x[..., 2]), plus, plus == 5):
        _assert_zero(np.mean(feature * left / (1 + size) ** 2, axis=1))  # so that variances exist
    return None


@each_family
def test_who_knows_the_function_is_beaten_by_nobody(name, prompts):
    """It is the floor of a mixture's losses: below the plateau, and below what context tells."""
    drawn = prompts(name, SIZES, MANY)
    law = drawn.law
    floor = np.mean(_losses(law, drawn.y, drawn.known), axis=1)
    plateau = np.mean(_losses(law, drawn.y, drawn.no_context), axis=1)
    assert np.mean(plateau - floor) > 4 * np.std(plateau - floor) / np.sqrt(MANY)
    if drawn.in_context is not None:
        gap = np.mean(_losses(law, drawn.y, drawn.in_context), axis=1) - floor
        assert np.mean(gap) > -4 * np.std(gap) / np.sqrt(MANY) - 1e-6


@each_family
def test_perturbed_predictors_are_no_better(name, prompts):
    drawn = prompts(name, SIZES, MANY)
    law = drawn.law
    step = 0.3 * (1.0 if law.boolean else law.no_context_loss**0.5)
    weight = 1.0 if name in TEACHERS else (1 + np.sum(drawn.x**2, axis=-1)) ** -2
    best = _losses(law, drawn.y, drawn.no_context)
    for other in (step, -step, 0.3 * drawn.no_context, step * np.sign(drawn.x[..., 0])):
        worse = _losses(law, drawn.y, drawn.no_context + other) - best
        assert np.mean(weight * worse) > (0 if np.ndim(other) == 0 else -1e-7)


@each_family
def test_members_differ_by_key(name, prompts):
    distinct = len(np.unique(prompts(name, SIZES, MANY).elsewhere, axis=0))
    assert distinct == 1 if name in TEACHERS else distinct >= 6


@each_family
def test_only_noise_uses_the_key_and_a_signal_its_own_point(name, prompts):
    drawn = prompts(name, SIZES, MANY)
    law = drawn.law
    noisy = "noisy" in name or (name in TEACHERS and law.boolean)
    assert (drawn.y == drawn.again).all() != noisy
    assert (drawn.y == drawn.signal).all() != noisy
    np.testing.assert_allclose(drawn.reversed[:, ::-1], drawn.signal, rtol=1e-4, atol=1e-4)


@each_in_context
def test_in_context_says_nothing_new_at_first_and_is_better_at_last(name, prompts):
    drawn = prompts(name, SIZES, MANY)
    law = drawn.law
    np.testing.assert_allclose(drawn.in_context[:, 0], drawn.no_context[:, 0], atol=2e-5)
    errors = (_losses(law, drawn.y, said)[:, -1] for said in (drawn.in_context, drawn.no_context))
    assert np.less(*map(np.median, errors))


@each_in_context
def test_a_value_reaches_later_predictions_only(name, prompts):
    drawn = prompts(name, SIZES, MANY)
    np.testing.assert_array_equal(drawn.altered[:, :2], drawn.in_context[:, :2])
    assert (drawn.altered[:, 2:] != drawn.in_context[:, 2:]).any()
