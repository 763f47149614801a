"""Output that cannot fail: encodings, closed and broken streams, full disks, and what is said."""

import contextlib
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plateaus import output
from plateaus.config.exit_codes import with_exit_code
from plateaus.config.schema import ConfigError

pytestmark = pytest.mark.versions

LINE = "λ = ½ ─── Adām ≥ 2 \udcff"  # the last as in the name of a file that is no text
COMMAND = f"""
import contextlib, os, sys
from plateaus.config.exit_codes import with_exit_code

@with_exit_code
def main():
    with open(sys.argv[1], "w") as opened:  # takes the lowest number that is free
        for i in range(3000):
            print({LINE!a})
            print({LINE!a}, file=sys.stderr)
        for number in (1, 2):
            with contextlib.suppress(OSError):
                os.write(number, b"as a library does")
        opened.write("whole")
    return 7

sys.exit(main())
"""


def command(path, redirections="", **environment):
    """The ended process of a command that prints much, under a shell's redirections."""
    process = subprocess.run(
        [
            "sh",
            "-c",
            f'{{ "$PYTHON" -c "$COMMAND" "$FILE"; echo $? >"$FILE.code"; }} {redirections}',
        ],
        env=os.environ
        | {"PYTHON": sys.executable, "COMMAND": COMMAND, "FILE": str(path)}
        | environment,
        capture_output=True,
        check=False,
    )
    code = Path(f"{path}.code").read_text(encoding="utf-8")
    assert (code, path.read_bytes()) == ("7\n", b"whole"), process.stderr
    return process


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "utf-8", "cp437", "koi8-r"])
def test_any_encoding_takes_every_line(encoding, tmp_path):
    process = command(tmp_path / "file", PYTHONIOENCODING=encoding)
    lines = process.stdout.decode(encoding).splitlines()
    assert len(lines) == 3001 and all("1/2" in one or "½" in one for one in lines[:-1])
    assert len(process.stderr.splitlines()) == 3001  # which Python itself writes as \\u2500


def test_a_locale_of_ascii_takes_every_line(tmp_path):
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    process = command(tmp_path / "file", PYTHONIOENCODING=":strict", **plain)
    assert process.stdout.decode("ascii").count("? = 1/2 --- Adam >= 2 ?\n") == 3000


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams_stop_nothing_and_no_file_takes_their_numbers(redirections, tmp_path):
    command(tmp_path / "file", redirections)


@pytest.mark.parametrize("pipe", ["| head -1", "2>&1 | head -1"])
def test_a_reader_that_has_enough_stops_nothing_and_hears_nothing(pipe, tmp_path):
    process = command(tmp_path / "file", pipe)
    assert process.stdout.count(b"\n") == 1
    assert b"Traceback" not in process.stderr and b"Exception" not in process.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_under_the_output_is_said_in_a_line(tmp_path):
    process = command(tmp_path / "file", ">/dev/full", PYTHONIOENCODING="utf-8:replace")
    said = process.stderr.decode().splitlines()
    assert (
        said[-1]
        == "as a library doeswarning: standard output was not written: No space left on device"
    )
    assert len(said) == 3001


def test_a_pipe_that_does_not_wait_takes_every_line(tmp_path):
    """As a program that shares the pipe may have set it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path / "file")],
        stdout=writing,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    os.close(writing)
    with open(reading, "rb") as pipe:
        content = pipe.read()
    assert process.wait() == 7 and content.count(b"\n") == 3000


class Broken(io.StringIO):
    """A stream whose every write fails."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, _):
        raise self.error

    def flush(self):
        raise self.error


def test_a_reader_that_went_away_costs_no_descriptor():
    numbers = os.listdir("/dev/fd")
    stream = output.Forgiving(Broken(BrokenPipeError()))  # in memory, as in a notebook
    for _ in range(3):
        stream.write("a")
    assert os.listdir("/dev/fd") == numbers


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "the terminal is gone"), BrokenPipeError(), ValueError("closed")]
)
def test_refusals_and_interrupts_keep_their_codes(error, monkeypatch):
    def refuse():
        raise ConfigError("a: b")

    def interrupt():
        raise KeyboardInterrupt

    def fail():
        raise OSError(errno.EACCES, "Permission denied", "a")

    commands = (refuse, 2), (interrupt, 130), (fail, 1), (lambda: print("c") or 0, 0)
    for command, code in commands:
        with monkeypatch.context() as patch:
            for name in ("stdout", "stderr"):
                patch.setattr(sys, name, Broken(error))
            assert with_exit_code(command)() == code


def test_what_the_file_system_refuses_is_one_line(tmp_path, capsys):
    @with_exit_code
    def read():
        return len((tmp_path / "none").read_bytes())

    assert read() == 1
    said = capsys.readouterr().err
    assert said == f"error: [Errno 2] No such file or directory: '{tmp_path}/none'\n"


def test_the_streams_are_given_back_also_after_an_error():
    before = sys.stdout, sys.stderr
    with contextlib.suppress(ZeroDivisionError), output.forgiving():
        assert sys.stdout is not before[0]
        raise ZeroDivisionError
    assert (sys.stdout, sys.stderr) == before


def test_what_fits_stays_as_it_is():
    # the letters of a ligature fit where it does not
    assert output.representable("é─λ", "utf-8") == "é─λ"
    assert output.representable("ﬁ … “a” − ± ∞", "cp1252") == "fi … “a” - ± inf"
