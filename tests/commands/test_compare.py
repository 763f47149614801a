"""`plateaus compare` sets the settings of several run folders side by side."""

import shutil

from plateaus import paths
from plateaus.commands.main import main
from plateaus.report.page import folders

KEPT = sorted((paths.experiments() / "results").glob("sparse_parity-zipf-*"))


def test_every_setting_of_every_folder_has_a_line(capsys, tmp_path):
    (kept,) = KEPT
    other = shutil.copytree(kept, tmp_path / kept.name)
    assert main(["compare", str(kept), str(other)]) == 0
    out = capsys.readouterr().out
    rows = folders.read(kept).rows
    for row in rows:
        name = f"data.zipf_exponent={row.setting['data.zipf_exponent']:g} "
        assert out.count(name) == 2 and f"{row.escaped}/{row.runs}" in out
    assert f"results/{kept.name}" in out and f"{tmp_path.name}/{kept.name}" in out
    assert "not tested against each other" in out


def test_a_folder_that_holds_no_runs_is_refused(capsys, tmp_path):
    assert main(["compare", str(KEPT[0]), str(tmp_path)]) == 2
    assert "no run folder: it has no runs.csv" in capsys.readouterr().err
