"""The progress of the runs: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from plateaus.information import Unknown, informative
from plateaus.jobs.pace import Pace, Piece
from plateaus.output import Forgiving

_REDRAWN = 0.2  # seconds: as often as an eye follows, and cheap with a thousand chunks to lay out


class Progress:
    """Show the share done, run-steps per second, time left, and how many runs escaped or diverged.

    A run-step is one optimiser step of one run. The class is thread-safe, and no method raises
    because of its stream: a closed terminal or pipe only makes it silent.

    Args:
      pieces: the chunks of the job, in the order in which they are taken.
      lanes: how many devices take them; a lane is the number of one, from 0.
      stream: a text stream, standard error if None; a bar if it is a terminal.
      plain_every: least seconds between two plain lines; the last one always comes.
      clock: seconds, for tests.

    >>> piece = Piece("a program", runs=2, steps=100, phase=25)
    >>> seconds = iter(range(9)).__next__
    >>> with Progress([piece], 1, sys.stdout, plain_every=0, clock=seconds) as progress:
    ...     progress.begin(0, piece)
    ...     progress.update(0, 50, escaped=1)
    ...     progress.message("a quarter of it")
    ...     progress.update(0, 50)
      0%  compiling  escaped 0/2  diverged 0
     25%  timing the first steps  escaped 1/2  diverged 0
    a quarter of it
     50%  50 run-steps/s  2 s left  escaped 1/2  diverged 0
     50%  50 run-steps/s  1 s left  escaped 1/2  diverged 0
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        lanes: int,
        stream: Any = None,
        plain_every: int | float = 10.0,
        clock: Callable[[], int | float] = time.monotonic,
    ) -> None:
        self._pace = Pace(pieces, lanes)
        self._total = sum(piece.runs * piece.steps for piece in pieces)
        self._runs = sum(piece.runs for piece in pieces)
        self._done = self._escaped = self._diverged = 0
        # sys.stderr as it is now, not as it was at import
        self._stream = Forgiving(sys.stderr if stream is None else stream)
        self._plain_every, self._clock = plain_every, clock
        self._lock = threading.RLock()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        """Start the clock, and the bar on a terminal."""
        self._began = self._shown = self._clock()
        if self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
            self._bar = _bar(self._stream)
            columns = self._columns(self._began)
            self._task = self._bar.add_task("", total=max(self._total, 1), **columns)
            self._bar.update(self._task, completed=self._completed())
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Show the state at the end, whatever it is."""
        with self._lock:
            self._draw(self._clock())
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def begin(self, lane: int, piece: Piece) -> None:
        """Note that a device takes one of the chunks."""
        with self._lock:
            now = self._clock()
            informative(self._pace.begin)(lane, piece, now)
            self._show(now)

    def update(
        self,
        lane: int,
        run_steps: int,
        escaped: int = 0,
        diverged: int = 0,
        resumed: int = 0,
        losses: Any = None,
    ) -> None:
        """Add what a device's chunk has done since the last call; `run_steps` are one phase.

        `escaped` and `diverged` are runs; `resumed`, run-steps of an earlier session, which count
        as done and not towards the rate; `losses`, what a subclass may show: the test losses of
        the chunk's runs at its new evaluations, [run, evaluation].
        """
        with self._lock:
            self._done += run_steps + resumed
            self._escaped += escaped
            self._diverged += diverged
            now = self._clock()
            if resumed:
                informative(self._pace.resume)(lane, resumed)
            if run_steps:
                informative(self._pace.advance)(lane, run_steps, now)
            self._show(now)

    def show(self) -> None:
        """Show how things stand by now, unless that was just done."""
        with self._lock:
            self._show(self._clock())

    def _show(self, now: int | float) -> None:
        if self._bar is None and self._done >= self._total:
            return  # the last line is printed once, at the end
        if now - self._shown >= (self._plain_every if self._bar is None else _REDRAWN):
            self._shown = now
            self._draw(now)

    def _draw(self, now: int | float) -> None:
        columns = self._columns(now)
        if self._bar is None:
            self._print("  ".join(text for text in columns.values() if text))
        else:
            self._bar.update(self._task, completed=self._completed(), **columns)

    def message(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        with self._lock:
            if self._bar is None:
                self._print(line)
            else:
                self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _columns(self, now: int | float) -> dict[str, str]:
        pace = self._rate_and_remaining(now)
        rate, remaining = ("speed not known", "") if isinstance(pace, Unknown) else pace
        return {
            "percent": f"{100 * self._completed() // max(self._total, 1):3d}%",
            "rate": rate,
            "left": remaining,
            "escaped": f"escaped {self._escaped}/{self._runs}",
            "diverged": f"diverged {self._diverged}",
        }

    @informative
    def _rate_and_remaining(self, now: int | float) -> tuple[str, str]:
        """Return in words the speed, or the activity without one, and the remaining time."""
        pace, lanes = self._pace, self._pace.lanes()
        if self._done >= self._total:
            rate = pace.mean_rate()
            took = f"in {duration(now - self._began)}"
            return "" if rate is None else f"{_short(rate)} run-steps/s", took
        rate, seconds = pace.rate(), pace.seconds_left(now)
        remaining = "" if seconds is None else f"{duration(seconds)} left"
        if remaining and pace.guessed():
            remaining = f"about {remaining}"
        if rate is None:
            return "compiling" if pace.compiling() else "timing the first steps", remaining
        devices = f" on {pace.at_work()} of {lanes} devices" if pace.at_work() < lanes else ""
        return f"{_short(rate)} run-steps/s{devices}", remaining

    def _completed(self) -> int:
        return min(self._done, self._total) if self._total else 1

    def _print(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class Quiet(Progress):
    """Show messages only."""

    def __enter__(self) -> Quiet:
        """Start the clock."""
        self._began = self._shown = self._clock()
        return self

    def _draw(self, now: int | float) -> None:
        """Draw nothing."""


def _bar(stream: Forgiving) -> Any:
    from rich import console, progress  # a tenth of a second, and only on a terminal

    texts = ("percent", "rate", "left", "escaped", "diverged")
    return progress.Progress(
        progress.BarColumn(bar_width=10),
        *(progress.TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in texts),
        console=console.Console(file=stream),  # type: ignore[arg-type] # it writes and flushes
        # Other people's lines go above the bar, unless they were on their way to a file.
        redirect_stdout=Forgiving(sys.stdout).isatty(),
    )


def _short(rate: int | float) -> str:
    if rate < 999.5:
        return f"{rate:.3g}"
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def duration(seconds: int | float) -> str:
    """Return a time in words.

    >>> duration(90), duration(3 * 3600)
    ('1 min 30 s', '3 h 00 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )
