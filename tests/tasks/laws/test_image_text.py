"""Images and captions against the data set itself, read back as words."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits

from plateaus.tasks.laws.image_text import (
    ALPHABET,
    FAMILIES,
    PARTS,
    Knobs,
    Spec,
    check,
    groups,
    image_text,
    images,
    spelled,
)
from plateaus.types import Draw

NAMES = ("german", "english", "spanish")
COUNT = 3 * 290


@functools.cache
def sample(captions=5):
    """(task, test examples in turn, training examples of every image, what predictors say)."""
    task = image_text(Spec(families=",".join(NAMES), captions=captions))

    @jax.jit
    def drawn(seed):
        key = jax.random.key(seed)
        own = jax.random.split(key, (3, 1160))
        numbers = jnp.arange(1160, dtype=jnp.int32)
        emit_test, emit = (
            jax.vmap(task.emit_test, (0, None, 0)),
            jax.vmap(task.emit, (0, None, 0, None)),
        )
        test = emit_test(own[0, :COUNT], (), numbers[:COUNT])
        train = emit(own[1], (), Draw(numbers, numbers % 3), Knobs())
        target = jax.vmap(task.groups.emit_target, (0, None, 0))(
            own[2, :COUNT], (), numbers[:COUNT]
        )
        return test, train, target, task.predictors((), test, Knobs(), None)

    return task, *jax.tree.map(np.asarray, drawn(6))


def read(caption):
    """The word of one-hot rows."""
    there = caption.sum(axis=1)
    length = int(there.sum())
    assert there.tolist() == [1.0] * length + [0.0] * (len(there) - length)
    return "".join(ALPHABET[i] for i in np.argmax(caption[:length], axis=1))


def labels():
    """(an image's pixels as bytes -> the digits it stands for) of the data set."""
    pixels, digits = load_digits(return_X_y=True)
    found = {}
    for image, digit in zip((pixels / 16).astype(np.float32), digits, strict=True):
        found.setdefault(image.tobytes(), set()).add(int(digit))
    return found


@pytest.mark.parametrize("captions", (5, pytest.param(10, marks=pytest.mark.thorough)))
def test_the_right_caption_is_the_digits_word_in_the_examples_language(captions):
    _, test, train, target, _ = sample(captions)
    known = labels()
    for law, batch in {"test": test, "train": train, "target": target}.items():
        for i in range(0, len(batch.targets.right), 7):
            words = FAMILIES[NAMES[batch.targets.group[i]]]
            assert batch.targets.group[i] == i % 3, law
            said = [words.index(read(caption)) for caption in batch.inputs[1][i]]
            assert len(set(said)) == len(said) == captions
            digit = said[batch.targets.right[i]]
            assert known[batch.inputs[0][i].tobytes()] == {digit} == {batch.targets.digit[i]}


def test_the_place_of_the_right_caption_and_the_others_are_uniform():
    _, _, train, _, _ = sample()
    assert stats.chisquare(np.bincount(train.targets.right, minlength=5)).pvalue > 1e-4
    wrong = []
    for i in range(len(train.targets.right)):
        words = FAMILIES[NAMES[train.targets.group[i]]]
        said = [words.index(read(caption)) for caption in train.inputs[1][i]]
        wrong += [(x - train.targets.digit[i]) % 10 for x in said if x != train.targets.digit[i]]
    counts = np.bincount(wrong, minlength=10)
    assert counts[0] == 0 and stats.chisquare(counts[1:]).pvalue > 1e-4


def test_parts_share_no_image_and_have_all_digits_alike():
    seen = {}
    for part in PARTS:
        pixels, digits = images(part)
        assert len(set(np.bincount(digits, minlength=10))) == 1
        seen[part] = {image.tobytes() for image in pixels}
        assert len(seen[part]) == len(digits) and pixels.min() == 0 and pixels.max() == 1
    assert not seen["train"] & seen["test"] and not seen["train"] & seen["target"]
    assert not seen["target"] & seen["test"]
    assert [len(found) for found in seen.values()] == [1160, 290, 290]


def test_images_are_drawn_by_number_and_tested_in_turn():
    """Every image of a part, in every language, before any comes again."""
    _, test, train, target, _ = sample()
    for batch, part in ((test, "test"), (target, "target")):
        np.testing.assert_array_equal(batch.inputs[0], np.repeat(images(part)[0], 3, axis=0))
    np.testing.assert_array_equal(train.inputs[0], images("train")[0])


def test_losses_are_in_units_of_log_k():
    task, test, _, _, said = sample()
    judge = jax.jit(
        jax.vmap(lambda said, one: (task.loss(said, one), task.groups.learned.error(said, one)))
    )
    loss = {name: np.asarray(judge(said[name], test)[0]) for name in said}
    np.testing.assert_allclose(loss["blind"], 1.0, rtol=1e-6)
    assert not loss["right"].any()
    logits = np.random.default_rng(0).standard_normal((COUNT, 5)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    by_hand = -np.log(shares[np.arange(COUNT), test.targets.right]) / math.log(5)
    losses, wrong = judge(logits, test)
    np.testing.assert_allclose(losses, by_hand, rtol=2e-5)
    np.testing.assert_array_equal(wrong, np.argmax(logits, axis=1) != test.targets.right)


def test_words():
    """Ten different ones in every language, and every one can be read back."""
    for words in FAMILIES.values():
        assert len(set(words)) == len(words) == 10
        assert [read(spelled(word)) for word in words] == list(words)


def test_groups_and_refusals():
    assert groups(Spec(families="french, english,french")) == ("french", "english")
    assert not list(check({"clusters": "", "families": "french,english"}))
    assert list(check({"clusters": "", "families": "frensh"})) == [
        (
            "families",
            "no family 'frensh'; did you mean french? (known: english, german, french, spanish)",
        )
    ]
    assert list(check({"clusters": "", "families": "french,french"})) == [
        ("families", "'french': given twice")
    ]
