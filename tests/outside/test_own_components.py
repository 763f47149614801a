"""A task, a model and a mixer of one's own: from a config file, and from an installed package."""

import shutil
import sys
from pathlib import Path

import pytest

from plateaus.build import registry
from plateaus.config.component import Component
from plateaus.config.schema import ConfigError
from plateaus.data.mixers import registry as mixers
from plateaus.extensions import offered
from plateaus.jobs import cli
from plateaus.report import store

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with the author's files, whose registrations end with the test."""
    for name in ("majority.py", "own.py"):
        shutil.copy(HERE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    registries = (registry.TASKS, registry.MODELS, mixers.MIXERS)
    before = [dict(names) for names in registries]
    yield tmp_path
    for names, own in zip(registries, before, strict=True):
        names.clear()
        names.update(own)
    sys.modules.pop("majority", None)


def test_a_task_and_a_model_of_ones_own_train(here, capsys):
    assert cli.main(["--config=own.py", "--workdir=run", "--quiet"]) == 0
    results = store.load(here / "run" / "results.nc")
    assert results["test_loss"].dims[:2] == ("task.flips", "seed")
    losses = results["test_loss"].mean("seed").values
    assert losses.shape == (2, 5) and (losses[:, -1] < 0.7).all()  # from about 1


def test_their_fields_are_checked_as_any_other(capsys):
    words = ["--config.task.signs=4", "--config.model.scale=99", "--config.task.flip=0.1"]
    assert cli.main(["--config=own.py", *words]) == 2
    err = capsys.readouterr().err
    assert "model.scale = 99.0: must be in [0.0, 10.0]" in err
    assert "task.flip = '0.1': no such field; did you mean task.flips?" in err
    assert cli.main(["--config=own.py", "--config.task.signs=4"]) == 2
    assert "task.signs = 4: must be odd" in capsys.readouterr().err
    assert cli.main(["--config=own.py", "--config.task.name=majorty"]) == 2
    assert "did you mean majority?" in capsys.readouterr().err


def test_their_fields_are_told_of(capsys):
    assert cli.main(["--config=own.py", "--fields", "task.f"]) == 0
    assert "share of labels that are flipped; a number in [0, 0.5]" in capsys.readouterr().out


def test_a_mixer_of_ones_own_has_its_knobs(capsys):
    mixed = cli.planned(cli.parse(["--config=own.py:mixed"]))[0]
    assert mixed.sweep == {"data.loudest_heat": (0.0, 2.0)}
    assert cli.main(["--config=own.py:mixed", "--config.data.mixer=lowdest"]) == 2
    assert "did you mean loudest?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("TASKS['majority'] = majority.majority", "is registered as the function majority; must"),
        ("TASKS['majority'] = majority.TASK._replace(spec=dict)", "must be a frozen dataclass"),
        ("TASKS['majority'] = majority.TASK._replace(knobs=dict)", "must be a NamedTuple class"),
        ("TASKS['majority'] = majority.TASK._replace(inputs='x')", "must be vector | tokens"),
        ("TASKS['majority'] = majority.TASK._replace(check=1)", "must be a function, is an int"),
        ("MODELS['linear'] = majority.MODEL._replace(layers=None)", "must be a function, is None"),
    ],
)
def test_what_is_no_component_is_refused_in_a_line(here, line, message, capsys):
    with (here / "own.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{line}\n")
    assert cli.main(["--config=own.py"]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def installed(folder, text):
    """Make a package of the folder, with entry points, as pip would."""
    place = folder / "majority_of_signs-1.0.dist-info"
    place.mkdir()
    metadata = "Metadata-Version: 2.1\nName: majority-of-signs\nVersion: 1.0\n"
    (place / "METADATA").write_text(metadata, encoding="utf-8")
    (place / "entry_points.txt").write_text(f"[plateaus.tasks]\n{text}\n", encoding="utf-8")


def test_an_installed_package_offers_a_task(here):
    installed(here, "most = majority:TASK")
    found = offered("plateaus.tasks", Component, registry.TASKS)
    assert [*found] == ["most"] and found["most"].make.__name__ == "majority"
    assert offered("plateaus.models", Component, registry.MODELS) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("most = majority:TSK", "cannot be imported: AttributeError"),
        ("most = minority:TASK", "cannot be imported: ModuleNotFoundError"),
        ("most = majority:majority", "must be a Component, is the function majority"),
        ("facts = majority:TASK", "there is another of this name"),
    ],
)
def test_what_a_package_offers_wrongly_is_refused_by_its_name(here, text, message):
    installed(here, text)
    with pytest.raises(ConfigError) as refused:
        offered("plateaus.tasks", Component, registry.TASKS)
    (line,) = refused.value.problems
    assert line.startswith("majority-of-signs: entry point plateaus.tasks: ") and message in line
