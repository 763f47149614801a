"""Images in other domains: the same items, tests and losses, and domains that are of digits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from plateaus.data.domains import regroup
from plateaus.tasks.laws.image_text import (
    Knobs,
    Spec,
    check,
    embeddings,
    image_text,
    images,
    items,
)
from plateaus.types import Draw, Grouping

SPEC = Spec(families="german,french", clusters="3", components=8)


@pytest.fixture(scope="module")
def similar():
    return regroup(*embeddings(SPEC), (3,), 0)[0]


def test_embeddings_are_the_components_of_each_items_image():
    pixels = {part: images(part)[0].astype(np.float64) for part in ("train", "test")}
    fitted = PCA(8, svd_solver="full").fit(pixels["train"])
    for found, part in zip(embeddings(SPEC), ("train", "test"), strict=True):
        np.testing.assert_allclose(
            found, np.repeat(fitted.transform(pixels[part]), 2, 0), atol=1e-8
        )


def test_domains_are_of_digits_and_not_of_languages(similar):
    """Mutual information with the digit, by counting; none with the language."""
    train, _ = items(SPEC)
    digits = images("train")[1][train.index]

    def information(a, b):
        joint = np.zeros((a.max() + 1, b.max() + 1))
        np.add.at(joint, (a, b), 1 / a.size)
        outer = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        return float(np.sum(joint[joint > 0] * np.log(joint[joint > 0] / outer[joint > 0])))

    assert information(similar.train, digits) > 0.5
    assert information(similar.train, train.group) < 1e-12


def test_a_domain_draws_its_own_training_items_and_tests_are_the_test_items(similar):
    task = image_text(SPEC, similar)
    plain = image_text(dataclasses.replace(SPEC, clusters=""))
    pixels, _ = images("train")

    @jax.jit
    def run(said):
        keys, numbers = jax.random.split(jax.random.key(0), (2, 200)), jnp.arange(200)
        draw = Draw(numbers * 7, numbers % 3)
        batch = jax.vmap(task.emit, (0, None, 0, None))(keys[0], (), draw, Knobs())
        test = jax.vmap(task.emit_test, (0, None, 0))(keys[1], (), numbers)
        losses = jax.vmap(task.loss)(said, test)
        own = test._replace(targets=test.targets.original)
        return batch, jax.vmap(task.groups.of)(batch), test, losses, jax.vmap(plain.loss)(said, own)

    said = np.random.default_rng(0).standard_normal((200, 5)).astype(np.float32)
    batch, groups, test, losses, plain_losses = jax.device_get(run(said))
    domain_of = {}
    for n, group in enumerate(np.asarray(similar.train)):
        domain_of.setdefault(pixels[n // 2].tobytes(), set()).add(int(group))
    for i in range(200):
        assert domain_of[batch.inputs[0][i].tobytes()] == {i % 3} == {groups[i]}
    np.testing.assert_array_equal(test.inputs[0], np.repeat(images("test")[0][:100], 2, axis=0))
    np.testing.assert_array_equal(test.targets.domain, np.asarray(similar.test)[:200])
    np.testing.assert_array_equal(test.targets.original.group, np.arange(200) % 2)
    np.testing.assert_array_equal(losses, plain_losses)


def test_without_clusters_it_is_the_task_itself():
    assert image_text(Spec(families="german,french")).group_names == ("german", "french")
    own = image_text(SPEC)
    assert own.group_names == ("german", "french") and own.groups.target == (0.5, 0.5)
    given = Grouping(("a",), np.zeros(2320, int), np.zeros(580, int))
    assert image_text(SPEC, given).group_names == ("a",)


def test_refusals():
    values = {"families": "german,french", "clusters": "3"}
    assert not list(check({**values, "eval_points": 1160}))
    assert [field for field, _ in check({**values, "eval_points": 1000})] == ["eval_points"]
    assert not list(check({**values, "clusters": "", "eval_points": 1000}))
