"""The set weights against counts in the prompts, and the mechanism by looking and by ablation."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models.constructed import superposing
from plateaus.models.networks.transformer import transformer

ROUNDING = 2e-5  # of probabilities; the norms' and the MLPs' rounding times the slope of the log


def spec_of(**given):
    """Return the spec alone: nothing is computed."""
    specs = []

    def params():
        spec, params = superposing(**given)
        specs.append(spec)
        return params

    jax.eval_shape(params)
    return specs[0]


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes of a model; letters are tokens 1 ... d, the separator 0, the newline d + 1."""

    places: tuple[int, ...]
    d: int
    n: int
    m: int

    @functools.cached_property
    def given(self):
        return {
            "places": self.places,
            "letters": range(1, self.d + 1),
            "separator": 0,
            "newline": self.d + 1,
            "length": self.n,
            "examples": self.m,
            "vocabulary": self.d + 3,  # one token is of no use
        }

    @functools.cached_property
    def spec(self):
        return spec_of(**self.given)

    @functools.cached_property
    def params(self):
        return superposing(**self.given)[1]

    @functools.cached_property
    def model(self):
        return transformer(self.spec, vocabulary=self.d + 3)

    @functools.cached_property
    def apply(self):
        """(params, prompts, the heads [2, H] of two blocks that are kept) -> probabilities."""

        def apply(params, prompts, kept):
            edits = {
                f"block_{block}.heads": lambda x, block=block: jnp.where(
                    kept[block][None, None, :, None], x, 0
                )
                for block in range(2)
            }
            return jax.nn.softmax(self.model.apply(params, prompts, edits=edits)[0])

        return jax.jit(apply)

    def probabilities(self, prompts, edits=None, without=()):
        """The next tokens' [B, T, vocabulary]; one program for prompts without edits.

        `without` are heads that are cut, (block, head).
        """
        kept = np.ones((2, len(self.places)), bool)
        for block, head in without:
            kept[block, head] = False
        if edits is None:
            return np.asarray(self.apply(self.params, np.asarray(prompts), kept))
        call = jax.jit(lambda p, x: jax.nn.softmax(self.model.apply(p, x, edits=edits)[0]))
        return np.asarray(call(self.params, np.asarray(prompts)))

    def prompt(self, rng, tasks):
        """Examples of these tasks (None: an answer that is no task's), a query, its answer."""
        tokens = []
        for task in (*tasks, 0):
            x = rng.permutation(self.d)[: self.n] + 1
            others = np.setdiff1d(np.arange(1, self.d + 1), [x[i - 1] for i in self.places])
            answer = rng.choice(others) if task is None else x[self.places[task] - 1]
            tokens += [*x, 0, answer, self.d + 1]
        return tokens[:-1]

    def counts(self, prompt, seen):
        """How many of the first `seen` examples each task answers, read from the tokens."""
        examples = [prompt[e * (self.n + 3) :] for e in range(seen)]
        return [sum(x[self.n + 1] == x[i - 1] for x in examples) for i in self.places]

    def truth(self, prompt, seen):
        """The next token's probabilities at the separator after `seen` examples."""
        wanted, counts = np.zeros(self.d + 3), self.counts(prompt, seen)
        query = prompt[seen * (self.n + 3) :]
        for place, count in zip(self.places, counts, strict=True):
            wanted[query[place - 1]] = count / sum(counts)
        return wanted


TWO, THREE = Case((3, 1), d=6, n=3, m=6), Case((1, 2, 4), d=8, n=4, m=12)
PAPER = Case((3, 7), d=52, n=8, m=100)  # ret3 against ret7
MIXES = {
    TWO: [(3, 3), (5, 1), (2, 4), (6, 0), (0, 6)],
    THREE: [(4, 4, 4), (10, 1, 1), (6, 3, 3), (1, 4, 7), (0, 12, 0)],
    PAPER: [(70, 30)],
}


def mixed(case, counts, rng):
    return case.prompt(rng, rng.permutation(np.repeat(range(len(counts)), counts)))


@functools.cache
def prompts(case):
    """Some prompts of every mix, in random order, [B, T]."""
    rng, each = np.random.default_rng(case.m), 1 if case == PAPER else 4
    return np.array([mixed(case, counts, rng) for counts in MIXES[case] for _ in range(each)])


@functools.cache
def answers(case):
    return case.probabilities(prompts(case))


@pytest.mark.parametrize("case", MIXES, ids=str)
def test_probabilities_are_the_shares_of_the_examples(case):
    wanted = np.array([case.truth(prompt, case.m) for prompt in prompts(case).tolist()])
    sizes = {tuple(case.counts(prompt, case.m)) for prompt in prompts(case).tolist()}
    assert sizes == set(MIXES[case])
    np.testing.assert_allclose(answers(case)[:, -2], wanted, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("case", [TWO, THREE], ids=str)
def test_at_every_separator_of_the_examples_before_it(case):
    for row, prompt in zip(answers(case), prompts(case).tolist(), strict=True):
        at_separators = row[case.n :: case.n + 3]
        np.testing.assert_allclose(at_separators[0], 1 / (case.d + 3), atol=ROUNDING)
        wanted = [case.truth(prompt, seen) for seen in range(1, case.m + 1)]
        np.testing.assert_allclose(at_separators[1:], wanted, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("case", [TWO, THREE], ids=str)
def test_certain_of_separators_and_newlines(case):
    p, every = answers(case), case.n + 3
    assert p[:, case.n - 1 :: every, 0].min() > 1 - 1e-6
    assert p[:, case.n + 1 :: every, case.d + 1].min() > 1 - 1e-6


def test_the_order_of_the_examples_does_not_matter():
    rng, prompt = np.random.default_rng(0), prompts(THREE)[8]
    parts = np.split(prompt, range(7, len(prompt), 7))
    orders = [np.concatenate([*rng.permutation(parts[:-1]), parts[-1]]) for _ in range(20)]
    p = THREE.probabilities(orders)[:, -2]
    assert (p[0] > 0.2).sum() == 3
    np.testing.assert_allclose(p, np.broadcast_to(p[:1], p.shape), atol=ROUNDING, rtol=0)


def test_an_example_that_no_task_answers_is_not_counted():
    rng, tasks = np.random.default_rng(1), [0, None, 1, 1, None, 0, 2, None, 0, 0, None, None]
    rows = [THREE.prompt(rng, rng.permutation(tasks)) for _ in range(20)]
    wanted = [THREE.truth(prompt, THREE.m) for prompt in rows]
    assert {sum(THREE.counts(prompt, THREE.m)) for prompt in rows} == {7}
    np.testing.assert_allclose(THREE.probabilities(rows)[:, -2], wanted, atol=ROUNDING, rtol=0)


# ---- the mechanism


@pytest.mark.parametrize("head", range(3))
@pytest.mark.parametrize("where", range(2))
def test_without_its_head_a_task_is_not_done(where, head):
    """The other tasks share what was its own: in proportion, since they are counted apart."""
    rows = prompts(THREE)[:16]
    wanted = []
    for prompt in rows.tolist():
        p = THREE.truth(prompt, THREE.m)
        p[prompt[-(THREE.n + 2) :][THREE.places[head] - 1]] = 0
        wanted.append(p / p.sum())
    p = THREE.probabilities(rows, without=[(where, head)])[:, -2]
    np.testing.assert_allclose(p, wanted, atol=ROUNDING, rtol=0)


def test_exchanged_letters_of_the_query_exchange_the_answers():
    """What block 0 gathers at the query's separator is the answers, without their shares."""
    edits = {"block_0.heads": lambda heads: heads.at[:, -2].set(heads[:, -2, ::-1])}
    p, wanted = TWO.probabilities(prompts(TWO), edits)[:, -2], answers(TWO)[:, -2].copy()
    for row, prompt in zip(wanted, prompts(TWO), strict=True):
        one, other = prompt[-5:][[0, 2]]
        row[[one, other]] = row[[other, one]]
    assert np.abs(p - answers(TWO)[:, -2]).max() > 0.9
    np.testing.assert_allclose(p, wanted, atol=ROUNDING, rtol=0)


def test_heads_look_where_they_should():
    names = [f"block_{block}.attention_weights" for block in range(2)]
    call = jax.jit(functools.partial(THREE.model.apply, capture=names))
    find, count = (np.asarray(call(THREE.params, prompts(THREE)[:2])[1][name]) for name in names)
    t, every = np.arange(prompts(THREE).shape[1]), THREE.n + 3
    for head, place in enumerate(THREE.places):
        for offset in (THREE.n, THREE.n + 1):  # separators and answers
            at = t[offset::every]
            np.testing.assert_allclose(find[:, head, at, at - offset + place - 1], 1, atol=1e-6)
    ends = t[THREE.n :: every]
    wanted = np.zeros((2, 3, len(ends), len(t)))
    for example in range(len(ends)):
        wanted[:, :, example, t[THREE.n + 1 :: every][:example]] = 1 / THREE.m
        wanted[:, :, example, 0] = 1 - example / THREE.m
    np.testing.assert_allclose(count[:, :, ends], wanted, atol=1e-6)


def test_task_vectors_and_their_mixtures():
    """Block 1's attention at the query is a vector of the tasks: patched in, it does the mixture.

    Convex combinations of the vectors of pure prompts do what mixed prompts do (paper 5).
    """
    name = "block_1.attention_out"
    pure = np.concatenate([prompts(TWO)[12:13], prompts(TWO)[16:17]])  # 6 and 0, 0 and 6
    call = jax.jit(functools.partial(TWO.model.apply, capture=[name]))
    vectors = np.asarray(call(TWO.params, pure)[1][name])[:, -2]
    shares = np.arange(7)[:, None] / 6
    mixtures = shares * vectors[0] + (1 - shares) * vectors[1]
    bare = np.tile([5, 2, 6, 0], (7, 1))
    p = TWO.probabilities(bare, {name: lambda x: x.at[:, -1].set(mixtures)})[:, -1]
    wanted = np.zeros((7, 9))
    wanted[:, [6]], wanted[:, [5]] = shares, 1 - shares  # place 3 is the first task's
    np.testing.assert_allclose(p, wanted, atol=ROUNDING, rtol=0)


# ---- sizes


@pytest.mark.parametrize("case", MIXES, ids=str)
def test_parameters_are_those_of_the_model(case):
    spec, params = case.spec, case.params
    wanted = jax.eval_shape(case.model.init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, wanted)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    assert spec.depth <= 7 and spec.heads == len(case.places)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("d", [4, 16])
@pytest.mark.parametrize("m", [1, 30])
def test_the_width_of_the_theorem(k, d, m):
    """K heads of a size linear in d and in log(mn)."""
    spec = Case(tuple(range(1, k + 1)), d, 4, m).spec
    assert spec.width <= k * (4 * d + 4 * math.log2((m + 1) * (4 + 3)) + 11)
    assert max(k, m) * d <= spec.mlp_multiple * spec.width < max(k, m) * d + spec.width


def test_more_examples_widen_it_by_their_logarithm():
    widths = [Case((1, 2), 4, 2, m).spec.width for m in (15, 31, 63, 127)]
    assert np.diff(widths).tolist() == [4, 4, 4]  # two codes, a cosine and a sine each


# ---- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"places": (1, 4)}, r"places: \[4\] must be from 1 to length, 3"),
        ({"places": (0, 1)}, r"places: \[0\] must"),
        ({"places": (2, 2)}, r"places: \[2, 2\] must be .* different"),
        ({"places": ()}, r"places: \[\]"),
        ({"letters": (1, 2, 3, 1)}, r"letters: \[1, 2, 3, 1\] must be different"),
        ({"letters": (1, 2)}, r"letters: 2 are too few for 3"),
        ({"separator": 3}, r"separator 3, newline 5: must be two and no letters"),
        ({"newline": 3}, r"newline 3: must be two"),
        ({"newline": 0}, r"separator 0, newline 0: must be two"),
        ({"vocabulary": 5}, r"tokens: \[5\] must be from 0 to vocabulary - 1, 4"),
        ({"letters": (1, 2, -3)}, r"tokens: \[-3\]"),
        ({"examples": 0}, r"examples: 0 must be at least 1"),
    ],
)
def test_refusals(change, message):
    given = {"places": (1, 3), "letters": (1, 2, 3, 4), "separator": 0, "newline": 5}
    given |= {"length": 3, "examples": 2, "vocabulary": 6}
    spec_of(**given)
    with pytest.raises(ValueError, match=message):
        superposing(**(given | change))
