"""Mixers that look at gradients: against numpy on the gradients themselves, and what they claim."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special

from plateaus.data.mixers import dga, doge, r_and_b
from plateaus.data.mixers.mixer import Round

GROUPS, SIZE, ROUNDS = 4, 6, 5


def told(gradients, target, aimed=None, count=None):
    """A round in which groups have these mean gradients [G, n]; the rest is not known."""
    gradients, unknown = np.asarray(gradients, np.float64), np.full(len(gradients), np.nan)
    square = np.full((len(gradients), len(gradients)), np.nan)
    found = Round(
        shares=unknown,
        loss=unknown,
        count=np.ones(len(gradients)) if count is None else count,
        target=np.asarray(target),
        gram=gradients @ gradients.T,
        target_loss=unknown,
        target_gram=square if aimed is None else gradients @ np.asarray(aimed).T,
        excess=unknown,
        affinity=square,
    )
    return Round(*map(np.float32, found))


@functools.cache
def program(build, **options):
    """(knobs, rounds, state) -> the weights after every round, and the last state."""
    mixer = build(**options)

    @jax.jit
    def all_rounds(knobs, rounds, state):
        def step(state, given):
            weights, state = mixer.update(given[0], state, knobs, given[1])
            return state, weights

        state = mixer.init(rounds.target.shape[1]) if state is None else state
        state, found = jax.lax.scan(step, state, (rounds, jnp.arange(len(rounds.target))))
        return found, state

    return all_rounds


def run(build, knobs, rounds, **options):
    together = jax.tree.map(lambda *x: np.stack(x), *rounds)
    return np.asarray(program(build, **options)(knobs, together, None)[0])


def drawn(seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((GROUPS, SIZE)) + 0.5 for _ in range(ROUNDS)]


# R&B


def test_r_and_b_by_hand():
    """g = (2, 0), (0, 1), p = (1/2, 1/2): G p = (2, 1/2), of length sqrt(17)/2: (4, 1)/sqrt(17)."""
    rounds = [told([[2, 0], [0, 1]], [0.5, 0.5])]
    first = 1 / (1 + np.exp(-3 * 3 / np.sqrt(17)))
    np.testing.assert_allclose(
        run(r_and_b.r_and_b, r_and_b.Knobs(), rounds), [[first, 1 - first]], rtol=1e-5
    )
    plain = run(r_and_b.r_and_b, r_and_b.Knobs(lambda_=1.0), rounds, norm=False)
    first = 1 / (1 + np.exp(-1.5))
    np.testing.assert_allclose(plain, [[first, 1 - first]], rtol=1e-5)


@pytest.mark.parametrize("norm", (True, False))
def test_r_and_b_has_no_memory(norm):
    gradients, target = drawn(0), np.random.default_rng(1).dirichlet(np.ones(GROUPS))
    found = run(
        r_and_b.r_and_b, r_and_b.Knobs(2.0), [told(g, target) for g in gradients], norm=norm
    )
    for weights, g in zip(found, gradients, strict=True):
        gain = g @ (target @ g)
        expected = special.softmax(2 * (gain / np.linalg.norm(gain) if norm else gain))
        np.testing.assert_allclose(weights, expected, rtol=1e-4)


@pytest.mark.parametrize("lambda_", (0.3, 3.0, 30.0))
@pytest.mark.filterwarnings("ignore:Values in x were outside bounds")  # of SLSQP, before scipy 1.16
@pytest.mark.parametrize("seed", range(3))
def test_r_and_b_maximises_its_objective(lambda_, seed):
    """p^T G q - |G p| / lambda sum q log q on the simplex: against a general optimiser, and no
    step inside the simplex from it gains."""
    rng = np.random.default_rng(seed)
    g, p = rng.standard_normal((GROUPS, SIZE)), rng.dirichlet(np.ones(GROUPS))
    gain = g @ g.T @ p
    temperature = np.linalg.norm(gain) / lambda_

    def objective(q):
        return gain @ q + temperature * special.entr(q).sum(axis=-1)

    found = run(r_and_b.r_and_b, r_and_b.Knobs(lambda_), [told(g, p)])[0].astype(np.float64)
    solved = optimize.minimize(
        lambda q: -objective(q),
        np.full(GROUPS, 1 / GROUPS),
        jac=lambda q: -(gain - temperature * (np.log(q) + 1)),
        bounds=[(1e-12, 1)] * GROUPS,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert abs(objective(found) + solved.fun) < 1e-5 * np.abs(gain).max()
    np.testing.assert_allclose(found, solved.x, atol=1e-3)
    others = rng.dirichlet(np.ones(GROUPS), 2000)
    for share in (1, 0.1, 1e-3):
        moved = found + share * (others - found)
        best = max(gain @ q + temperature * special.entr(q).sum() for q in moved)
        assert best <= objective(found) + 1e-6 * np.abs(gain).max()


def quadratics(seed):
    """Domains with the losses (x - c_i)^T H_i (x - c_i) / 2, and where x stands."""
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((GROUPS, SIZE, SIZE)) / np.sqrt(SIZE)
    hessians = np.einsum("gij,gkj->gik", roots, roots)
    centres = rng.standard_normal((GROUPS, SIZE))
    return hessians, centres, rng.standard_normal(SIZE), rng.dirichlet(np.ones(GROUPS))


def losses(hessians, centres, x):
    away = x - centres
    return np.einsum("gi,gij,gj->g", away, hessians, away) / 2


@pytest.mark.parametrize("seed", range(6))
def test_one_small_step_on_the_best_domain_beats_every_mixture(seed):
    """The lemma: argmax of G p, which R&B tends to as lambda grows; a large step may be too far."""
    hessians, centres, x, p = quadratics(seed)
    gradients = np.einsum("gij,gj->gi", hessians, x - centres)
    weights = run(r_and_b.r_and_b, r_and_b.Knobs(1e4), [told(gradients, p)])[0]
    assert weights.max() > 0.999
    rng = np.random.default_rng(seed)
    mixtures = np.concatenate([rng.dirichlet(np.full(GROUPS, 0.3), 200), np.eye(GROUPS)])

    def after(q, step):
        return p @ losses(hessians, centres, x - step * (q @ gradients))

    chosen = np.eye(GROUPS)[weights.argmax()]
    others = [q for q in mixtures if np.abs(q - chosen).max() > 1e-6]
    for step in (1e-3, 1e-4):
        assert all(after(chosen, step) < after(q, step) for q in others)
    # and the gain is the first order's: step times (G p)_i
    gain = (p @ losses(hessians, centres, x) - after(chosen, 1e-4)) / 1e-4
    np.testing.assert_allclose(gain, (gradients @ (p @ gradients)).max(), rtol=0.02)


# DoGE


def test_doge_by_hand():
    """g = (3, 0), (4, 0), mean length 7/2; left out, both have <g, g'> = 12, s = 24/7; not left
    out, 21 and 28, s = 6 and 8, the latter two cut at 5."""
    rounds = [told([[3, 0], [4, 0]], [0.5, 0.5])]
    knobs = doge.Knobs(step=0.1, clip=7.0)
    np.testing.assert_allclose(run(doge.doge, knobs, rounds), [[0.5, 0.5]], rtol=1e-6)
    first = 1 / (1 + np.exp(0.1 * (7 - 6)))
    found = run(doge.doge, knobs, rounds, leave_one_out=False)
    np.testing.assert_allclose(found, [[first, 1 - first]], rtol=1e-5)
    cut = run(doge.doge, doge.Knobs(step=0.1), rounds, leave_one_out=False)
    np.testing.assert_allclose(cut, [[0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("leave_one_out", (True, False))
@pytest.mark.parametrize("target", ([0.25] * 4, [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0, 0]))
def test_doge_is_its_loop(leave_one_out, target):
    """Weights of several rounds, from gradients; own products stay where not all are targets."""
    gradients, q = drawn(2), np.full(GROUPS, 1 / GROUPS)
    found = run(
        doge.doge,
        doge.Knobs(step=0.3, clip=2.0),
        [told(g, target) for g in gradients],
        leave_one_out=leave_one_out,
    )
    targets = [j for j in range(GROUPS) if target[j] > 0]
    clipped = set()
    for weights, g in zip(found, gradients, strict=True):
        mean = sum(np.sqrt((row**2).sum()) for row in g) / GROUPS
        for i in range(GROUPS):
            skip = i if leave_one_out and len(targets) == GROUPS else None
            others = [j for j in targets if j != skip]
            score = sum(len(targets) * target[j] * (g[i] @ g[j]) for j in others) / mean
            clipped |= {score < 0, score > 2}
            q[i] *= np.exp(0.3 * min(max(score, 0), 2))
        q /= q.sum()
        np.testing.assert_allclose(weights, q, rtol=1e-4)
    assert clipped == {False, True}


def test_doge_leaves_own_products_out_if_all_that_are_drawn_are_targets():
    """Of three groups, the last never drawn: as of the two; drawn and no target, it is not so."""
    two = run(doge.doge, doge.Knobs(), [told([[3, 0], [1, 1]], [0.5, 0.5])])[0]
    three = told([[3, 0], [1, 1], [0, 0]], [0.5, 0.5, 0], count=[2, 2, 0])
    for shares, own in (([0.5, 0.5, 0], True), ([0.4, 0.4, 0.2], False)):
        found = run(doge.doge, doge.Knobs(), [three._replace(shares=np.float32(shares))])[0]
        assert (abs(found[0] / found[1] - two[0] / two[1]) < 1e-5) == own


def test_doge_leaves_an_empty_group_its_factor_1():
    """And out of the mean length: (2, 0) and (2, 0) have length 2, s = 4/2."""
    rounds = [told([[2, 0], [2, 0], [0, 0]], np.ones(3) / 3, count=[3, 1, 0])]
    expected = np.exp([0.5 * 2, 0.5 * 2, 0])
    found = run(doge.doge, doge.Knobs(step=0.5), rounds)
    np.testing.assert_allclose(found, [expected / expected.sum()], rtol=1e-5)


# DGA


def test_dga_by_hand():
    """<g_i, mean target gradient> = 1, 3 with eta 1/2: factors e^(1/2), e^(3/2); then halfway."""
    rounds = [told([[1, 0], [3, 0]], [0.5, 0.5], aimed=[[2, 5], [0, -1]])]
    new = 1 / (1 + np.exp(1))
    found = run(dga.dga, dga.Knobs(eta=0.5, ema=0.5), rounds)
    np.testing.assert_allclose(found, [[(0.5 + new) / 2, 1 - (0.5 + new) / 2]], rtol=1e-5)


@pytest.mark.parametrize("ema", (0.1, 0.7, 1.0))
def test_dga_is_its_loop(ema):
    gradients, aims, q = drawn(3), drawn(4), np.full(GROUPS, 1 / GROUPS)
    target = np.random.default_rng(5).dirichlet(np.ones(GROUPS))
    rounds = [told(g, target, aimed) for g, aimed in zip(gradients, aims, strict=True)]
    found = run(dga.dga, dga.Knobs(eta=0.4, ema=ema), rounds)
    for weights, g, aimed in zip(found, gradients, aims, strict=True):
        new = q * np.exp(0.4 * (g @ (target @ aimed)))
        q = (1 - ema) * q + ema * new / new.sum()
        np.testing.assert_allclose(weights, q, rtol=1e-4)
