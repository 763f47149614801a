"""Regrouping: what k-means finds in blobs, silhouettes by hand, who is let near the centroids."""

import sys

import numpy as np
import pytest

from plateaus.data.domains import random_groups, regroup

RANDOM = np.random.default_rng(0)
CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
OF = np.repeat([2, 0, 1], [30, 20, 10])
TRAIN = CENTRES[OF] + 0.7 * RANDOM.normal(size=(60, 2))
TEST = RANDOM.uniform(-2, 8, size=(40, 2))


def silhouette(x, labels):
    """Rousseeuw's definition, by loops: (b - a) / max(a, b), 0 for who is alone."""
    found = []
    for i in range(len(x)):
        apart = np.sqrt(((x - x[i]) ** 2).sum(axis=1))
        own = (labels == labels[i]) & (np.arange(len(x)) != i)
        if not own.any():
            found.append(0.0)
            continue
        others = min(apart[labels == k].mean() for k in set(labels) - {labels[i]})
        found.append((others - apart[own].mean()) / max(others, apart[own].mean()))
    return np.mean(found)


def test_blobs_are_found_and_numbered_as_they_come():
    grouping, silhouettes = regroup(TRAIN, TEST, (5, 2, 3, 4), 0)
    assert grouping.names == ("domain_0", "domain_1", "domain_2")
    np.testing.assert_array_equal(grouping.train, np.repeat([0, 1, 2], [30, 20, 10]))
    assert list(silhouettes) == [2, 3, 4, 5] and max(silhouettes, key=silhouettes.get) == 3
    assert silhouettes[3] == pytest.approx(silhouette(TRAIN, OF), abs=1e-9)


def test_tests_go_to_the_nearest_centroid_of_training():
    grouping, _ = regroup(TRAIN, TEST, (3,), 0)
    centroids = np.array([TRAIN[grouping.train == k].mean(axis=0) for k in range(3)])
    nearest = [min(range(3), key=lambda k: ((t - centroids[k]) ** 2).sum()) for t in TEST]
    np.testing.assert_array_equal(grouping.test, nearest)
    assert grouping.target == tuple(nearest.count(k) / 40 for k in range(3))


def test_tests_have_no_say():
    far = np.full((200, 2), 50.0)
    with_them, silhouettes = regroup(TRAIN, np.concatenate([TEST, far]), (2, 3, 4), 0)
    without, others = regroup(TRAIN, TEST, (2, 3, 4), 0)
    np.testing.assert_array_equal(with_them.train, without.train)
    assert silhouettes == others


def test_the_smallest_of_equals_and_the_ends_of_the_grid():
    pairs = np.array([[0.0], [0.0], [1.0], [1.0]])
    grouping, silhouettes = regroup(pairs, pairs, (1, 2), 0)
    assert silhouettes == {1: 0.0, 2: 1.0} and len(grouping.names) == 2
    lone = np.array([[0.0], [3.0], [7.0]])
    grouping, silhouettes = regroup(lone, lone, (3, 1), 0)
    assert silhouettes == {1: 0.0, 3: 0.0} and grouping.names == ("domain_0",)


def test_one_number_alone_has_no_silhouette():
    grouping, silhouettes = regroup(TRAIN, TEST, (3,), 0)
    assert not silhouettes and len(grouping.names) == 3


def test_the_same_seed_the_same_groups():
    cloud = RANDOM.normal(size=(50, 3))
    one, other = (regroup(cloud, cloud, (4,), 7)[0] for _ in range(2))
    np.testing.assert_array_equal(one.train, other.train)


def test_random_groups_are_even_and_random():
    grouping = random_groups(103, 52, 4, seed=1)
    assert sorted(np.bincount(grouping.train)) == [25, 26, 26, 26]
    assert np.bincount(grouping.test).tolist() == [13, 13, 13, 13]
    assert grouping.target == (0.25,) * 4 and len(grouping.names) == 4
    again, other = (random_groups(103, 52, 4, seed) for seed in (1, 2))
    np.testing.assert_array_equal(grouping.train, again.train)
    agree = np.mean(grouping.train == other.train)
    assert abs(agree - 0.25) < 4 * (0.25 * 0.75 / 103) ** 0.5


@pytest.mark.parametrize(
    ("train", "test", "clusters", "message"),
    [
        (TRAIN, TEST, (3, 61), "clusters = 61: must be from 1 to 60, the number of different tr"),
        (TRAIN, TEST, (0,), "clusters = 0: must be from 1 to 60"),
        (TRAIN, TEST, (), "clusters: no number is given"),
        (np.ones((5, 2)), TEST, (2,), "clusters = 2: must be from 1 to 1, "),
        (np.ones((0, 2)), TEST, (1,), r"training embeddings must be .*: \(0, 2\)"),
        (TRAIN, np.ones((0, 2)), (1,), r"test embeddings must be .*: \(0, 2\)"),
        (np.ones(4), TEST, (1,), r"training embeddings must be .*: \(4,\)"),
        (TRAIN, np.ones((1, 3)), (1,), "embeddings of 2 and of 3 numbers differ"),
        (np.where(OF[:, None] == 2, np.nan, TRAIN), TEST, (2,), "finite: 30 of 60 are not"),
        (TRAIN, np.full((1, 2), np.inf), (2,), "test embeddings must be finite: 1 of 1 are not"),
    ],
)
def test_refusals(train, test, clusters, message):
    with pytest.raises(ValueError, match=message) as refused:
        regroup(train, test, clusters, 0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((4, 9, 5), "clusters = 5: must be from 1 to 4, the number of training examples"),
        ((9, 4, 5), "clusters = 5: must be from 1 to 4, the number of test examples"),
        ((9, 4, 0), "clusters = 0: must be from 1 to 4"),
    ],
)
def test_random_groups_must_have_examples(sizes, message):
    with pytest.raises(ValueError, match=message):
        random_groups(*sizes, seed=0)


def test_a_missing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(
        ImportError, match=r"^needs scikit-learn: pip install 'plateaus\[sklearn\]'"
    ):
        regroup(TRAIN, TEST, (2,), 0)
