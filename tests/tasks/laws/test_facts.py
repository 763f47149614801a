"""Facts: documents against their law, the world's answers, losses of what is known and not."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.data import designs
from plateaus.tasks.laws.facts import Knobs, Spec, check, facts, first_answer, vocabulary
from plateaus.types import Draw, Example

SPEC = Spec(subjects=10, relations=3, answers=4, noise_tokens=6, noise_length=3)
TASK = facts(SPEC)
FACTS, MANY = 30, 6000


EVERYBODY = np.arange(MANY, dtype=np.int32) % 10


@jax.jit
def train(world, subjects, seed=1):
    """Documents of these subjects [MANY]."""
    keys = jax.random.split(jax.random.key(seed), MANY)
    draw = Draw(subjects, 0 * subjects)
    return jax.vmap(TASK.emit, (0, None, 0, None))(keys, world, draw, Knobs())


@jax.jit
def sample(world, seed=2):
    """Three times all facts of the test law."""
    keys = jax.random.split(jax.random.key(seed), 3 * FACTS)
    return jax.vmap(TASK.emit_test, (0, None, 0))(keys, world, jnp.arange(3 * FACTS))


def every_fact(seed=2):
    return jax.tree.map(lambda x: x[:FACTS], jax.device_get(sample(world(), seed)))


@jax.jit
def judged(world, batch, items):
    """(law, predictor) -> losses, where the design draws the first `items` subjects."""
    source = designs.design(designs.Spec(), 1, SPEC.subjects, frozenset())
    plan = source.prepare(designs.Knobs(items=items), SPEC.subjects)
    said = TASK.predictors(world, batch, Knobs(), lambda index: source.log_prob(plan, index, 0))
    laws = {"loss": TASK.loss, "test_loss": TASK.test_loss, **TASK.metrics}
    return {
        f"{law} of {name}": jax.vmap(measure)(said[name], batch)
        for law, measure in laws.items()
        for name in said
    }


@functools.cache
def world():
    return np.asarray(jax.jit(lambda: TASK.init(jax.random.key(0)))())


def words(batch):
    """Documents [B, m + 3]; the targets are the inputs moved by one."""
    inputs, targets = map(np.asarray, batch)
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    return np.concatenate([inputs, targets[:, -1:]], axis=1)


def test_the_tokens_of_subjects_relations_noise_and_answers_are_disjoint():
    whole = words(train(world(), EVERYBODY))
    subjects, relations = set(whole[:, 0]), set(whole[:, 1])
    noise, answers = set(whole[:, 2:-1].ravel()), set(whole[:, -1])
    assert subjects == set(range(10)) and relations == set(range(10, 13))
    assert noise == set(range(13, 19))
    wanted = {19 + 4 * r + a for r in range(3) for a in world()[:, r]}
    assert answers == wanted and max(answers) < vocabulary(SPEC) == 31 == TASK.reads.vocabulary
    firsts = jax.jit(jax.vmap(lambda relation: first_answer(SPEC, relation)))(np.arange(3))
    blocks = [range(first, first + 4) for first in firsts.tolist()]
    assert sorted(t for block in blocks for t in block) == list(range(19, 31))


def test_documents_are_distributed_as_said():
    """The relation and each noise token uniform and independent; the answer is phi's."""
    whole = words(train(world(), np.full(MANY, 7, np.int32)))
    assert np.all(whole[:, 0] == 7)
    relation = whole[:, 1] - 10
    np.testing.assert_array_equal(whole[:, -1], 19 + 4 * relation + world()[7, relation])
    cells = (relation * 6 + whole[:, 2] - 13) * 36 + (whole[:, 3] - 13) * 6 + whole[:, 4] - 13
    assert stats.chisquare(np.bincount(cells, minlength=648)).pvalue > 1e-4


def test_phi_is_uniform_in_every_relation_and_fixed_in_a_world():
    draw = jax.jit(lambda: jax.vmap(TASK.init)(jax.random.split(jax.random.key(3), 2000)))
    worlds = np.asarray(draw())
    assert worlds.shape == (2000, 10, 3)
    for relation in range(3):
        counts = np.bincount(worlds[:, :, relation].ravel(), minlength=4)
        assert counts.size == 4 and stats.chisquare(counts).pvalue > 1e-4
    pairs = np.bincount(worlds[:, 0, 0] * 4 + worlds[:, 1, 0], minlength=16)
    assert stats.chisquare(pairs).pvalue > 1e-4  # two subjects
    pairs = np.bincount(worlds[:, 0, 0] * 4 + worlds[:, 0, 1], minlength=16)
    assert stats.chisquare(pairs).pvalue > 1e-4  # two relations
    answer = {}
    for seed in (1, 5):  # fresh noise, the same answers
        for document in words(train(world(), EVERYBODY, seed))[:500]:
            assert answer.setdefault(tuple(document[:2]), document[-1]) == document[-1]


@pytest.mark.parametrize(("subjects", "relations"), [(4, 2), (6, 4), (1, 3), (5, 1)])
def test_all_facts_of_any_world_are_gone_through(subjects, relations):
    """Also where the two numbers have a common divisor."""
    task = facts(Spec(subjects=subjects, relations=relations, noise_length=0))
    count = subjects * relations

    @jax.jit
    def documents():
        emit = jax.vmap(task.emit_test, (None, None, 0))
        return emit(jax.random.key(0), task.init(jax.random.key(1)), jnp.arange(count))

    pairs = {tuple(document[:2].tolist()) for document in words(documents())}
    assert pairs == {(s, subjects + r) for s in range(subjects) for r in range(relations)}


@pytest.mark.parametrize("times", (1, 3))
def test_the_test_sample_goes_through_all_facts_equally(times):
    whole, other = (words(sample(world(), seed))[: times * FACTS] for seed in (2, 9))
    found, counts = np.unique(whole[:, :2], axis=0, return_counts=True)
    assert len(found) == FACTS and np.all(counts == times)
    np.testing.assert_array_equal(other[:, [0, 1, -1]], whole[:, [0, 1, -1]])
    assert np.any(other[:, 2:-1] != whole[:, 2:-1])


def test_losses_of_the_predictors():
    """The answer's: log A and 0; the document's adds log R and log N for each noise token."""
    found = jax.tree.map(np.float64, judged(world(), every_fact(), 10))
    for name, answer in (("guess", np.log(4)), ("facts", 0.0), ("trained_facts", 0.0)):
        np.testing.assert_allclose(found[f"test_loss of {name}"], answer, atol=1e-5)
        whole = (np.log(3) + 3 * np.log(6) + answer) / 5
        np.testing.assert_allclose(found[f"loss of {name}"], whole, atol=1e-5)
    assert (TASK.uninformed, TASK.best) == ("guess", "facts")


@pytest.mark.parametrize("items", (1, 4, 9))
def test_facts_of_untrained_subjects_are_guessed(items):
    batch = every_fact()
    found = np.float64(judged(world(), batch, items)["test_loss of trained_facts"])
    trained = batch.inputs[:, 0] < items
    np.testing.assert_allclose(found, np.where(trained, 0.0, np.log(4)), atol=1e-5)
    assert np.mean(found) == pytest.approx((10 - items) / 10 * np.log(4), abs=1e-5)


def test_what_is_trained_on_is_the_document_or_the_answer():
    """Against cross-entropies in float64, of random logits."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(5, 31)).astype(np.float32)
    targets = generator.integers(0, 31, 5).astype(np.int32)
    z = np.float64(logits)
    tokens = np.log(np.exp(z).sum(1)) - z[np.arange(5), targets]
    example = Example(np.zeros(5, np.int32), targets)
    only = facts(dataclasses.replace(SPEC, loss_over="answer"))
    laws = [law for task in (TASK, only) for law in (task.loss, task.test_loss)]
    found = jax.jit(lambda *given: [law(*given) for law in laws])(logits, example)
    wanted = tokens.mean(), tokens[-1], tokens[-1], tokens[-1]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_accuracy_is_of_the_greedy_answer():
    batch = every_fact()
    np.testing.assert_array_equal(judged(world(), batch, 10)["accuracy of facts"], 1.0)
    one_hot = np.eye(31, dtype=np.float32)
    right = one_hot[batch.targets]
    spoilt, other = right.copy(), right.copy()
    spoilt[:, -1] = one_hot[(batch.targets[:, -1] + 1) % 31]
    other[:, 0] = 0.0  # of the answer alone
    accuracy = jax.jit(jax.vmap(jax.vmap(TASK.metrics["accuracy"]), (0, None)))
    found = np.float64(accuracy(np.stack([right, spoilt, other]), batch))
    assert found.mean(axis=1).tolist() == [1.0, 0.0, 1.0]


def test_the_item_of_a_document_is_its_subject():
    subjects = EVERYBODY[::-1]
    item = jax.jit(jax.vmap(TASK.item))
    np.testing.assert_array_equal(item(train(world(), subjects)), subjects)


def test_documents_without_noise():
    task = facts(dataclasses.replace(SPEC, noise_length=0))
    emit = jax.jit(lambda: task.emit(jax.random.key(1), jnp.asarray(world()), Draw(3), Knobs()))
    document = emit()
    assert document.inputs.shape == (2,) and int(document.inputs[0]) == 3
    relation = int(document.targets[0]) - 10
    assert int(document.targets[1]) == 19 + 4 * relation + int(world()[3, relation])


def test_a_sample_of_unequal_facts_is_refused():
    values = {"subjects": 100, "relations": 4, "answers": 5, "noise_tokens": 9, "eval_points": 500}
    ((field, message),) = check(values)
    assert field == "eval_points" and "multiple of subjects x relations (400)" in message
    assert not list(check(values | {"eval_points": 1200}))


def test_more_tokens_than_an_embedding_should_hold_are_refused():
    values = {"subjects": 1, "relations": 2**16, "answers": 2**16, "noise_tokens": 9}
    ((field, message),) = check(values | {"eval_points": 2**16})
    assert field == "answers" and str(1 + 2**16 * (1 + 2**16)) in message
