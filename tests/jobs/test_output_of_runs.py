"""What a command prints costs neither a run nor a table: bad encodings, closed and full streams."""

import errno
import io
import os
import re
import subprocess
import sys

import pytest

from plateaus.config import presets
from plateaus.jobs import cli

pytestmark = pytest.mark.versions

CONFIG = "--config=configs/sparse_parity.py"
TINY = [
    *(CONFIG, "--seeds=1", "--sweep", "data.zipf_exponent=0,1", "--config.steps=40"),
    *("--config.batch=4", "--config.eval_every=20", "--config.log_every=10"),
    *("--config.eval_points=16", "--config.task.dimension=4", "--config.task.relevant_bits=1"),
    *("--config.task.dataset_size=100", "--config.model.width=4"),
]


def command(place, redirections, **environment):
    """A whole command of its own, as a user gives it to a shell."""
    shell = f'{{ "$@" --workdir "$PLACE"; echo $? >"$PLACE.code"; }} {redirections}'
    script = presets.REPOSITORY / "experiments" / "run.py"
    return subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, str(script), *TINY],
        env=os.environ | {"PLACE": str(place)} | environment,
        capture_output=True,
        check=False,
    )


def whole(place):
    files = {"results.nc", "summary.csv", "figures", "tensorboard", "config.json"}
    return place.with_suffix(".code").read_text("utf-8") == "0\n" and files <= set(
        os.listdir(place)
    )


def test_a_table_is_printed_in_ascii(tmp_path):
    done = command(tmp_path / "run", "", PYTHONIOENCODING="ascii")
    assert whole(tmp_path / "run"), done.stderr
    assert "------" in done.stdout.decode("ascii") and b"2 runs in " in done.stdout


@pytest.mark.parametrize("redirections", ["| head -1", ">&- 2>&-"])
def test_nobody_listens_and_all_is_there(redirections, tmp_path):
    done = command(tmp_path / "run", redirections)
    assert whole(tmp_path / "run"), done.stderr
    assert done.stdout.count(b"\n") == ("head" in redirections)
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


class Stream(io.TextIOWrapper):
    """A stream in ASCII, on what fails as it is asked to."""

    def __init__(self, error):
        super().__init__(io.BytesIO(), encoding="ascii")
        self.error = error

    def write(self, text):
        if self.error:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["--list"], 0),
        ([f"{CONFIG}", "--list"], 0),
        ([*TINY, "--dry-run", "--config.data.zipf_exponent=1"], 2),
        ([*TINY, "--dry-run"], 0),
        (["--config=é─.py"], 2),
        (["--é"], 2),
    ],
    ids=lambda words: " ".join(words)[-20:] if isinstance(words, list) else str(words),
)
@pytest.mark.parametrize(
    "error",
    [
        None,
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EIO, "gone"),
        BrokenPipeError(),
        ValueError(),
    ],
    ids=["ascii", "full", "gone", "pipe", "closed"],
)
def test_every_answer_has_its_code(words, code, error, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    path = presets.REPOSITORY / "experiments" / "configs" / "sparse_parity.py"
    source, titles = re.subn(r'(def .*\n    """)', r"\1λ ─ ", path.read_text(encoding="utf-8"))
    (tmp_path / "configs" / path.name).write_text(source, encoding="utf-8")
    assert titles > 5
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Stream(error))
        patch.setattr(sys, "stderr", Stream(error))
        assert cli.main(words) == code
