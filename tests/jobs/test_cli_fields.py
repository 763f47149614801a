"""--fields and --help beside a config print its fields; --version and --quiet."""

import re

import pytest

import plateaus
from plateaus.config.plan import Options
from plateaus.jobs import cli
from plateaus.jobs.progress import Quiet

CONFIG = "--config=configs/sparse_parity.py"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys, *words, code=0):
    assert cli.main(words) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_the_fields_under_a_prefix_have_the_values_of_the_preset(capsys):
    lines = said(capsys, CONFIG, "--fields", "data.z", "--config.data.zipf_over=batches")
    assert lines.splitlines()[0::2] == [
        "data.zipf_over = 'batches'",
        "data.zipf_exponent = 0.0   (swept: 0.0, 0.5, 0.75, 1.0, 1.25, 1.5)",
    ]
    assert "Zipf exponent alpha; a number in [0, 3]; neutral 0.0" in lines


def test_without_a_config_all_tasks_and_models_are_told_of(capsys):
    out = said(capsys, "--fields=model.w")
    titles = re.findall(r"^\S+$", out, re.MULTILINE)
    assert titles == ["model.mlp", "model.dual_encoder", "model.transformer", "model.mamba",
                      "model.hyena"]  # fmt: skip
    assert out.count("model.width = ") == 5


def test_help_beside_a_config_ends_with_its_fields(capsys):
    out = said(capsys, "--help", CONFIG)
    usage, _, fields = out.partition("\nsteps = 50000\n")
    assert usage.startswith("usage: ") and "optim.rate_hidden_1 = 1.0\n" in fields
    assert "steps = 50000" not in said(capsys, "--help")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--fields", "dta."], "there are data., optim., task., model."),
        (["--fields", "data.zipf_exponant", CONFIG], "did you mean data.zipf_exponent?"),
        (["--fields", CONFIG, "--config.data.subset=3"], "data.subset = 3.0: must be in (0, 1]"),
        (["--fields", "--seed=3"], "--seed: no such option; did you mean --seeds?"),
        (["--help", "--config=configs/sparse_party.py"], "did you mean configs/sparse_parity.py?"),
    ],
)
def test_refusals(words, expected, capsys):
    err = said(capsys, *words, code=2)
    assert expected in err and err.count("\n") == 1


def test_the_version_is_that_of_the_package(capsys):
    assert said(capsys, "--version") == f"plateaus {plateaus.__version__}\n"


def test_quiet_prints_nothing_and_shows_no_progress(monkeypatch, capsys):
    how = []

    def execute(plan, options: Options):
        print("a table")
        how.append(options)
        return 0

    monkeypatch.setattr("plateaus.jobs.run.execute", execute)
    assert said(capsys, CONFIG, "--quiet") == ""
    assert said(capsys, CONFIG) == "a table\n"
    assert [options.progress for options in how] == [Quiet, None]


def test_a_quiet_display_passes_messages_on(capsys):
    with Quiet([], 1) as progress:
        progress.update(0, 5)
        progress.message("a checkpoint was passed over")
    assert capsys.readouterr().err == "a checkpoint was passed over\n"
