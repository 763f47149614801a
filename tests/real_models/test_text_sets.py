"""Task sets in text: what they say, and how prompts mix them."""

import numpy as np
import pytest
from scipy import stats

from plateaus.real_models import text_lists, text_sets
from plateaus.real_models.text_sets import SETS, mixed_order, mixed_prompt, tasks_of

KNOWN = {  # set -> input -> answers by task, by hand
    "add": ("71+20", dict(digits="91", english="ninety-one", french="quatre-vingt-onze",
                          spanish="noventa y uno")),
    "country": ("New Zealand", dict(capital="Wellington", continent="Oceania",
                                    upper="NEW ZEALAND", letters="10 letters")),
    "pair": ("91@83", dict(left="91", right="83", sum="174")),
    "word": ("house", dict(first="h", last="e", first_upper="H", last_upper="E")),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_answers(name):
    text, wanted = KNOWN[name]
    assert text in SETS[name].inputs and set(wanted) == set(SETS[name].tasks)
    found = text_sets.answers(SETS[name], tuple(wanted), text)
    assert found == tuple(f"{answer}\n" for answer in wanted.values())


def test_lists():
    """No input twice; nothing ambiguous; enough for the paper's prompts."""
    for name, kind in SETS.items():
        assert len(set(kind.inputs)) == len(kind.inputs) > 20 * len(tasks_of(name)), name
    assert all(word.isascii() and word.islower() and word.isalpha() for word in text_lists.WORDS)
    assert all(word[0] != word[-1] for word in text_lists.WORDS)
    capitals = list(text_lists.CAPITAL.values())
    assert len(set(capitals)) == len(capitals) and not set(capitals) & set(text_lists.CAPITAL)
    assert all(text.replace(" ", "").isalpha() and text.isascii() for text in capitals)


@pytest.mark.parametrize("exact", (True, False))
@pytest.mark.parametrize("name", SETS)
def test_a_prompt_is_what_it_says(name, exact):
    """Every line is an input and the answer of its task; inputs differ; so do the answers."""
    tasks, kind = tasks_of(name), SETS[name]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        shares = [1.0 + k for k in range(len(tasks))]
        found = mixed_prompt(kind, tasks, shares, examples=12, exact=exact, rng=rng)
        *lines, query = found.text.split("\n")
        inputs = [line.split(kind.separator)[0] for line in lines]
        told = [line.split(kind.separator)[1] for line in lines]
        wanted = [
            kind.tasks[tasks[k]](text) for k, text in zip(found.order, inputs, strict=True)
        ]  # fmt: skip
        assert told == wanted and len(lines) == 12
        asked = query.removesuffix(kind.separator)
        assert query == asked + kind.separator and len({asked, *inputs}) == 13
        assert found.answers == text_sets.answers(kind, tasks, asked)
        assert len(set(found.answers)) == len(tasks)


def test_mixtures_of_a_seed_have_the_same_inputs():
    def inputs(shares):
        found = mixed_prompt(SETS["pair"], ("left", "sum"), shares, examples=9, exact=False,
                             rng=np.random.default_rng(3))  # fmt: skip
        return [line.split("=")[0] for line in found.text.split("\n")], found.order

    (first, all_left), (second, mixed) = inputs((1, 0)), inputs((1, 1))
    assert first == second and not all_left.any() and 0 < mixed.sum() < 9


def test_exact_orders():
    """The counts are exact, and every place is equally likely."""
    rng = np.random.default_rng(0)
    orders = np.array([mixed_order([2, 1, 1], 8, True, rng) for _ in range(2000)])
    counts = np.array([(orders == k).sum(axis=1) for k in range(3)])
    assert (counts == np.array([[4], [2], [2]])).all()
    by_place = (orders == 1).sum(axis=0)
    assert stats.chisquare(by_place).pvalue > 1e-4


def test_independent_orders():
    """Each example is of a task with its share, whatever the others are."""
    rng = np.random.default_rng(0)
    orders = np.array([mixed_order([2, 1, 0, 1], 8, False, rng) for _ in range(2000)])
    found = np.bincount(orders.ravel(), minlength=4)
    assert found[2] == 0
    assert stats.chisquare(found[[0, 1, 3]], np.array([0.5, 0.25, 0.25]) * 16000).pvalue > 1e-4
    spread = np.var((orders == 0).sum(axis=1))  # binomial: 8 / 4
    assert abs(spread - 2.0) < 4 * 2.0 * np.sqrt(2 / 2000)


@pytest.mark.parametrize(
    ("shares", "examples", "wanted"),
    (
        ([1, 1, 1], 20, [7, 7, 6]),
        ([2, 1, 1], 20, [10, 5, 5]),
        ([0.1, 0.9], 10, [1, 9]),
        ([0.7, 0.3], 10, [7, 3]),
        ([1, 2], 10, [3, 7]),
        ([1, 0], 3, [3, 0]),
    ),
)
def test_counts(shares, examples, wanted):
    assert text_sets.counts(shares, examples).tolist() == wanted


def test_no_query_is_left():
    kind = SETS["pair"]._replace(inputs=("11@11", "20@20", "20@21"))
    with pytest.raises(ValueError, match="no input is left"):
        for seed in range(20):
            mixed_prompt(
                kind,
                ("left", "right"),
                (1, 1),
                examples=1,
                exact=True,
                rng=np.random.default_rng(seed),
            )
            mixed_prompt(kind, ("left", "right"), (1, 1), examples=2, exact=True,
                         rng=np.random.default_rng(seed))  # fmt: skip
