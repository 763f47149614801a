"""Mixed prompts end to end: what a config may say of them, and what a known model answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.build.recipes import sections
from plateaus.config.schema import ConfigError, entries, resolve
from plateaus.measures.instrument import Parts
from plateaus.measures.superposition import instrument as mixtures
from plateaus.models.constructed import superposing
from plateaus.models.networks.transformer import transformer
from plateaus.tasks.laws.characters import Spec, characters
from plateaus.tasks.strings import sets

SPEC = mixtures.Spec()
LETTERS, EXAMPLES = "abcdef", 7
CHARACTERS = Spec(families="ret1,ret2,ret3", alphabet=LETTERS, length=3, examples=EXAMPLES)
VALUES = {
    "task.name": "characters",
    "task.examples": EXAMPLES,
    "model.name": "transformer",
    "model.heads": 2,
    "model.positions": "learned",
    "model.max_positions": 60,
}


def values(**changes):
    fields = {name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__}
    return {**fields, **VALUES, "mixed_prompts": 8, **changes}


REFUSED = {
    "task": (
        {"mixed_tasks": "ret1,ret22"},
        "mixed_tasks",
        "no family 'ret22'; did you mean ret2",
    ),
    "twice": ({"mixed_tasks": "ret1,ret1"}, "mixed_tasks", "'ret1': given twice"),
    "one": ({"mixed_tasks": "ret1"}, "mixed_tasks", "needs two tasks"),
    "text": ({"mixed_shares": "1:x:1"}, "mixed_shares", "must be numbers with colons, as 1:9"),
    "number": ({"mixed_shares": "1:9"}, "mixed_shares", "must be 3 shares"),
    "none": ({"mixed_shares": "0:0:0"}, "mixed_shares", "not all 0"),
    "negative": ({"mixed_shares": "1:1:-1"}, "mixed_shares", "must be finite, at least 0"),
    "examples": ({"mixed_examples": 2}, "mixed_examples", "at least 3, the tasks"),
    "positions": ({"mixed_examples": 7}, "mixed_examples", "at most 6: later positions are not"),
    "cache": ({"model.name": "mamba", "model.heads": None}, "mixed_prompts", "mamba has no cache"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_mixed_is_one_line(case):
    changes, field, message = REFUSED[case]
    told = values(**changes)
    if told["model.heads"] is None:
        del told["model.heads"]
    ((found, line),) = mixtures.check(told, characters(CHARACTERS))
    assert found == field and message in line and "\n" not in line


def test_a_context_too_short_is_told_once():
    """A mixed prompt is at most as long as one of training."""
    given = {**VALUES, "task.families": "plus1,plus2", "mixed_prompts": 8}
    given |= {"model.heads": 8, "model.max_positions": 20}
    parts = sections(given)
    with pytest.raises(ConfigError) as refused:
        resolve(entries(parts), parts, given, {})
    (line,) = refused.value.problems
    assert line == "model.max_positions = 20: must be at least 27, the tokens of a prompt"


def test_what_fits_is_let_through_and_nothing_asked_is_nothing():
    assert not list(mixtures.check(values(), characters(CHARACTERS)))
    assert not list(mixtures.check(values(mixed_examples=6), characters(CHARACTERS)))
    longer = values(mixed_examples=30, **{"model.positions": "rotary"})
    assert not list(mixtures.check(longer, characters(CHARACTERS)))
    assert not list(mixtures.check(values(mixed_prompts=0, mixed_tasks="nonsense"), None))


def test_shares_of_two_tasks_are_a_grid():
    found = mixtures.shares_of(" ", 2)
    assert [label for label, _ in found][:2] == ["0:10", "1:9"] and len(found) == 11
    np.testing.assert_allclose([share[0] for _, share in found], np.linspace(0, 1, 11))


@pytest.mark.parametrize("examples", [1, 6, 7, 100])
def test_counts_are_whole_near_and_complete(examples):
    for share in ((0.5, 0.5), (0.1, 0.9), (1 / 3, 1 / 3, 1 / 3), (0.0, 1.0)):
        found = mixtures.counts(share, examples)
        assert found.sum() == examples and np.all(np.abs(found - np.array(share) * examples) < 1)


def superposer(places):
    """The model with weights set by hand, P = the share of each task, and its parameters."""
    spec, params = superposing(
        places,
        letters=sets.encode(LETTERS).tolist(),
        separator=int(sets.encode(">")[0]),
        newline=sets.NEWLINE,
        length=3,
        examples=6,
        vocabulary=sets.VOCABULARY,
    )
    return transformer(spec, vocabulary=sets.VOCABULARY), params


@pytest.mark.parametrize("order", ["exact", "iid"])
def test_a_model_that_superposes_is_seen_to(order):
    """Weights set by hand, P = the share of each task in every prompt: through the whole chain."""
    model, params = superposer((1, 2, 3))
    config = values(mixed_shares="1:1:1 3:2:1 1:0:0", mixed_order=order, mixed_prompts=40)
    parts = Parts(characters(CHARACTERS), None, model)
    probe = jax.jit(mixtures.probe(config, parts), static_argnums=(2, 3))
    found = {k: np.asarray(v) for k, v in probe(jax.random.key(0), params, None, None).items()}
    np.testing.assert_allclose(found["mixed_probability"], found["mixed_share"], atol=1e-4)
    np.testing.assert_allclose(found["mixed_kl"], 0.0, atol=1e-3)
    if order == "exact":
        shares = [[1 / 3] * 3, [1 / 2, 1 / 3, 1 / 6], [1, 0, 0]]
        np.testing.assert_allclose(found["mixed_share"], shares, atol=1e-6)
        np.testing.assert_allclose(found["mixed_saturation"][:2], 0.0, atol=1e-4)
        np.testing.assert_allclose(found["mixed_completed"][:2], 3.0)
        np.testing.assert_allclose(
            found["mixed_entropy"][:2], found["mixed_entropy_of_mean"][:2], atol=1e-3
        )
    assert found["mixed_recency_same"].shape == (3, 6, 3)
    assert found["mixed_histogram"].shape == (3, 3, 20)


def test_order_of_the_tasks_that_are_asked_is_kept():
    chosen = mixtures.mixed_groups({"mixed_tasks": "ret3, ret1"}, ("ret1", "ret2", "ret3"))
    assert chosen == (2, 0)
    told = mixtures.labels(values(mixed_tasks="ret3,ret1"), ("ret1", "ret2", "ret3"))
    assert told["answer"] == ["ret3", "ret1"] and told["mixture"][0] == "0:10"
    assert mixtures.labels(values(mixed_prompts=0), ("ret1",)) == {}


def test_fresh_prompts_are_a_function_of_the_key():
    task = characters(CHARACTERS)
    model, params = superposer((1, 2))
    config = values(mixed_tasks="ret1,ret2", mixed_shares="1:1", mixed_prompts=4)
    parts = Parts(task, None, model)
    probe = jax.jit(lambda key: mixtures.probe(config, parts)(key, params, None, None))
    first, again, other = (probe(jax.random.key(seed)) for seed in (0, 0, 1))
    same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), first, again)
    assert all(same[name] for name in ("mixed_probability", "mixed_kl"))
    assert not np.array_equal(first["mixed_share"], other["mixed_share"])
