"""Embeddings of texts and images, by which regrouping measures similarity.

Each is `(train, test, dimensions) -> (train [N, D], test [M, D])`, on the host; what is fitted is
fitted to the training examples only. `sentences` takes a model's name for `dimensions`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Embedded: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

HASHED = 2**18  # columns that n-grams are hashed to
LENGTHS = (2, 4)  # letters of the shortest and of the longest n-gram


def ngrams(train: Sequence[str], test: Sequence[str], dimensions: int) -> Embedded:
    """Return: hashed counts of character n-grams within words, of length 1, by truncated SVD.

    n from 2 to 4. The right singular vectors are those of the training texts. A text without any
    n-gram is 0.

    Raises ValueError, in one line, for no texts, and for more dimensions than training texts.

    >>> train, test = ngrams(["a cat", "the cat", "2 + 2", "2 + 3"], ["cats"], 2)
    >>> bool(test @ train[1] > test @ train[2])
    True
    """
    _fits(train, test, dimensions, len(train), "training texts")
    hashed = _import("sklearn.feature_extraction.text").HashingVectorizer(
        analyzer="char_wb", ngram_range=LENGTHS, n_features=HASHED, alternate_sign=False
    )
    svd = _import("sklearn.decomposition").TruncatedSVD(dimensions, random_state=0)
    embedded = svd.fit_transform(hashed.transform(train))
    return np.asarray(embedded, np.float64), np.asarray(svd.transform(hashed.transform(test)))


def pixels(train: NDArray[Any], test: NDArray[Any], dimensions: int) -> Embedded:
    """Return: the first principal components of the pixels of images [N, ...].

    The mean and the components are those of the training images.

    Raises ValueError, in one line, for no images, and for more dimensions than images or pixels.

    >>> train, test = pixels(np.eye(3).reshape(3, 1, 3), np.ones((1, 1, 3)) / 3, 2)
    >>> train.shape, np.abs(test).max().round(6) + 0
    ((3, 2), np.float64(0.0))
    """
    flat, other = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (train, test))
    _fits(train, test, dimensions, min(flat.shape), "training images or their pixels")
    pca = _import("sklearn.decomposition").PCA(dimensions, svd_solver="full", random_state=0)
    return pca.fit_transform(flat), pca.transform(other)


def sentences(train: Sequence[str], test: Sequence[str], model: str) -> Embedded:
    """Return embeddings by a model of sentence-transformers: a name of its hub, or a folder.

    Raises ImportError, in one line, where sentence-transformers is not installed.
    """
    _fits(train, test, 1, 1, "")
    encode = _import("sentence_transformers").SentenceTransformer(model).encode
    embedded, other = (np.asarray(encode(list(texts)), np.float64) for texts in (train, test))
    return embedded, other


def _fits(train: Any, test: Any, dimensions: int, most: int, of: str) -> None:
    if not len(train) or not len(test):
        raise ValueError(f"nothing to embed: {len(train)} training examples, {len(test)} of tests")
    if not 1 <= dimensions <= most:
        raise ValueError(f"dimensions = {dimensions}: must be from 1 to {most}, the {of}")


def _import(module: str) -> Any:
    """Return a module of an extra, which is imported only to be used."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        extra, package = ("sklearn", "scikit-learn")
        if module == "sentence_transformers":
            extra, package = ("real", "sentence-transformers")
        raise ImportError(f"needs {package}: pip install 'plateaus[{extra}]'") from error
