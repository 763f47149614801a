"""How far the runs are: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_WINDOW = 30.0  # seconds over which the rate is taken


class _Forgiving:
    """A stream whose reader may go away, or which may be closed: writing is never an error."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode("ascii", "replace").decode())
            except BrokenPipeError:
                self._hang_up()
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            try:
                self._stream.flush()
            except BrokenPipeError:
                self._hang_up()

    def _hang_up(self) -> None:
        """Lead the stream nowhere: what is left in its buffer would fail again at exit, as 120."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return bool(self._stream.isatty())
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Progress:
    """Show the share done, run-steps per second, time left, and how many runs escaped or diverged.

    A run-step is one optimiser step of one run. Thread-safe. Nothing it does raises because of its
    stream: a closed terminal or pipe only makes it silent.

    Args:
      total_run_steps: of the whole job, those done before included.
      runs: in the job, for "escaped 31/96".
      done: run-steps done before (a resumed job); they do not count towards the rate.
      stream: a text stream, standard error if None; a bar if it is a terminal.
      plain_every: least seconds between two plain lines; the last one always comes.
      clock: seconds, for tests.

    >>> with Progress(200, runs=2, stream=sys.stdout, clock=iter(range(9)).__next__) as progress:
    ...     progress.update(100, escaped=1)
    ...     progress.message("half of it")
    half of it
     50%  100 run-steps/s  1 s left  escaped 1/2  diverged 0
    """

    def __init__(
        self,
        total_run_steps: int,
        runs: int,
        done: int = 0,
        stream: Any = None,
        plain_every: int | float = 10.0,
        clock: Callable[[], int | float] = time.monotonic,
    ) -> None:
        self._total, self._runs, self._done = total_run_steps, runs, done
        self._escaped = self._diverged = 0
        # sys.stderr as it is now, not as it was at import
        self._stream = _Forgiving(sys.stderr if stream is None else stream)
        self._plain_every, self._clock = plain_every, clock
        self._lock = threading.RLock()
        self._first = done
        self._samples: collections.deque[tuple[int | float, int]] = collections.deque()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        """Start the clock, and the bar on a terminal."""
        self._began = self._printed = self._clock()
        self._samples.append((self._began, self._done))
        if self._stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
            self._bar = _bar(self._stream)
            self._task = self._bar.add_task("", total=max(self._total, 1), **self._columns())
            self._bar.update(self._task, completed=self._completed())
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Show the state at the end, whatever it is."""
        with self._lock:
            if self._bar is None:
                self._print(self._line())
            else:
                self._refresh()
                self._bar.stop()
                self._bar = None

    def update(self, run_steps: int, escaped: int = 0, diverged: int = 0) -> None:
        """Add to what is done: run-steps, and runs that escaped or diverged since the last call."""
        with self._lock:
            self._done += run_steps
            self._escaped += escaped
            self._diverged += diverged
            now = self._clock()
            if run_steps:
                self._sample(now)
            if self._bar is not None:
                self._refresh()
            elif now - self._printed >= self._plain_every:
                self._printed = now
                self._print(self._line())

    def resume(self, run_steps: int) -> None:
        """Add run-steps done in an earlier session: they count as done, not towards the rate."""
        with self._lock:
            self._done += run_steps
            self._first += run_steps
            moved = [(when, done + run_steps) for when, done in self._samples]
            self._samples = collections.deque(moved)

    def message(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        with self._lock:
            if self._bar is None:
                self._print(line)
            else:
                self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _sample(self, now: int | float) -> None:
        self._samples.append((now, self._done))
        # The first interval holds the compilation: forget it as soon as there is another.
        stale = len(self._samples) > 2 and self._samples[0][1] == self._first
        while stale or (len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW):
            self._samples.popleft()
            stale = False

    def _rate(self) -> int | float | None:
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end > start and after > before else None

    def _columns(self) -> dict[str, str]:
        rate = self._rate()
        left = max(self._total - self._done, 0)
        return {
            "percent": f"{100 * self._completed() // max(self._total, 1):3d}%",
            "rate": "- run-steps/s" if rate is None else f"{_short(rate)} run-steps/s",
            "left": "" if rate is None else f"{_duration(left / rate)} left",
            "escaped": f"escaped {self._escaped}/{self._runs}",
            "diverged": f"diverged {self._diverged}",
        }

    def _completed(self) -> int:
        return min(self._done, self._total) if self._total else 1

    def _line(self) -> str:
        columns = self._columns()
        if self._done >= self._total:
            columns["left"] = f"in {_duration(self._clock() - self._began)}"
        return "  ".join(text for text in columns.values() if text)

    def _refresh(self) -> None:
        self._bar.update(self._task, completed=self._completed(), **self._columns())

    def _print(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


def _bar(stream: _Forgiving) -> Any:
    from rich import console, progress  # a tenth of a second, and only on a terminal

    texts = ("percent", "rate", "left", "escaped", "diverged")
    return progress.Progress(
        progress.BarColumn(bar_width=10),
        *(progress.TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in texts),
        console=console.Console(file=stream),  # type: ignore[arg-type]
        # Other people's lines go above the bar, unless they were on their way to a file.
        redirect_stdout=_Forgiving(sys.stdout).isatty(),
    )


def _short(rate: int | float) -> str:
    if rate < 999.5:
        return f"{rate:.3g}"
    mantissa, exponent = f"{rate:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _duration(seconds: int | float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )
