"""Windows of text against plain slicing, and their predictors against plain counts."""

import collections
import dataclasses
import itertools
import math
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data import designs
from plateaus.tasks.corpus import bigrams
from plateaus.tasks.corpus import corpus as text_corpus
from plateaus.tasks.corpus import windows as text_windows
from plateaus.tasks.corpus.corpus import Spec
from plateaus.tasks.laws import text
from plateaus.tasks.shared import embeddings
from plateaus.types import Draw, Grouping

CONTEXT, DOMAINS = 5, ("a", "b", "c")


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """Three domains, of 900, 1200 and 400 bytes that tell their place."""
    path = tmp_path_factory.mktemp("text")
    for name, size in zip(DOMAINS, (300, 400, 133), strict=True):
        (path / "texts" / name).mkdir(parents=True)
        # three base-40 letters for each place: windows of five bytes are all different
        letters = "".join(chr(48 + i // 40 % 40) + chr(48 + i % 40) + name for i in range(size))
        (path / "texts" / name / "1.txt").write_text(letters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(path / "cache"))
        yield Spec(folder=str(path / "texts"), context=CONTEXT)


@pytest.fixture(scope="module")
def task(spec):
    return text.text(spec)


@pytest.fixture(scope="module")
def windows(task):
    return emitted(task, task.size, 3 * 60)


def streams(spec):
    return [(Path(spec.folder) / d / "1.txt").read_bytes() for d in DOMAINS]


def emitted(task, count, held_out):
    """Law -> [(group, bytes of a window)], of `count` items a group and of the first tests."""
    groups, numbers = len(task.group_names), np.arange(held_out)

    @jax.jit
    def run():
        world, key = task.init(jax.random.key(0)), jax.random.key(100)
        draws = Draw(jnp.tile(jnp.arange(count), groups), jnp.repeat(jnp.arange(groups), count))
        emit = lambda draw: task.emit(key, world, draw, text.Knobs())  # noqa: E731
        held = {"target": task.groups.emit_target, "test": task.emit_test}
        held = {
            name: jax.vmap(law, (None, None, 0))(key, world, numbers) for name, law in held.items()
        }
        return {"train": jax.vmap(emit)(draws), **held}

    found = {}
    for name, made in jax.device_get(run()).items():
        whole = np.concatenate([made.inputs, made.targets.tokens[:, -1:]], axis=1)
        np.testing.assert_array_equal(made.inputs[:, 1:], made.targets.tokens[:, :-1])
        shown = map(bytes, whole.astype(np.uint8))
        found[name] = list(zip(made.targets.group.tolist(), shown, strict=True))
    return found


def test_windows_are_slices_of_their_own_split(spec, task, windows):
    """Every window of the pool, of the target and of the test, found in the stream by search."""
    for g, stream in enumerate(streams(spec)):
        ends = round(0.8 * len(stream)), round(0.9 * len(stream))
        parts = stream[: ends[0]], stream[ends[0] : ends[1]], stream[ends[1] :]
        laws = ("train", "target", "test")
        train, target, test = ({w for h, w in windows[law] if h == g} for law in laws)
        for own, part, other in zip(
            (train, target, test), parts, (parts[2], parts[0], parts[1]), strict=True
        ):
            assert own and all(len(w) == CONTEXT + 1 and w in part for w in own)
            assert not any(w in other for w in own)
        assert len(train) == task.size
        assert len(test) == len(parts[2]) // (CONTEXT + 1)  # all that do not overlap


def test_the_pool_covers_the_shortest_domain_and_none_overlap(spec, task, windows):
    shortest = streams(spec)[2][: round(0.8 * 399)]
    assert task.size == len(shortest) // (CONTEXT + 1)
    places = sorted(shortest.index(w) for g, w in windows["train"] if g == 2)
    assert len(places) == task.size
    assert places[0] == 0 and places[-1] == len(shortest) - CONTEXT - 1
    assert min(np.diff(places)) >= CONTEXT + 1


def test_starts_are_even_and_different_up_to_the_last():
    for length, width, count in ((10, 3, 8), (100, 7, 14), (50, 5, 1), (5, 5, 1), (99, 2, 98)):
        starts = text_windows.starts(length, width, count)
        naive = [i * (length - width) // max(count - 1, 1) for i in range(count)]
        assert starts.tolist() == naive and len(set(naive)) == count
        assert starts.max() <= length - width
        if count <= length // width:
            assert count == 1 or np.diff(starts).min() >= width


def test_splits_take_every_token_once():
    for length in (10, 11, 997):
        parts = text_windows.splits(length, 0.13, 0.21)
        assert [i for p in parts for i in range(length)[p]] == list(range(length))
        assert parts[2].stop - parts[2].start == pytest.approx(0.21 * length, abs=1)


def test_a_subset_has_fewer_windows_and_each_seed_another(spec):
    """Through the design, as a run draws: rho of the pool, of every domain."""
    task = text.text(dataclasses.replace(spec, windows=40))
    source = designs.design(designs.Spec(), 64, task.size, frozenset(), task.group_names)
    knobs = designs.knobs_of(task.group_names)(subset=0.25)

    @jax.jit
    @jax.vmap
    def run(seed):
        plan = source.prepare(knobs, task.size)
        world, state = task.init(jax.random.key(seed)), source.init(jax.random.key(seed))

        def step(t):
            draw = source.draw(jax.random.key(9), state, plan, t)
            return jax.vmap(lambda own: task.emit(None, world, own, text.Knobs()))(draw).inputs

        return jax.vmap(step)(jnp.arange(12))

    drawn = np.asarray(run(np.arange(2, dtype=np.uint32)), np.uint8)
    seen = [set(map(bytes, own.reshape(-1, CONTEXT))) for own in drawn]
    assert [len(windows) for windows in seen] == [30, 30]
    assert seen[0] != seen[1]


def brute(streams):
    """Log-probabilities by plain counting: (b) and (a, b) -> nats."""
    single, double = [], []
    for stream in streams:
        after = collections.Counter(stream[1:])
        pairs = collections.Counter(itertools.pairwise(stream))
        total = sum(after.values())
        alone = {b: (after[b] + 0.5) / (total + 128) for b in range(256)}

        def paired(a, b, pairs=pairs, alone=alone):
            own = {y: n for (x, y), n in pairs.items() if x == a}
            if not own:
                return alone[b]
            return (own.get(b, 0) + len(own) * alone[b]) / (sum(own.values()) + len(own))

        single.append(alone)
        double.append(paired)
    return single, double


def test_predictors_are_those_of_plain_counts(spec, task):
    single, double = brute([s[: round(0.8 * len(s))] for s in streams(spec)])

    @jax.jit
    def run():
        world, key = task.init(jax.random.key(0)), jax.random.key(1)
        batch = jax.vmap(task.emit_test, (None, None, 0))(key, world, jnp.arange(9))
        said = task.predictors(world, batch, text.Knobs(), None)
        return batch, said, {name: jax.vmap(task.test_loss)(x, batch) for name, x in said.items()}

    batch, said, losses = jax.device_get(run())
    for i in range(9):
        g, before = int(batch.targets.group[i]), batch.inputs[i].tolist()
        after = batch.targets.tokens[i].tolist()
        one = -np.mean([math.log(single[g][b]) for b in after])
        two = -np.mean([math.log(double[g](a, b)) for a, b in zip(before, after, strict=True)])
        np.testing.assert_allclose(losses["unigram"][i], one, rtol=1e-5)
        np.testing.assert_allclose(losses["bigram"][i], two, rtol=1e-5)
    for name in said:  # a distribution at each position
        np.testing.assert_allclose(np.sum(np.exp(said[name]), axis=-1), 1.0, rtol=1e-5)


def test_the_plateau_and_the_mark_of_learning_are_training_cross_entropies(spec, task):
    trained = [s[: round(0.8 * len(s))] for s in streams(spec)]
    single, double = brute(trained)

    @jax.jit
    @jax.vmap
    def last_error(group):
        key = jax.random.key(0)
        example = task.emit(key, task.init(key), Draw(0, group), text.Knobs())
        return task.groups.learned.error(jnp.zeros((CONTEXT, 256)), example)

    found = np.asarray(last_error(np.arange(3)))
    for g, stream in enumerate(trained):
        one = -np.mean([math.log(single[g][b]) for b in stream[1:]])
        pairs = itertools.pairwise(stream)
        two = -np.mean([math.log(double[g](a, b)) for a, b in pairs])
        assert task.groups.learned.below[g] == pytest.approx(0.1 + 0.9 * two / one, rel=1e-5)
        assert float(found[g]) == pytest.approx(math.log(256) / one, rel=1e-5)


def test_counts_in_parts_are_the_counts(monkeypatch):
    stream = np.random.default_rng(0).integers(0, 7, 500)
    pairs = [(stream[:-1], stream[1:])]
    whole = bigrams.bigrams(pairs, 7)
    monkeypatch.setattr(bigrams, "_CHUNK", 13)
    for one, other in zip(whole, bigrams.bigrams(pairs, 7), strict=True):
        np.testing.assert_array_equal(one, other)


def test_groups_are_those_of_a_grouping(spec):
    """Windows labelled by a byte that they hold; a group without tests has those it trains on."""
    train, test = text_corpus.items(spec)
    labels = [np.array([len(set(w)) % 2 for w in some]) for some in (train, test)]
    labels[0][0] = labels[1][0] = 2  # of the held-out windows the first is of the target split
    task = text.text(spec, Grouping(("odd", "even", "rare"), labels[0], labels[1]))
    assert task.group_names == ("odd", "even", "rare")
    tested = labels[1][len(text.windows_of(spec).target.rows) :]
    assert task.groups.target == (*(float(np.mean(tested == k)) for k in range(2)), 0.0)
    items = [
        collections.Counter(w.encode() for w, k in zip(train, labels[0], strict=True) if k == g)
        for g in range(3)
    ]
    held = text.windows_of(spec)
    found = emitted(task, max(map(collections.Counter.total, items)), 3 * len(held.test.rows))
    for g, own in enumerate(items):
        drawn = [w for h, w in found["train"] if h == g][: own.total()]
        assert own == collections.Counter(drawn)
    windows = found["test"]
    assert {w for g, w in windows if g == 2} == {train[0].encode()}
    late = list(zip(test, labels[1], strict=True))[len(held.target.rows) :]
    for g in range(2):
        assert {w for h, w in windows if h == g} == {w.encode() for w, k in late if k == g}


@pytest.mark.parametrize(
    "columns", [2**14, pytest.param(embeddings.HASHED, marks=pytest.mark.thorough)]
)
def test_embeddings_tell_domains_apart(columns, monkeypatch):
    """Also where n-grams are hashed to few columns: the time is that of all columns' SVD."""
    pytest.importorskip("sklearn")
    monkeypatch.setattr(embeddings, "HASHED", columns)
    train, test = text_corpus.embeddings(Spec(windows=16, target_share=0.02, test_share=0.02))
    held = text.windows_of(Spec(windows=16, target_share=0.02, test_share=0.02))
    own, other = (np.repeat(np.arange(5), pool.counts) for pool in (held.train, held.target))
    assert len(train) == own.size and len(test) == other.size + len(held.test.rows)
    centres = np.stack([train[own == g].mean(axis=0) for g in range(5)])
    apart = ((test[: other.size, None] - centres[None]) ** 2).sum(axis=-1)
    assert np.mean(apart.argmin(axis=1) == other) > 0.6


def test_sentences_of_a_model_by_name(spec, monkeypatch):
    """A stand-in for the package: it is asked for the model, and for every window as text."""
    asked = []

    class Stand:
        def __init__(self, name):
            asked.append(name)

        def encode(self, texts):
            asked.append(len(texts))
            return [[float(len(text)), 1.0] for text in texts]

    monkeypatch.setitem(
        sys.modules, "sentence_transformers", types.SimpleNamespace(SentenceTransformer=Stand)
    )
    named = dataclasses.replace(spec, embedding="sentences:a/model")
    train, test = text_corpus.embeddings(named)
    assert asked == ["a/model", len(train), len(test)]
    assert train.shape[1] == 2 and (train[:, 0] == CONTEXT + 1).all()


@pytest.mark.parametrize("given", ["sentences:", "sentence:a/model", "pixels"])
def test_an_embedding_that_is_not_there_is_refused(spec, given):
    told = list(text_corpus.check(vars(dataclasses.replace(spec, embedding=given))))
    assert told == [("embedding", "must be ngrams, or sentences:MODEL")]
