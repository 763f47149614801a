"""The Zipf sampler against the float64 law: every rank exactly, and draws in equal-mass groups."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.data import zipf_law
from plateaus.data.designs import Knobs
from plateaus.data.source import uniform
from plateaus.data.zipf_law import zipf_rank, zipf_table

MILLION = 1_000_000
EXPONENTS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 3.0)
table_of = jax.jit(zipf_table, static_argnums=2)
bucket_of = jax.jit(zipf_law._bucket)


def law(exponent, size):
    """p(1..size) in float64, for the float32 exponent that the sampler sees."""
    mass = np.arange(1, size + 1, dtype=np.float64) ** -float(np.float32(exponent))
    return mass / mass.sum()


def sampled_law(exponent, size, max_size=MILLION):
    """The probability of every rank under the sampler, in float64, read off its table.

    (mass of the octave) x (mass of the bucket) x (choice of a pair) x (coin between the two).
    """
    table = jax.tree.map(np.asarray, table_of(exponent, size, max_size))
    octaves = len(table.octave)
    octave_mass = np.empty(octaves)
    octave_mass[table.octave] = np.diff(table.octave_mass.astype(np.float64), prepend=0.0)
    within = table.within.reshape(octaves, -1).astype(np.float64) / 2.0**31
    mass = octave_mass[:, None] * np.diff(within, axis=1, prepend=0.0)
    octave = np.arange(octaves, dtype=np.int32)[:, None]
    bucket = np.arange(within.shape[1], dtype=np.int32)[None]
    first, count = map(np.asarray, bucket_of(octave, bucket, np.int32(size)))
    assert np.all(mass[count == 0] == 0.0)
    assert np.all(within[octave_mass > 0, -1] == 1.0)
    first, count, mass = (np.asarray(x)[count > 0] for x in (first, count, mass))
    first, count, mass = (x[np.argsort(first)] for x in (first, count, mass))
    np.testing.assert_array_equal(first, 1 + np.cumsum(count) - count)  # the buckets tile 1..size
    assert count.sum() == size
    first, count, mass = (np.repeat(x, count).astype(np.float64) for x in (first, count, mass))
    rank = np.arange(1, size + 1)
    mirror = 2 * first + count - 1 - rank
    coin = 1.0 / (1.0 + (rank / mirror) ** exponent)
    return mass / count * np.where(rank == mirror, 1.0, 2.0 * coin)


# compiled with care: here it is the draws that take the time, not the compiler
CAREFULLY = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}


@functools.partial(jax.jit, compiler_options=CAREFULLY)
def chunk_of(seed, table, number):
    return zipf_rank(jax.random.fold_in(jax.random.key(seed), number), table, (2**17,))


def ranks_of(seed, table, chunks):
    """`chunks` x 2^17 draws."""
    return np.stack([np.asarray(chunk_of(seed, table, number)) for number in range(chunks)])


def counted(ranks, edges):
    """Counts of ranks in the groups (edges[i-1], edges[i]]."""
    ranks = np.ravel(ranks)
    assert ranks.min() >= 1 and ranks.max() <= edges[-1]
    up_to = np.cumsum(np.bincount(ranks, minlength=edges[-1] + 1))
    return np.diff(up_to[edges], prepend=0)


def equal_mass_edges(p, groups):
    """Last rank of each of at most `groups` groups of (nearly) equal mass."""
    cumulative = np.cumsum(p)
    cuts = np.searchsorted(cumulative, np.arange(1, groups) / groups)
    return np.unique([*np.minimum(cuts, p.size - 1), p.size - 1]) + 1


def largest_deviation(counts, p, edges):
    """Largest |observed - expected| of a group, in its standard errors."""
    mass = np.diff(np.cumsum(p)[edges - 1], prepend=0.0)
    total = counts.sum()
    return np.max(np.abs(counts - total * mass) / np.sqrt(total * mass * (1.0 - mass)))


def bonferroni(groups, tests=30, level=1e-4):
    """The z that some group exceeds by chance with probability `level` over all the tests here."""
    return stats.norm.isf(level / (2 * groups * tests))


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_every_rank_has_its_probability(exponent):
    p = sampled_law(exponent, MILLION)
    assert p.min() > 0.0
    error = np.max(np.abs(p / law(exponent, MILLION) - 1.0))
    assert error < (4e-6 if exponent <= 1 else 3e-5)


@pytest.mark.parametrize("exponent", (0.0, 0.75, 1.0, 3.0))
def test_every_rank_has_its_probability_at_any_size_in_play(exponent):
    """Sizes that end octaves, begin them, and end just inside a bucket of the largest octave."""
    edges = (1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 1000, 20_000)
    inside = (2**19, 2**19 + 1, 2**19 + 5 * 2048, 2**19 + 200 * 2048, 999_999)
    for size in edges + inside:
        p = sampled_law(exponent, size)
        assert p.min() > 0.0
        np.testing.assert_allclose(p, law(exponent, size), rtol=3e-5, err_msg=str(size))


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_groups_of_equal_mass(exponent):
    """3.1 million draws in 20 groups: an error of 2% in one is 8 standard errors, and is seen."""
    p = law(exponent, MILLION)
    edges = equal_mass_edges(p, 20)
    table = table_of(exponent, MILLION, MILLION)
    counts = counted(ranks_of(7, table, 24), edges)
    assert largest_deviation(counts, p, edges) < bonferroni(len(edges))

    mass = np.diff(np.cumsum(p)[edges - 1], prepend=0.0)
    group = np.argmin(np.abs(mass - 0.05))
    wrong = np.where(np.searchsorted(edges, np.arange(1, MILLION + 1)) == group, 1.02, 1.0) * p
    assert largest_deviation(counts, wrong / wrong.sum(), edges) > bonferroni(len(edges))


def test_the_coin_between_a_pair_of_ranks():
    """Held in the octave 512 .. 1023, two ranks to a bucket; a steep law, to see it: 16 sigma."""
    table = table_of(12.0, MILLION, MILLION)
    octave = np.asarray(table.octave)
    mass = np.arange(octave.size) >= np.argmax(octave == 9)
    held = table._replace(octave_mass=mass.astype(np.float32))
    rank = np.ravel(ranks_of(9, held, 24))
    assert rank.min() == 512 and rank.max() <= 1023
    p = (np.arange(512, 1024) / 512) ** -12.0
    expected = p[1::2].sum() / p.sum()
    assert 0.5 - expected > 12 * 0.5 / np.sqrt(rank.size)
    assert abs(np.mean(rank % 2) - expected) < 4 * 0.5 / np.sqrt(rank.size)


@pytest.mark.parametrize("exponent", (0.0, 1.0, 3.0))
@pytest.mark.parametrize("size", (7, 1000))
def test_small_sizes_under_a_large_bound(exponent, size):
    p = law(exponent, size)
    edges = equal_mass_edges(p, 50)
    table = table_of(exponent, size, MILLION)
    counts = counted(ranks_of(8, table, 4), edges)
    assert counts.sum() == 4 * 2**17
    assert largest_deviation(counts, p, edges) < bonferroni(len(edges))


def test_a_float32_cumulative_table_fails_the_same_tests():
    """The usual sampler: most ranks can never be drawn, and whole groups are off."""
    exponent = 1.25
    p = law(exponent, MILLION)
    running = np.cumsum(p.astype(np.float32), dtype=np.float32)
    reachable = len(np.unique(running))
    assert reachable < 0.5 * MILLION  # a rank is reached only where the running sum moves
    edges = equal_mass_edges(p, 2000)
    uniform = np.asarray(jax.jit(lambda: jax.random.uniform(jax.random.key(7), (2**21,)))())
    counts = counted(1 + np.searchsorted(running, uniform * running[-1]), edges)
    assert largest_deviation(counts, p, edges) > 2 * bonferroni(2000)


@jax.jit
def few_of(seed, table):
    return zipf_rank(jax.random.key(seed), table, (20_000,))


@pytest.mark.parametrize("exponent", (0.0, 1.0, 3.0))
@pytest.mark.parametrize("size", (1, 2, 2**30, 2**30 + 1, 2**31 - 2))
def test_the_largest_bound(exponent, size):
    table = table_of(exponent, size, 2**31 - 2)
    mass = np.asarray(table.octave_mass)
    assert np.all(np.isfinite(mass)) and np.all(np.diff(mass) >= 0)
    rank = np.asarray(few_of(0, table))
    assert rank.min() >= 1 and rank.max() <= size
    if exponent == 0.0:
        quarters = np.bincount((4 * (rank - 1.0) / size).astype(int), minlength=4)
        if size > 2:
            assert stats.chisquare(quarters).pvalue > 1e-4
        else:
            assert len(np.unique(rank)) == size


def test_traced_exponents_and_sizes_share_one_program():
    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0, 0))
    def draw(seed, exponent, size):
        return zipf_rank(jax.random.key(seed), zipf_table(exponent, size, MILLION), (4096,))

    exponents, sizes = np.float32([0.0, 1.0, 1.0, 3.0]), np.int32([100, 100, MILLION, MILLION])
    ranks = np.asarray(draw(1, exponents, sizes))
    for exponent, size, drawn in zip(exponents, sizes, ranks, strict=True):
        assert drawn.min() == 1 and drawn.max() <= size
        p, log = law(exponent, size), np.log(np.arange(1, size + 1))
        mean, deviation = p @ log, np.sqrt(p @ log**2 - (p @ log) ** 2)
        assert abs(np.log(drawn).mean() - mean) < 4 * deviation / np.sqrt(4096)


def test_neutral_exponent_is_the_source_itself():
    @functools.partial(jax.jit, static_argnums=0)
    def draw(source, knobs):
        plan = source.prepare(knobs, 700)
        return jax.vmap(lambda t: source.draw(jax.random.key(3), (), plan, t).index)(jnp.arange(4))

    plain, ranked = uniform(64), zipf_law.zipf(uniform(64), 1000)
    wanted = np.asarray(draw(plain, Knobs()))
    np.testing.assert_array_equal(draw(ranked, Knobs(zipf_exponent=0.0)), wanted)
    assert np.any(np.asarray(draw(ranked, Knobs(zipf_exponent=1e-6))) != wanted)


def test_the_coordinates_of_a_draw_are_independent():
    """Chi-square of consecutive pairs of draws in 8 x 8 equal-mass cells."""
    p = law(0.5, MILLION)
    edges = equal_mass_edges(p, 8)
    table = table_of(0.5, MILLION, MILLION)
    rank = np.ravel(ranks_of(5, table, 4))
    cell = np.searchsorted(edges, rank)
    pairs = np.bincount(8 * cell[::2] + cell[1::2], minlength=64).reshape(8, 8)
    assert stats.chi2_contingency(pairs).pvalue > 1e-4
