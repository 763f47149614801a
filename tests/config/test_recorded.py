"""A run folder as a config; paths of configs; values of JAX in a sweep."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.config import presets
from plateaus.config.schema import ConfigError
from plateaus.config.values import convert
from plateaus.fields import Field
from plateaus.jobs import checkpoint, cli

TINY = [
    *("--config=configs/sparse_parity.py", "--config.steps=40", "--config.batch=4"),
    *("--config.eval_every=20", "--config.log_every=10", "--config.eval_points=16"),
    *("--config.task.dimension=4", "--config.task.relevant_bits=1", "--config.model.width=4"),
    "--config.task.dataset_size=100",
]
PAIR = "--sweep=optim.learning_rate,data.zipf_exponent=.1:.75,.2:.5"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runs(place):
    """The arrays of every finished run of a folder, by its name."""
    found = {}
    for path in (place / "checkpoints" / "finished").glob("*.npz"):
        arrays, meta = checkpoint.read_arrays(path)
        for i, name in enumerate(meta["members"]):
            found[json.dumps(name)] = {n: array[i].tobytes() for n, array in arrays.items()}
    return found


def run(place, *words):
    assert cli.main([*words, f"--workdir={place}"]) == 0
    return runs(place)


def test_one_run_of_a_grid_again_has_its_bits(here):
    swept = "--sweep=data.subset=1,.5", "--sweep=data.zipf_exponent=0,1"
    grid = run(here / "grid", *TINY, *swept, "--seeds=4:7")
    one = run(
        here / "one", *TINY, "--sweep=data.subset=.5", "--sweep=data.zipf_exponent=1", "--seeds=5:6"
    )
    assert len(grid) == 12 and len(one) == 1
    assert one.items() <= grid.items()


def test_a_run_of_a_pair_has_the_record_that_it_has_by_itself(here):
    pairs = run(here / "pairs", *TINY, PAIR, "--seeds=5:7")
    alone = run(
        here / "alone", *TINY, "--config.optim.learning_rate=.1", "--config.data.subset=1",
        "--config.data.zipf_exponent=.75", "--seeds=6:7",
    )  # fmt: skip
    (record,) = alone.values()
    assert len(pairs) == 4 and list(pairs.values()).count(record) == 1
    (name,) = (name for name, arrays in pairs.items() if arrays == record)
    values, seed = json.loads(name)
    assert (values["optim.learning_rate"], values["data.zipf_exponent"], seed) == (0.1, 0.75, 6)


@pytest.mark.parametrize("words", [[PAIR, "--seeds=5:7"], ["--seeds=1"]], ids=["pairs", "swept"])
def test_a_run_folder_is_a_config(words, here, capsys):
    before = run(here / "a", *TINY, *words)
    for name in ("a", "a/config.json", str(here / "a")):
        assert cli.main([f"--config={name}", "--workdir=a"]) == 0
        assert f"nothing to do: all {len(before)} runs are finished" in capsys.readouterr().out
    assert run(here / "b", "--config=a") == before
    for key in ("config", "sweep", "variants", "identity", "name", "title"):
        one, two = (json.loads((here / f / "config.json").read_bytes())[key] for f in "ab")
        assert one == two
    assert cli.main(["--config=a", "--seeds=9:10", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "1 seed (9)" in said and "runs/sparse_parity-zipf-" in said


def test_a_run_folder_of_an_earlier_version_is_a_config(here, capsys):
    folder = presets.REPOSITORY / "tests" / "fixtures" / "run_of_format_2"
    assert cli.main([f"--config={folder}", "--dry-run"]) == 0
    assert "runs/run_of_format_2-" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--config=done:zipf"], ":zipf"),
        (["--config=done", "--scale=paper"], "--scale paper"),
        (["--config=done/config.json", "--smoke"], "--smoke"),
    ],
)
def test_a_run_folder_has_one_plan(words, option, here, capsys):
    (here / "done").mkdir()
    (here / "done" / "config.json").write_text('{"identity": {}, "config": {}}')
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"leave out {option}\n") and said.count("\n") == 1


def test_a_damaged_record_is_one_line(here, capsys):
    (here / "done").mkdir()
    (here / "done" / "config.json").write_text('{"identity": {}, "config": {"a": false}}')
    assert cli.main(["--config=done"]) == 2
    said = capsys.readouterr().err
    assert "done/config.json: is damaged: KeyError: 'sweep'" in said and said.count("\n") == 1


def test_the_home_is_expanded_in_the_name_of_a_config(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    (here / "my.py").touch()
    assert presets.find("~/my.py:zipf") == (here / "my.py", "zipf")
    assert presets.find("~/my.py") == (here / "my.py", None)


def test_a_colon_in_a_path_is_no_preset(here):
    (here / "a:b").mkdir()
    (here / "a:b" / "my.py").touch()
    assert presets.find("a:b/my.py") == (here / "a:b" / "my.py", None)
    assert presets.find("a:b/my.py:zipf") == (here / "a:b" / "my.py", "zipf")
    (here / "my:it.py").touch()
    assert presets.find("my:it.py") == (here / "my:it.py", None)


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "~nobody-of-this-name/my.py", "\udcff"])
def test_names_that_no_file_has_are_one_line(name, capsys):
    assert cli.main([f"--config={name}"]) == 2
    said = capsys.readouterr().err
    assert "no such file under" in said and said.count("\n") == 1


def test_a_current_folder_that_is_gone_is_one_line(here, monkeypatch, capsys):
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    try:
        assert cli.main(["--config=configs/sparse_parity.py"]) == 2
    finally:
        monkeypatch.chdir(here)
    assert "the current folder cannot be used: No such file" in capsys.readouterr().err


RATE = Field(help="a rate", low=0, high=10)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (jnp.logspace(-4, -2, 3), [1e-4, 1e-3, 1e-2]),
        (jnp.array([0.1, 1 / 3]), [0.1, 0.33333334]),
        (jnp.arange(3), [0.0, 1.0, 2.0]),
        (np.linspace(0, 1, 3), [0.0, 0.5, 1.0]),
        (np.array([0.1], np.float32), [float(np.float32(0.1))]),  # as always
    ],
)
def test_values_of_arrays_are_numbers(values, expected):
    assert [convert(float, RATE, value) for value in values] == expected
    assert all(type(convert(float, RATE, value)) is float for value in values)


def test_integers_and_truths_of_arrays():
    assert convert(int, Field(help="n"), jnp.int32(7)) == 7
    assert convert(bool, Field(help="b"), jnp.bool_(True)) is True
    assert convert(bool, Field(help="b"), np.bool_(False)) is False
    with pytest.raises(ValueError, match="must be a number"):
        convert(float, RATE, jnp.ones(2))
    with pytest.raises(ValueError, match="must be"):
        convert(float, RATE, jnp.float32("nan"))


def test_an_array_of_jax_is_a_sweep(here):
    path = presets.REPOSITORY / "experiments" / "configs" / "sparse_parity.py"
    source = path.read_text(encoding="utf-8") + (
        "\n\nimport jax.numpy as jnp\n\n\ndef swept(config):\n"
        '    """Swept."""\n    config.sweep = {"optim.learning_rate": jnp.logspace(-4, -2, 3)}\n'
        "\n\nPRESETS = (*PRESETS, swept)\n"
    )
    (here / "my.py").write_text(source, encoding="utf-8")
    page = presets.load(here / "my.py", "swept", "small", False)
    assert [convert(float, RATE, v) for v in page.sweep["optim.learning_rate"]] == [
        1e-4,
        1e-3,
        1e-2,
    ]
    with pytest.raises(ConfigError, match="no such preset"):
        presets.load(here / "my.py", "swpt", "small", False)
