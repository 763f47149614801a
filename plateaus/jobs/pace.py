"""How fast the chunks of a job go on its devices, and when the last of them will be done.

A chunk's opening ends with its first phase; where its program is new to the device, this is mostly
compilation. Its later phases take the same time each. The remaining time is that of a list
schedule: the chunks under way, then every waiting one on the device that is free first.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

_MEMORY = 60.0  # seconds of a device's work after which a measured speed counts 1/e


class Piece(NamedTuple):
    """The size of a chunk for the schedule: its runs, which train together, and their steps."""

    program: Hashable  # compiled once on a device
    runs: int
    steps: int
    phase: int  # steps between two reports
    members: tuple[Any, ...] = ()  # the runs themselves


class _Mean:
    """A mean of seconds per event or per step, whose older terms may decay."""

    def __init__(self) -> None:
        self.seconds = self.count = 0.0

    def add(self, seconds: float, count: float, keep: float = 1.0) -> None:
        self.seconds, self.count = keep * self.seconds + seconds, keep * self.count + count

    def value(self) -> float:
        return self.seconds / self.count


@dataclasses.dataclass
class _Lane:
    """A device: the chunk it is at, and the programs that it has compiled."""

    piece: Piece | None = None
    done: int = 0  # steps of the piece
    opening: bool = False
    new: bool = False  # whether the program is new, so that opening compiles it
    since: float | None = None  # the last report, of this chunk or the one before; None: no chunk
    compiled: set[Hashable] = dataclasses.field(default_factory=set)


class Pace:
    """The timing of a progress display; every time is in seconds, `now` of any clock.

    >>> piece = Piece("a", runs=4, steps=30, phase=10)
    >>> pace = Pace([piece] * 3, lanes=1)
    >>> pace.begin(0, piece, now=0)
    >>> pace.advance(0, 40, now=7)  # compiled, and its first phase done
    >>> pace.rate(), pace.seconds_left(now=7)
    (None, None)
    >>> pace.advance(0, 40, now=9)
    >>> pace.rate(), pace.seconds_left(now=9)  # a phase of this piece, and six of two others
    (20.0, 14.0)
    """

    def __init__(self, pieces: Iterable[Piece], lanes: int) -> None:
        self._waiting = list(pieces)
        self._lanes = [_Lane() for _ in range(lanes)]
        self._steps: dict[Hashable, _Mean] = {}  # by program, without what opened a chunk
        self._openings: dict[tuple[Hashable, bool], _Mean] = {}  # by program, and whether new
        self._work = _Mean()  # of run-steps, all that went into `_steps`

    def begin(self, lane: int, piece: Piece, now: float) -> None:
        """Note that a device takes one of the chunks that wait."""
        self._waiting.remove(piece)
        device = self._lanes[lane]
        device.piece, device.done, device.opening = piece, 0, True
        device.new = piece.program not in device.compiled
        device.compiled.add(piece.program)
        if device.since is None:
            device.since = now

    def resume(self, lane: int, run_steps: int) -> None:
        """Note the run-steps of a device's chunk that an earlier session has done."""
        self._add(self._lanes[lane], run_steps)

    def advance(self, lane: int, run_steps: int, now: float) -> None:
        """Note that a device has done one more phase of its chunk."""
        device = self._lanes[lane]
        piece = device.piece
        if piece is None or device.since is None:
            return
        seconds = now - device.since
        if device.opening and (device.new or piece.phase < piece.steps):
            self._openings.setdefault((piece.program, device.new), _Mean()).add(seconds, 1)
        else:  # a phase, or a chunk of one phase that compiled nothing
            steps, keep = run_steps / piece.runs, math.exp(-seconds / _MEMORY)
            self._steps.setdefault(piece.program, _Mean()).add(seconds, steps, keep)
            self._work.add(seconds, run_steps)
        device.opening, device.since = False, now
        self._add(device, run_steps)

    def _add(self, device: _Lane, run_steps: int) -> None:
        if device.piece is not None:
            device.done += run_steps // device.piece.runs
            if device.done >= device.piece.steps:
                device.piece = None

    def lanes(self) -> int:
        """Return how many devices there are."""
        return len(self._lanes)

    def at_work(self) -> int:
        """Return how many devices compute at a speed that is known."""
        return len(self._speeds())

    def compiling(self) -> bool:
        """Whether a device compiles, or is about to take its first chunk."""
        return any(
            device.since is None or (device.piece and device.opening and device.new)
            for device in self._lanes
        )

    def rate(self) -> float | None:
        """Return the run-steps a second of all devices at work; None while none is."""
        return sum(self._speeds()) or None

    def mean_rate(self) -> float | None:
        """Return the run-steps a second of all devices while they were at work, over the job."""
        return len(self._lanes) / self._work.value() if self._work.seconds else None

    def _speeds(self) -> list[float]:
        """Return the run-steps a second of each device at work."""
        speeds = []
        for device in self._lanes:
            piece, opening, new = device.piece, device.opening, device.new
            if piece is None and self._waiting and device.since is not None:  # just between two
                piece, opening = self._waiting[0], True
                new = piece.program not in device.compiled
            if piece is not None and not (opening and new):
                seconds = self._measured(piece)
                speeds += [piece.runs / seconds] if seconds else []
        return speeds

    def guessed(self) -> bool:
        """Whether `seconds_left` takes an unmeasured program to be like others."""
        pieces = {*self._waiting, *(device.piece for device in self._lanes if device.piece)}
        return any(self._measured(piece) is None for piece in pieces)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds until the last chunk is done; None while nothing is measured."""
        free: list[tuple[float, int]] = []  # when each device will be
        for lane, device in enumerate(self._lanes):
            seconds = self._rest(device, now)
            if seconds is None:
                return None
            free.append((seconds, lane))
        heapq.heapify(free)
        compiled = [set(device.compiled) for device in self._lanes]
        durations: dict[tuple[Piece, bool], float | None] = {}  # many chunks are alike
        for piece in self._waiting:
            begins, lane = free[0]
            key = piece, piece.program not in compiled[lane]
            if key not in durations:
                durations[key] = self._whole(*key)
            duration = durations[key]
            if duration is None:
                return None
            compiled[lane].add(piece.program)
            heapq.heapreplace(free, (begins + duration, lane))
        return max(free)[0]

    def _rest(self, device: _Lane, now: float) -> float | None:
        """Return the seconds that the chunk under way on a device still takes."""
        piece = device.piece
        if piece is None or device.since is None:
            return 0.0
        if device.opening:
            whole = self._whole(piece, device.new, device.done)
            opening = self._opening(piece, device.new)
            passed = min(now - device.since, opening or 0.0)
        else:
            step = self._step(piece)
            whole = None if step is None else (piece.steps - device.done) * step
            passed = min(now - device.since, piece.phase * (step or 0.0))  # a phase ends reported
        return None if whole is None else max(whole - passed, 0.0)

    def _whole(self, piece: Piece, new: bool, done: int = 0) -> float | None:
        """Return the seconds that a chunk takes from its beginning, after `done` earlier steps."""
        opening, steps = self._opening(piece, new), piece.steps - done - piece.phase
        if opening is None or steps <= 0:
            return opening
        step = self._step(piece)
        return None if step is None else opening + steps * step

    def _opening(self, piece: Piece, new: bool) -> float | None:
        """Return the seconds until a chunk's first phase is done."""
        if measured := self._openings.get((piece.program, new)):
            return measured.value()
        if new:
            return _mean(mean.value() for (_, first), mean in self._openings.items() if first)
        step = self._step(piece)
        return None if step is None else piece.phase * step

    def _step(self, piece: Piece) -> float | None:
        """Return the seconds of a step: measured or, failing that, the mean over other programs."""
        measured = self._measured(piece)
        return _mean(x.value() for x in self._steps.values()) if measured is None else measured

    def _measured(self, piece: Piece) -> float | None:
        mean = self._steps.get(piece.program)
        return None if mean is None else mean.value()


def _mean(values: Iterable[float]) -> float | None:
    several = list(values)
    return sum(several) / len(several) if several else None
