"""Regroup: which domain each example is of, by k-means on embeddings, or at random as a control.

On the host, in numpy, before anything is compiled.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plateaus.types import Grouping

STARTS = 10  # of k-means, the best of which is kept
MOST_COMPARED = 4_096  # examples whose distances to one another the silhouette takes


def domain_names(k: int) -> tuple[str, ...]:
    """Return the names of k domains.

    >>> domain_names(2)
    ('domain_0', 'domain_1')
    """
    return tuple(f"domain_{number}" for number in range(k))


def regroup(
    train: NDArray[Any], test: NDArray[Any], clusters: Sequence[int], seed: int
) -> tuple[Grouping, dict[int, float]]:
    r"""Return domains of similar examples, and the silhouette of every number of them in a grid.

    k-means, $\min \sum_n |e_n - c_{z_n}|^2$, of the embeddings e of what is trained on, [N, D]; k
    is the number in `clusters` of the largest mean silhouette (the smallest, if some tie; 0 for k =
    1 and for k = N; of one number alone none is computed). A test example, [M, D], is of the domain
    of the nearest centroid; the histogram of these is `Grouping.target`. Domains are numbered as
    they first come in training.

    Raises ValueError for embeddings that are none, or not finite, and for k < 1 or above the number
    of different training embeddings; ImportError without scikit-learn.

    Source: paper 4, Regroup; k-means++ with 10 starts is ours.

    >>> train = np.array([[0.0], [9.0], [1.0], [8.0]])
    >>> grouping, silhouettes = regroup(train, np.array([[7.0], [5.0], [6.0]]), (2, 3), 0)
    >>> grouping.train.tolist(), grouping.test.tolist(), max(silhouettes, key=silhouettes.get)
    ([0, 1, 0, 1], [1, 1, 1], 2)
    """
    train, test = _embeddings(train, "training"), _embeddings(test, "test")
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"embeddings of {train.shape[1]} and of {test.shape[1]} numbers differ")
    distinct = len(np.unique(train, axis=0))
    if not clusters:
        raise ValueError("clusters: no number is given")
    for k in clusters:
        if not 1 <= k <= distinct:
            raise ValueError(
                f"clusters = {k}: must be from 1 to {distinct}, the number of different training "
                f"embeddings ({len(train)} examples)"
            )
    models = {k: _k_means(train, k, seed) for k in dict.fromkeys(sorted(clusters))}
    silhouettes = {
        k: _silhouette(train, model.labels_, seed) for k, model in models.items() if len(models) > 1
    }
    k = max(silhouettes, key=silhouettes.__getitem__, default=min(models))
    centroids = models[k].cluster_centers_.astype(np.float64)
    labels, first = np.unique(models[k].labels_, return_index=True)
    order = labels[np.argsort(first)]
    number = np.argsort(order)  # of a label: its place in the order of coming
    nearest = np.argmin([np.sum((test - centroid) ** 2, axis=1) for centroid in centroids], axis=0)
    grouping = Grouping(domain_names(k), number[models[k].labels_], number[nearest])
    return grouping, silhouettes


def random_groups(n_train: int, n_test: int, k: int, seed: int) -> Grouping:
    """Return k domains at random, of sizes that differ by one at most: the control of `regroup`.

    Raises ValueError for k < 1 or above the number of training or of test examples.

    >>> random_groups(4, 2, 2, seed=0).target
    (0.5, 0.5)
    """
    most = min(n_train, n_test)
    if not 1 <= k <= most:
        what = "training" if n_train == most else "test"
        raise ValueError(f"clusters = {k}: must be from 1 to {most}, the number of {what} examples")
    generator = np.random.default_rng(seed)
    train, test = (generator.permutation(np.arange(size) % k) for size in (n_train, n_test))
    return Grouping(domain_names(k), train, test)


def _embeddings(embeddings: Any, what: str) -> NDArray[np.float64]:
    """Return embeddings [N, D] in float64."""
    array = np.asarray(embeddings, np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{what} embeddings must be [examples, numbers], some: {array.shape}")
    if bad := int(np.sum(~np.isfinite(array).all(axis=1))):
        raise ValueError(f"{what} embeddings must be finite: {bad} of {len(array)} are not")
    return array


def _k_means(train: NDArray[np.float64], k: int, seed: int) -> Any:
    k_means = _scikit("sklearn.cluster").KMeans(k, n_init=STARTS, random_state=seed)
    # So little work is not shared among threads: where cores are busy they wait, at full load, up
    # to fifty times as long as one of them computes.
    with _scikit("threadpoolctl").threadpool_limits(1):
        return k_means.fit(train)


def _silhouette(train: NDArray[np.float64], labels: NDArray[Any], seed: int) -> float:
    """Return the mean silhouette, of a random part of the examples where there are many."""
    if not 1 < len(np.unique(labels)) < len(train):
        return 0.0  # as of a cluster of one example
    compared = np.arange(len(train))
    if len(train) > MOST_COMPARED:
        compared = np.random.default_rng(seed).permutation(len(train))[:MOST_COMPARED]
    if len(np.unique(labels[compared])) < 2:
        return 0.0
    return float(_scikit("sklearn.metrics").silhouette_score(train[compared], labels[compared]))


def _scikit(module: str) -> Any:
    """Return a module of scikit-learn or of what it needs, which is imported only to be used."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError("needs scikit-learn: pip install 'plateaus[sklearn]'") from error
