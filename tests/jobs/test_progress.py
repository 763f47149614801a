"""The progress display: arithmetic on a false clock, and behaviour on real terminals and pipes."""

import contextlib
import errno
import io
import os
import subprocess
import sys
import threading
import time

import pytest

from plateaus.jobs.pace import Piece
from plateaus.jobs.progress import Progress


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def lines_of(stream):
    return stream.getvalue().splitlines()


def chunk(runs, steps, phase):
    return Piece("a program", runs, steps, phase)


@pytest.fixture(autouse=True)
def no_bar_goes_on():
    before = {*threading.enumerate()}
    yield
    for thread in {*threading.enumerate()} - before:
        thread.join(timeout=10)
        assert not thread.is_alive()  # a bar that is not stopped is drawn ever after


@contextlib.contextmanager
def begun(piece, stream, pieces=1, lanes=1, **given):
    """A display whose every device has begun a chunk."""
    with Progress([piece] * pieces, lanes, stream, **given) as progress:
        for lane in range(lanes):
            progress.begin(lane, piece)
        yield progress


WORK = chunk(96, 250_000, 10_000)


def test_a_plain_line_has_every_part():
    clock, stream = Clock(), io.StringIO()
    with begun(WORK, stream, clock=clock) as progress:
        for seconds in (5.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5):
            clock.now += seconds
            progress.update(0, 960_000, escaped=3)
        assert lines_of(stream) == []  # not yet ten seconds
        clock.now += 0.5
        progress.update(0, 960_000, escaped=1, diverged=2)
        assert lines_of(stream) == [" 44%  1.9e6 run-steps/s  7 s left  escaped 31/96  diverged 2"]
        for _ in range(14):
            clock.now += 0.5
            progress.update(0, 960_000)
        progress.update(0, 0, escaped=60)
    assert lines_of(stream)[1:] == ["100%  1.9e6 run-steps/s  in 17 s  escaped 91/96  diverged 2"]


def test_plain_lines_come_no_faster_than_asked():
    clock, stream = Clock(), io.StringIO()
    with begun(chunk(1, 1000, 1), stream, plain_every=10, clock=clock) as progress:
        for _ in range(50):
            clock.now += 1
            progress.update(0, 1)
        for _ in range(510):
            clock.now += 0.1
            progress.show()  # a line comes when nothing is reported, too
    assert len(lines_of(stream)) == 11
    assert lines_of(stream)[0].startswith("  1%") and lines_of(stream)[-1].startswith("  5%")


def test_the_rate_is_recent_and_knows_neither_compilation_nor_earlier_sessions():
    clock, stream = Clock(), io.StringIO()
    with begun(chunk(1, 20_000, 100), stream, plain_every=0, clock=clock) as progress:
        progress.update(0, 0, resumed=5000)
        clock.now += 100  # compiling
        progress.update(0, 100)
        assert lines_of(stream)[-1] == " 25%  timing the first steps  escaped 0/1  diverged 0"
        clock.now += 1
        progress.update(0, 100)
        assert lines_of(stream)[-1].startswith(" 26%  100 run-steps/s  2 min 28 s left")
        for _ in range(40):
            clock.now += 10
            progress.update(0, 100)
        assert lines_of(stream)[-1].startswith(" 46%  10 run-steps/s  18 min 00 s left")


def test_no_rate_before_there_is_one_and_percent_never_early():
    clock, stream = Clock(), io.StringIO()
    with begun(chunk(1, 1000, 111), stream, 3, plain_every=0, clock=clock) as progress:
        progress.update(0, 0, escaped=2)
        assert lines_of(stream)[-1] == "  0%  compiling  escaped 2/3  diverged 0"
    clock, stream = Clock(), io.StringIO()
    with begun(chunk(1, 1000, 333), stream, plain_every=0, clock=clock) as progress:
        for _ in range(3):
            clock.now += 1
            progress.update(0, 333)
        assert lines_of(stream)[-1].startswith(" 99%")
    with Progress([], 0, stream=stream, clock=clock):
        pass
    assert lines_of(stream)[-1] == "100%  in 0 s  escaped 0/0  diverged 0"


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (59, "59 s"),
        (59.6, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (3661, "1 h 01 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_durations(left, text):
    clock, stream = Clock(), io.StringIO()
    piece = chunk(1, 20 + int(10 * left), 10)
    with begun(piece, stream, plain_every=0, clock=clock) as progress:
        for _ in range(2):
            clock.now += 1
            progress.update(0, 10)
    assert f"  {text} left" in lines_of(stream)[-1]


class Slow(int):
    """A number that lets the other threads in while it is being added."""

    def __radd__(self, other):
        time.sleep(1e-5)
        return int(other) + int(self)


def test_many_threads_lose_no_step():
    stream = io.StringIO()
    with begun(chunk(1, 250, 1), stream, 4, 4) as progress:

        def work(lane):
            for _ in range(50):
                progress.update(lane, Slow(1), escaped=Slow(1), diverged=Slow(1))

        threads = [threading.Thread(target=work, args=(lane,)) for lane in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert lines_of(stream)[-1].startswith(" 20%")
    assert "escaped 200/4  diverged 200" in lines_of(stream)[-1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_and_whole_messages(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    clock, stream = Clock(), Terminal()
    with begun(WORK, stream, clock=clock) as progress:
        assert "compiling" in stream.getvalue()
        for _ in range(11):
            clock.now += 0.5
            progress.update(0, 960_000, escaped=3)
        progress.update(0, 0, diverged=1)
        progress.message("a [bold] word of " + "x" * 200)
    text = stream.getvalue()
    assert "a [bold] word of " + "x" * 200 in text
    for part in ("44%", "1.9e6 run-steps/s", "7 s left", "escaped 33/96", "diverged 1"):
        assert part in text
    assert "\x1b[" in text


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    stream = Terminal()
    with begun(chunk(1, 10, 10), stream) as progress:
        progress.update(0, 10)
    assert "\x1b" not in stream.getvalue() and lines_of(stream)[-1].startswith("100%")


def test_standard_streams_are_given_back_even_after_an_error(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), Progress([WORK], 1, stream=Terminal()):
        raise ZeroDivisionError
    assert (sys.stdout, sys.stderr) == before


class Broken(io.StringIO):
    def __init__(self, error, terminal):
        super().__init__()
        self.error, self.terminal = error, terminal

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error

    def isatty(self):
        return self.terminal


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(errno.EPIPE, "pipe"), ValueError("closed"), OSError(errno.EIO, "gone")],
)
def test_a_broken_stream_makes_it_silent(monkeypatch, error, terminal, capsys):
    monkeypatch.setenv("TERM", "xterm")
    with begun(chunk(1, 10, 5), Broken(error, terminal), plain_every=0) as progress:
        progress.update(0, 5)
        progress.message("nobody hears this")
    assert capsys.readouterr() == ("", "")


def test_a_stream_without_greek_still_gets_the_line():
    raw = io.BytesIO()
    with Progress([WORK], 1, stream=io.TextIOWrapper(raw, "ascii")) as progress:
        progress.message("γ = 0.5")
        assert raw.getvalue() == b"? = 0.5\n"


def test_a_closed_stream_makes_it_silent():
    stream = io.StringIO()
    progress = Progress([WORK], 1, stream=stream, plain_every=0)
    stream.close()
    with progress:
        progress.begin(0, WORK)
        progress.update(0, 960_000)


CODE = """
import sys, time
from plateaus.jobs.progress import Piece, Progress
piece = Piece("a", 4, 4, 1)
with Progress([piece], 1, plain_every=0) as progress:
    progress.begin(0, piece)
    for step in range(4):
        progress.update(0, 4, escaped=1)
        progress.message(f"step {step}")
        print("result", step, flush=True)
        time.sleep(0.15)
assert "rich" in sys.modules or not sys.stderr.isatty()
assert "jax" not in sys.modules
print("end")
"""


def test_a_reader_that_hangs_up_stops_nothing():
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stderr.close()
    assert process.stdout.read().endswith("end\n")
    process.stdout.close()
    assert process.wait() == 0


def test_a_real_terminal_and_stdout_in_a_file():
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE],
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(slave)
    assert process.communicate()[0].splitlines() == [f"result {i}" for i in range(4)] + ["end"]
    assert process.returncode == 0
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(master)
    assert (
        b"step 3" in shown
        and b"escaped 4/4" in shown
        and b"diverged 0" in shown
        and b"Traceback" not in shown
    )
