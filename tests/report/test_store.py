"""Records laid out on the grid: scalars, curves, and what has an axis of its own."""

import numpy as np
import pytest

from plateaus.fields import INFINITE
from plateaus.report import store, table


def axes(name):
    return ("prefix",) if "loss_by_prefix" in name else ()


SWEEP = {"data.items": (4, INFINITE)}


def record(number, prefixes=3, evaluations=5):
    """One run: every entry of every variable tells where it should be."""
    curve = number + np.arange(evaluations, dtype=np.float32)
    vector = 100 * number + np.arange(evaluations * prefixes, dtype=np.float32)
    return {
        "train_loss": np.full(8, number, np.float32),
        "test_loss": curve,
        "test_loss_by_prefix": vector.reshape(evaluations, prefixes),
        "pool_loss_by_prefix": -vector.reshape(evaluations, prefixes),
        "test_loss_by_prefix_of_ridge": vector[:prefixes],
        "test_loss_of_ridge": np.float32(number),
        "status": np.int8(1),
    }


@pytest.fixture
def dataset():
    records = {((4,), 0): record(1), ((INFINITE,), 0): record(2), ((INFINITE,), 1): record(3)}
    return store.assemble(records, SWEEP, 10, 20, {"horizon": 80}, axes)


def test_vectors_have_a_dimension_of_their_own(dataset):
    grid = ("data.items", "seed")
    assert dataset["test_loss_by_prefix"].dims == (*grid, "eval_step", "prefix")
    assert dataset["pool_loss_by_prefix"].dims == (*grid, "eval_step", "prefix")
    assert dataset["test_loss_by_prefix_of_ridge"].dims == (*grid, "prefix")
    assert dataset["test_loss"].dims == (*grid, "eval_step")
    assert dataset["train_loss"].dims == (*grid, "step")
    assert dataset["test_loss_of_ridge"].dims == grid
    assert dataset.prefix.values.tolist() == [0, 1, 2]
    assert dataset.eval_step.values.tolist() == [0, 20, 40, 60, 80]
    assert dataset.step.values.tolist() == list(range(10, 81, 10))


def test_every_number_is_in_its_place_and_cells_without_a_run_are_nan(dataset):
    for (value, seed), number in {(4, 0): 1, (INFINITE, 0): 2, (INFINITE, 1): 3}.items():
        cell = dataset.sel({"data.items": value, "seed": seed})
        for name, wanted in record(number).items():
            np.testing.assert_array_equal(cell[name], wanted)
    empty = dataset.sel({"data.items": 4, "seed": 1})
    assert empty.status == store.NOT_RUN
    assert all(np.isnan(empty[name]).all() for name in record(1) if name != "status")


def test_vectors_come_back_from_disk(dataset, tmp_path):
    store.save(dataset, tmp_path / "results.nc")
    loaded = store.load(tmp_path / "results.nc")
    assert loaded.identical(dataset)
    assert loaded["data.items"].values.tolist() == [4, INFINITE]


def test_without_axes_a_matrix_is_refused():
    with pytest.raises((ValueError, AssertionError)):
        store.assemble({((4,), 0): record(1)}, {"data.items": (4,)}, 10, 20, {})


def test_a_dimension_is_as_long_as_the_longest_of_any_run():
    """A metric of deep models alone, say, and one of all, along the same axis."""
    one, two = {"status": np.int8(1), "test_a": np.ones((5, 2))}, {"status": np.int8(1)}
    two |= {"test_a": np.ones((5, 3)), "test_b": np.ones((5, 3))}
    three = {"status": np.int8(1), "test_b": np.ones((5, 4))}
    records = {((4,), 0): one, ((4,), 1): two, ((INFINITE,), 0): three}
    own = {"test_a": ("place",), "test_b": ("place",)}
    found = store.assemble(records, SWEEP, 10, 20, {}, lambda name: own.get(name, ()))
    assert found.sizes["place"] == 4
    there = found["test_a"].notnull().any("eval_step").sel({"data.items": 4})
    assert there.values.tolist() == [[True, True, False, False], [True, True, True, False]]


def test_infinity_is_told_as_inf():
    assert table.value_text(INFINITE) == "inf"
    assert table.value_text(np.int64(INFINITE).item()) == "inf"
    assert [table.value_text(n) for n in (INFINITE - 1, 64, float(INFINITE))] == [
        *("2147483645", "64", "2147483646.0")
    ]
    assert table.label({"data.items": INFINITE}) == "data.items=inf"


def test_what_only_some_runs_have_is_nan_in_the_others():
    """A layer's norm, say, where the depth is swept."""
    deep = {**record(2), "weight_norm_hidden_1": np.arange(5, dtype=np.float32)}
    for records in (
        {((4,), 0): record(1), ((INFINITE,), 0): deep},
        {((4,), 0): deep, ((INFINITE,), 0): record(1)},
    ):
        found = store.assemble(records, SWEEP, 10, 20, {"horizon": 80}, axes)
        has = [deep is one for one in records.values()]
        norms = found["weight_norm_hidden_1"][:, 0]
        assert norms.dims == ("data.items", "eval_step")
        assert np.isfinite(norms).all("eval_step").values.tolist() == has
        np.testing.assert_array_equal(norms[has.index(True)], np.arange(5))
