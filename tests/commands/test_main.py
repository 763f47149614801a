"""The command `plateaus`: which program answers, what a wrong word gets, and how soon."""

import os
import subprocess
import sys

import pytest

from plateaus import paths
from plateaus.commands import info
from plateaus.commands.main import COMMANDS, main
from plateaus.config import presets
from plateaus.jobs import cli


def test_help_names_every_command(capsys):
    for words in ([], ["--help"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        assert all(f"\n  {name} " in out for name in COMMANDS) and out.startswith("usage: plateaus")


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"run", "real_models"}))
def test_the_help_of_a_command_calls_it_by_its_name(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: plateaus {name} ")


@pytest.mark.parametrize("name", ["run", "real_models"])
def test_the_same_of_programs_with_a_help_of_their_own(name, capsys):
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: plateaus {name} ") and f"\n  plateaus {name} " in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rum"], "rum: no such command; did you mean run?"),
        (["zzz"], "zzz: no such command (known: info, list, run"),
        (["--verson"], "--verson: no such option"),
        (["run"], "no --config given"),
        (["list", "configs/sparse_party.py"], "did you mean configs/sparse_parity.py?"),
        (["list", "--al"], "--al: no such option"),
        (["info", "--all"], "--all: no such option"),
        (["watch"], "required: RUN"),
        (["watch", "nowhere"], "nowhere: no run folder"),
        (["watch", "nowhere", "--onc"], "--onc: no such option; did you mean --once?"),
        (["compare", "nowhere"], "nowhere: no such folder"),
        (["report", "nowhere", "--ouput=x"], "did you mean --output?"),
        (["claim", "--clam=1.1"], "did you mean --claim?"),
        (["real_models"], "no DIR given"),
        (["wandb", "nowhere", "--projct=x"], "did you mean --project?"),
    ],
)
def test_refusals(words, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and expected in err and err.count("\n") == 1


def test_run_is_the_program_of_the_script(monkeypatch):
    seen = []
    monkeypatch.setattr(cli, "main", lambda words, program: seen.append((words, program)) or 7)
    assert main(["run", "--smoke", "--seeds=3"]) == 7
    assert seen == [(["--smoke", "--seeds=3"], "plateaus run")]


def test_list_prints_what_the_option_prints(capsys):
    assert main(["list", "configs/facts.py"]) == 0
    of_command = capsys.readouterr().out
    assert cli.main(["--list", "--config=configs/facts.py"]) == 0
    assert capsys.readouterr().out == of_command and of_command.startswith("configs/facts.py\n")


def test_info_says_what_is_here(capsys):
    import jax

    assert main(["info"]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert facts["jax"] == jax.__version__ and "cpu" in facts["device"]
    assert facts["float32"].startswith("products of matrices keep all 23 bits")
    assert facts["presets"] == str(paths.experiments() / "configs")


def test_fewer_bits_are_seen(monkeypatch):
    """A product in bfloat16, as a TPU has it by default, keeps 7 bits of a factor's fraction."""
    import jax.numpy as jnp

    exact = jnp.matmul

    def rounded(a, b):
        product = exact(
            a.astype("bfloat16"), b.astype("bfloat16"), preferred_element_type="float32"
        )
        return product.astype("float32")

    monkeypatch.setattr(jnp, "matmul", rounded)
    assert info.kept_bits() == 7
    assert "7 of 23 bits; JAX_DEFAULT_MATMUL_PRECISION=highest" in info.float32(7)


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--help"], 0), (["--version"], 0), (["list"], 0), (["rum"], 2), (["watch", "nowhere"], 2)],
)
def test_an_answer_that_needs_no_jax_imports_none(words, code):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "plateaus", *words],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(presets.REPOSITORY)},
    )
    assert done.returncode == code and "Traceback" not in done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "plateaus.commands.main" in imported and not imported & {
        "jax",
        "flax",
        "numpy",
        "xarray",
    }
