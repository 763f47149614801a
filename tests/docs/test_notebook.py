"""The notebook runs from a clean kernel, small, and shows what it says it does."""

import json
import re
from pathlib import Path

import pytest

import plateaus

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "experiments" / "colab.ipynb"
PNG = "image/png"

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The cells as run in an empty folder: by their first lines, source and outputs."""
    client = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    place = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(place)}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMOKE", "1")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("XLA_FLAGS")  # those of tests
        client.NotebookClient(notebook, timeout=90, resources=where).execute()
    return place, [cell for cell in notebook.cells if cell.cell_type == "code"]


def told(cells, part):
    """What the only cell with a piece of source printed and showed, as text."""
    (cell,) = [cell for cell in cells if part in cell.source]
    shown = [output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join([output.get("text", "") for output in cell.outputs] + shown)


def pictures(cells, part):
    (cell,) = [cell for cell in cells if part in cell.source]
    return [o["data"] for o in cell.outputs if PNG in o.get("data", {})]


def test_nothing_is_replaced_and_the_device_is_named(cells):
    _, cells = cells
    assert "installed: nothing, all was there" in told(cells, "def repository")
    device = told(cells, "PRECISION = None")
    assert " x CPU: " in device
    bits = [int(n) for n in re.findall(r"(\d+) bits", device)]
    assert len(bits) == 3 and min(bits) > 16  # on a CPU all are float32
    assert "jax_default_matmul_precision: None" in told(cells, "provenance.json")


def test_curves_and_figures_are_shown(cells):
    _, cells = cells
    assert pictures(cells, "result = experiment.run()")  # the losses while it trained
    assert pictures(cells, "losses, restyled")
    assert told(cells, "own_result = ").count("median escape") == 1  # and not by rich, too


def test_results_are_kept_and_found_again(cells):
    place, cells = cells
    assert told(cells, "again = experiment.run()").count("6 of 6 runs are finished") == 1
    (record,) = (place / "plateaus-on-colab" / "runs").glob("sparse_parity*/provenance.json")
    sessions = json.loads(record.read_text(encoding="utf-8"))["sessions"]
    assert [session["runs"] for session in sessions] == [6]


def test_a_task_of_ones_own_learns(cells):
    place, _ = cells
    (runs,) = (place / "plateaus-on-colab" / "runs").glob("own*/runs.csv")
    table = plateaus.open(runs.parent).table
    assert table["task_tilt"].tolist() == [0.0, 0.1, 0.3]
    assert (table["escaped"] == table["runs"]).all()
