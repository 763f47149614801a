"""Records laid out on the grid: scalars, curves, and what has an axis of its own."""

import numpy as np
import pytest
import xarray as xr

from plateaus.fields import INFINITE
from plateaus.report import store, table
from plateaus.variables import ONCE, WINDOWS, Variable

BY_PREFIX = Variable("loss by prefix", axes=("prefix",))
VARIABLES = {
    "train_loss": Variable("training loss", "loss", time=WINDOWS),
    "test_loss": Variable("test loss", "loss"),
    "test_loss_by_prefix": BY_PREFIX,
    "pool_loss_by_prefix": BY_PREFIX,
    "test_loss_by_prefix_of_ridge": BY_PREFIX._replace(time=ONCE),
    "test_loss_of_ridge": Variable("test loss of ridge", time=ONCE),
    "weight_norm_hidden_1": Variable("norm"),
    "status": Variable("what became of the run", time=ONCE, notes={"flag_values": [0, 1, 2]}),
}
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
    return store.assemble(records, SWEEP, 10, 20, {"horizon": 80}, VARIABLES)


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


FALLING = {"data.items": (INFINITE, 4, 64), "data.subset": (1.0, 0.1), "variant": ("b", "a")}


@pytest.fixture
def falling():
    """Results whose swept values do not ascend: each loss tells where it should be."""
    places = np.ndindex(3, 2, 2)
    records = {
        (tuple(values[i] for values, i in zip(FALLING.values(), place, strict=True)), 0): record(n)
        for n, place in enumerate(places)
    }
    attributes = {"horizon": 80, "swept": [*FALLING]}
    return store.assemble(records, FALLING, 10, 20, attributes, VARIABLES)


def test_a_file_has_infinity_as_such_and_numbers_in_order(falling, tmp_path):
    store.save(falling, tmp_path / "results.nc")
    with xr.open_dataset(tmp_path / "results.nc", engine="h5netcdf") as found:
        assert found["data.items"].values.tolist() == [4.0, 64.0, np.inf]
        assert found["data.subset"].values.tolist() == [0.1, 1.0]
        assert found["variant"].values.tolist() == ["b", "a"]  # no numbers
        near = found.sel({"data.subset": 0.2, "data.items": 50}, method="nearest")
        assert near.sel(variant="b").test_loss[0, 0] == 2 * 4 + 1 * 2 + 0
        endless = found.sel({"data.items": np.inf, "data.subset": 1, "variant": "a"})
        assert endless.test_loss[0, 0] == 1


def test_what_is_saved_comes_back_in_the_order_of_the_sweep(falling, tmp_path):
    store.save(falling, tmp_path / "results.nc")
    loaded = store.load(tmp_path / "results.nc")
    assert loaded.identical(falling)
    assert store.readable(loaded).identical(store.readable(falling))
    assert store.ORDER not in loaded.attrs and store.ORDER in store.readable(falling).attrs


def test_units_and_meanings_are_those_declared(dataset):
    assert dataset["test_loss"].attrs == {"units": "loss", "long_name": "test loss"}
    assert dataset["status"].attrs["flag_values"] == [0, 1, 2]


@pytest.mark.parametrize(
    "declared", [{}, VARIABLES | {"test_loss_by_prefix": Variable("without its axis")}]
)
def test_what_is_not_as_declared_is_refused(declared):
    with pytest.raises(ValueError, match="its declaration of"):
        store.assemble({((4,), 0): record(1)}, {"data.items": (4,)}, 10, 20, {}, declared)


def test_settings_whose_axes_differ_in_length_are_padded():
    """Also where what has the longer axis is recorded in one of them only."""
    short = {name: x for name, x in record(1, prefixes=2).items() if "pool" not in name}
    records = {((4,), 0): short, ((INFINITE,), 0): record(2, prefixes=3)}
    found = store.assemble(records, SWEEP, 10, 20, {}, VARIABLES, {"prefix": ["a", "b", "c"]})
    assert found.prefix.values.tolist() == ["a", "b", "c"]
    assert np.isnan(found["test_loss_by_prefix"][0, 0, :, 2]).all()
    shorter = store.assemble(
        {((4,), 0): short}, {"data.items": (4,)}, 10, 20, {}, VARIABLES, {"prefix": ["a"]}
    )
    assert shorter.prefix.values.tolist() == [0, 1]  # names of another number say nothing


def test_a_dimension_is_as_long_as_the_longest_of_any_run():
    """A metric of deep models alone, say, and one of all, along the same axis."""
    one, two = {"status": np.int8(1), "test_a": np.ones((5, 2))}, {"status": np.int8(1)}
    two |= {"test_a": np.ones((5, 3)), "test_b": np.ones((5, 3))}
    three = {"status": np.int8(1), "test_b": np.ones((5, 4))}
    records = {((4,), 0): one, ((4,), 1): two, ((INFINITE,), 0): three}
    own = {name: Variable(name, axes=("place",)) for name in ("test_a", "test_b")}
    own["status"] = VARIABLES["status"]
    found = store.assemble(records, SWEEP, 10, 20, {}, own)
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
        found = store.assemble(records, SWEEP, 10, 20, {"horizon": 80}, VARIABLES)
        has = [deep is one for one in records.values()]
        norms = found["weight_norm_hidden_1"][:, 0]
        assert norms.dims == ("data.items", "eval_step")
        assert np.isfinite(norms).all("eval_step").values.tolist() == has
        np.testing.assert_array_equal(norms[has.index(True)], np.arange(5))
