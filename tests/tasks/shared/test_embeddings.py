"""Embeddings of texts and images, against counts by hand and numpy's singular values."""

import sys
import types
from collections import Counter

import numpy as np
import pytest

from plateaus.tasks.shared import embeddings
from plateaus.tasks.shared.embeddings import ngrams, pixels, sentences

SUMS = ["12 + 30 = 42", "7 + 30 = 37", "12 + 7 = 19", "42 + 19 = 61"]
WORDS = ["the cat sat on the mat", "the dog sat on the cat", "a mat is on the dog", "cats and dogs"]
RANDOM = np.random.default_rng(0)


def counted(text):
    """Character 2- to 4-grams of each word between blanks; a short padded word counts whole."""
    found: Counter = Counter()
    for word in text.split():
        padded = f" {word} "
        for n in (2, 3, 4):
            found.update(padded[i : i + n] for i in range(max(1, len(padded) - n + 1)))
            if len(padded) <= n:
                break
    return found


def cosine(one, other):
    dot = sum(one[gram] * other[gram] for gram in one)
    return dot / np.sqrt(sum(v * v for v in one.values()) * sum(v * v for v in other.values()))


def test_ngrams_are_cosines_of_counts():
    """With as many dimensions as training texts nothing is lost of inner products."""
    train, test = ngrams(SUMS + WORDS, ["the cats sat"], 8)
    counts = [counted(text) for text in SUMS + WORDS]
    wanted = [[cosine(one, other) for other in counts] for one in counts]
    np.testing.assert_allclose(train @ train.T, wanted, atol=1e-6)
    wanted = [cosine(counted("the cats sat"), other) for other in counts]
    np.testing.assert_allclose((test @ train.T)[0], wanted, atol=1e-6)


def test_ngrams_are_fitted_to_training_alone(monkeypatch):
    monkeypatch.setattr(embeddings, "HASHED", 2**12)  # the time is that of all columns' SVD
    train, test = ngrams(SUMS + WORDS, ["a cat"], 3)
    again, more = ngrams(SUMS + WORDS, ["a cat", *["entirely different"] * 50], 3)
    np.testing.assert_array_equal(train, again)
    np.testing.assert_array_equal(test[0], more[0])
    assert train.shape == (8, 3)


def test_pixels_are_principal_components():
    images, others = RANDOM.normal(size=(20, 3, 4)), RANDOM.normal(size=(5, 3, 4))
    train, test = pixels(images, others, 6)
    flat = images.reshape(20, 12)
    _, _, axes = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    sign = np.sign(np.sum(train * ((flat - flat.mean(axis=0)) @ axes[:6].T), axis=0))
    np.testing.assert_allclose(train, (flat - flat.mean(axis=0)) @ axes[:6].T * sign, atol=1e-9)
    wanted = (others.reshape(5, 12) - flat.mean(axis=0)) @ axes[:6].T * sign
    np.testing.assert_allclose(test, wanted, atol=1e-9)


def test_sentences_ask_the_model_named(monkeypatch):
    class Model:
        def __init__(self, name):
            assert name == "some/model"

        def encode(self, texts):
            return np.array([[len(text), 1.0] for text in texts])

    fake = types.ModuleType("sentence_transformers")
    fake.SentenceTransformer = Model
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    train, test = sentences(["ab", "abc"], ["a"], "some/model")
    assert train.tolist() == [[2, 1], [3, 1]] and test.tolist() == [[1, 1]]


def test_missing_libraries_are_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"^needs sentence-transformers: .*plateaus\[real\]'"):
        sentences(["a"], ["b"], "some/model")
    monkeypatch.setitem(sys.modules, "sklearn.decomposition", None)
    with pytest.raises(ImportError, match=r"^needs scikit-learn: .*plateaus\[sklearn\]'"):
        ngrams(SUMS, SUMS, 2)


@pytest.mark.parametrize(
    ("embed", "given", "message"),
    [
        (ngrams, (SUMS, SUMS, 5), "dimensions = 5: must be from 1 to 4, the training texts"),
        (ngrams, (SUMS, SUMS, 0), "dimensions = 0: must be from 1 to 4"),
        (ngrams, ([], SUMS, 1), "nothing to embed: 0 training examples, 4 of tests"),
        (
            pixels,
            (np.ones((3, 2, 1)), np.ones((1, 2, 1)), 3),
            "dimensions = 3: must be from 1 to 2",
        ),
        (sentences, ([], [], "some/model"), "nothing to embed"),
    ],
)
def test_refusals(embed, given, message):
    with pytest.raises(ValueError, match=message):
        embed(*given)
