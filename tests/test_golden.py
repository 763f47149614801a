"""The golden comparison sees a changed bit, a type, a table and a missing figure."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

FILE = Path(__file__).parents[1] / "experiments" / "golden.py"


@pytest.fixture(scope="module")
def golden():
    spec = importlib.util.spec_from_file_location("golden", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def folder(place, loss, text="escape\n1\n", figure="plateau.png"):
    """A run folder as the comparison looks at it."""
    (place / "figures").mkdir(parents=True)
    (place / "figures" / figure).write_bytes(b"")
    (place / "summary.csv").write_text(text)
    xr.Dataset({"loss": ("seed", loss)}).to_netcdf(place / "results.nc", engine="h5netcdf")
    return place


LOSS = np.array([1.0, np.nan], np.float32)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, None),
        ({"loss": np.nextafter(LOSS, np.float32(2))}, "loss: other values"),
        ({"loss": LOSS.astype(np.float64)}, "loss: was ('seed',) float32, is ('seed',) float64"),
        ({"text": "escape\n2\n"}, "summary.csv: another table"),
        ({"figure": "forest.png"}, "figures/forest.png: drawn in one only"),
    ],
)
def test_what_differs_is_a_line(golden, changed, line, tmp_path):
    before = folder(tmp_path / "before", LOSS)
    after = folder(tmp_path / "after", **{"loss": LOSS, **changed})
    lines = golden.differences(before, after)
    assert not lines if line is None else line in lines


def test_presets_are_one_a_file_or_all(golden):
    some, every = golden.presets(every=False), golden.presets(every=True)
    assert set(some) < set(every) and len(every) > 60
    assert len({name.split(":")[0] for name in every}) == len(some)
