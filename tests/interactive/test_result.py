"""What is there: arrays, tables and figures of one folder, and of several."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

import plateaus
from plateaus import report
from plateaus.interactive import Refused
from plateaus.paths import distinct

KEPT = Path(__file__).parents[2] / "experiments" / "results"
WITHOUT_JAX = """
import sys, plateaus
plateaus.open(sys.argv[1]).plot(), plateaus.open(*sys.argv[1:]).table
print(*{"jax", "flax", "optax"} & set(sys.modules))
"""


@pytest.fixture(scope="module")
def kept():
    return sorted(path for path in KEPT.glob("sparse_parity-*") if (path / "runs.csv").exists())[:2]


def test_data_are_the_file(made):
    with xr.open_dataset(made.result.folder / "results.nc", engine="h5netcdf") as there:
        assert made.result.data.identical(there.load())
    assert made.result.data["data.zipf_exponent"].values.tolist() == [0.0, 1.5]  # ascending


def test_names_without_dots(made):
    found = made.result.data.plateaus.plain
    one = found.sel(data_zipf_exponent=1.4, method="nearest").test_loss.values
    assert np.array_equal(one, made.result.data.test_loss.sel({"data.zipf_exponent": 1.5}).values)
    assert made.result.table.query("data_zipf_exponent == 1.5").runs.item() == 2
    assert sorted(made.result.runs.query("data_zipf_exponent == 0").seed) == [0, 1]


def test_the_table_is_summary_csv(made):
    rows = report.summarise(report.load(made.result.folder / "results.nc"))
    table = made.result.table
    assert table.data_zipf_exponent.tolist() == [1.5, 0.0]  # the order of the sweep
    assert table.escaped.tolist() == [row.escaped for row in rows]
    for value, row in zip(table.escape_step_median, rows, strict=True):
        assert math.isclose(value, row.escape.value)
    assert list(made.result.tables) == ["summary"]
    assert len(made.result.runs) == 4 and (made.result.runs.seconds > 0).all()


def test_figures_are_drawn_once_and_can_be_restyled(made):
    figure = made.result.plot()
    figure.axes[0].set_title("mine")
    assert isinstance(figure, Figure) and made.result.figures["plateau"] is figure
    assert {"plateau", "learning_curves"} <= {*made.result.figures}
    with pytest.raises(KeyError, match=r"did you mean plateau\?"):
        made.result.plot("platau")
    with pytest.raises(KeyError, match="nothing to show in transfer"):
        made.result.plot("transfer")


def test_it_shows_the_table_of_the_command(made):
    text, page = repr(made.result), made.result._repr_html_()
    assert "median escape" in text and str(made.result.folder) in text
    assert "median escape" in page and 'src="data:image/png;base64,iVBOR' in page


def test_a_kept_folder_opens_and_needs_no_jax(kept, made):
    first = plateaus.open(kept[0])
    assert first.title and first.table.runs.sum() == (first.runs.task == "").sum()
    command = [sys.executable, "-c", WITHOUT_JAX, str(kept[0]), str(made.result.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_copy_of_the_file_alone_opens(made, tmp_path):
    shutil.copy(made.result.folder / "results.nc", tmp_path / "mine.nc")
    alone = plateaus.open(tmp_path / "mine.nc")
    assert alone.data.identical(made.result.data) and alone.folder == tmp_path
    without = alone.runs.drop(columns="seconds")
    assert without.equals(made.result.runs.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("prepare", "line"),
    [
        (lambda place: None, "no such folder; did you mean"),
        (lambda place: place.mkdir(), "no results.nc or runs.csv and curves.csv.gz there"),
        (lambda place: (place.mkdir(), (place / "config.json").touch()), "runs are under way"),
        (lambda place: (place.mkdir(), (place / "results.nc").write_text("x")), "damaged: "),
        (lambda place: xr.Dataset().to_netcdf(place, engine="h5netcdf"), "holds no results"),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line(tmp_path, prepare, line):
    (tmp_path / "runs_of_mine").mkdir()
    prepare(tmp_path / "run_of_mine")
    with pytest.raises(Refused, match=line) as caught:
        plateaus.open(tmp_path / "run_of_mine")
    assert len(caught.value.problems) == 1 and "\n" not in str(caught.value)


def test_several_folders_are_one_table_and_one_figure(made, kept):
    several = plateaus.open(made.result.folder, kept[0], kept[1])
    assert len(several) == 3 and several[0].folder == made.result.folder
    assert several.table.run.value_counts().to_dict() == {
        name: len(one.table) for name, one in zip(several.names, several, strict=True)
    }
    mine = several.table[several.table.run == several.names[0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        mine[made.result.table.columns], made.result.table, check_dtype=False
    )
    assert len(several.runs) == sum(len(one.runs) for one in several)
    fields = {
        name.replace(".", "_") for one in several for name in json.loads(one.data.attrs["swept"])
    }
    assert {*several.table.columns[1 : 1 + len(fields)]} == fields
    assert all(name in repr(several) for name in several.names)
    figure = several.plot()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == len(several.table)
    loss, survival = figure.axes
    assert loss.get_xscale() == "log" and len(survival.lines) >= len(labels)
    for row, line in zip(made.result.rows, loss.lines, strict=False):
        steps = line.get_xdata()
        assert row.horizon == steps[-1] == 400


def test_names_of_folders_are_as_short_as_tells_them_apart():
    assert distinct([Path("x/one"), Path("x/one")]) == ["one", "one (2)"]
