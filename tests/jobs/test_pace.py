"""Time left, on simulated schedules: chunks that devices take, compile and compute, on a clock."""

import heapq
import io
import itertools
import random
import re
from time import perf_counter

import pytest

from plateaus.jobs.pace import Pace, Piece
from plateaus.jobs.progress import Progress


class Device:
    """What the simulation needs to know of a device."""

    def __init__(self):
        self.compiled, self.piece, self.done = set(), None, 0


def schedule(pieces, lanes, seconds, compiling, noise=0.0, closing=0.1, resumed=()):
    """Yield (time, lane, what, value): "begin" a piece, "resume" and "advance" so many run-steps.

    `seconds` a phase and `compiling` seconds, by program; `resumed` phases, by the place of a
    piece. The last is (time, None, "end", None).
    """
    randomly = random.Random(0)
    waiting = list(enumerate(pieces))
    devices = [Device() for _ in range(lanes)]
    events = [(0.01 * lane, lane) for lane in range(lanes)]
    now = 0.0
    while events:
        now, lane = heapq.heappop(events)
        device = devices[lane]
        opening = device.piece is None
        if opening and not waiting:
            continue
        if opening:
            place, device.piece = waiting.pop(0)
            device.done = device.piece.phase * dict(resumed).get(place, 0)
            yield now, lane, "begin", device.piece
            if device.done:
                yield now, lane, "resume", device.done * device.piece.runs
        else:
            device.done += device.piece.phase
            yield now, lane, "advance", device.piece.phase * device.piece.runs
            if device.done >= device.piece.steps:
                device.piece = None
                heapq.heappush(events, (now + closing, lane))
                continue
        program = device.piece.program
        later = seconds[program] * (1 + noise * randomly.uniform(-1, 1))
        if opening and program not in device.compiled:
            device.compiled.add(program)
            later += compiling[program] * (1 + 0.15 * lane)  # no two devices are alike
        heapq.heappush(events, (now + later, lane))
    yield now, None, "end", None


def shown(pieces, lanes, every=1.0, **given):
    """Run a schedule through the display; return the rows (time, line) and the time of the end."""
    clock, stream = [0.0], io.StringIO()
    rows, printed = [], 0

    def row():
        nonlocal printed
        lines = stream.getvalue()[printed:].splitlines()
        printed = len(stream.getvalue())
        rows.extend((clock[0], line) for line in lines)

    with Progress(pieces, lanes, stream, plain_every=every, clock=lambda: clock[0]) as progress:
        for time, lane, what, value in schedule(pieces, lanes, **given):
            while clock[0] + 0.25 < time:
                clock[0] += 0.25
                progress.show()
                row()
            clock[0] = time
            if what == "begin":
                progress.begin(lane, value)
            elif what == "resume":
                progress.update(lane, 0, resumed=value)
            elif what == "advance":
                progress.update(lane, value)
            row()
    row()
    return rows, clock[0]


def left(line):
    """Read the seconds left off a line, None where it says none."""
    match = re.search(r"(?:(\d+) h )?(?:(\d+) min ?)?(?:(\d+) s )?left", line)
    hours, minutes, seconds = (int(x or 0) for x in match.groups()) if match else (0, 0, 0)
    return 3600 * hours + 60 * minutes + seconds if match else None


def estimates(rows):
    return [(time, left(line)) for time, line in rows if left(line) is not None]


def a(runs=16, program="a", phases=10):
    return Piece(program, runs, 1200, 1200 // phases)


ONE = [a()] * 12 + [a(5)]  # the last chunk is not full, and takes as long
TWO = [a()] * 6 + [a(5)] + [a(program="b")] * 5 + [a(3, "b")]
SCHEDULES = {
    "one program": (ONE, 2, {}),
    "a second program": (TWO, 2, {}),
    "noise": (TWO, 2, {"noise": 0.1}),
    "one device": (TWO, 1, {}),
    "four devices": (TWO * 2, 4, {"noise": 0.05}),
    "fewer chunks than twice the devices": ([a()] * 3, 2, {}),
    "long phases": ([a(phases=3)] * 9, 2, {"seconds": {"a": 30.0}, "compiling": {"a": 50.0}}),
    "a second at the end of each chunk": (ONE, 2, {"closing": 1.0}),
    "resumed": (ONE, 2, {"resumed": {0: 6, 1: 3}}),
}
TIMES = {"seconds": {"a": 2.0, "b": 2.0}, "compiling": {"a": 20.0, "b": 20.0}}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_time_left_is_right_from_when_it_is_shown_and_only_falls(name):
    pieces, lanes, given = SCHEDULES[name]
    rows, end = shown(pieces, lanes, **{**TIMES, **given})
    times = estimates(rows)
    first = {**TIMES, **given}
    assert times[0][0] < first["compiling"]["a"] * 1.2 + 3 * first["seconds"]["a"]  # soon
    for time, seconds in times:
        assert abs(seconds - (end - time)) <= 0.2 * (end - time) + 2, (time, seconds, end - time)
    least = times[0][1]
    for time, seconds in times:
        assert seconds <= least * (1.1 if "noise" in given else 1.02) + 3, (time, seconds, least)
        least = min(least, seconds)
    assert len(times) > 0.5 * end  # a line each second, the plain ones' least


def test_until_something_can_be_said_the_line_says_why():
    rows, _ = shown(ONE, 2, **TIMES)
    kinds = [re.split("  +", line.strip())[1:3] for _, line in rows[:-1]]
    words = [word for word, _ in itertools.groupby(first for first, _ in kinds)]
    some = "960 run-steps/s on 1 of 2 devices"  # the other still compiles
    assert words[:3] == ["compiling", some, "1.9e3 run-steps/s"]
    assert words[-1] == "300 run-steps/s on 1 of 2 devices"
    assert all(("run-steps/s" in first) == second.endswith("left") for first, second in kinds)
    rows, _ = shown(ONE, 1, **TIMES)
    assert [line.split("  ")[2] for _, line in rows[20:24]] == [
        "compiling",
        "timing the first steps",
        "timing the first steps",
        "960 run-steps/s",
    ]


def test_the_rate_is_that_of_the_work_and_says_on_how_many_devices():
    rows, _ = shown(TWO, 2, **TIMES)
    rates = [re.search(r"(\S+) run-steps/s( on 1 of 2 devices)?", line) for _, line in rows[:-1]]
    both = {float(rate[1]) for rate in rates if rate and not rate[2]}
    one = {float(rate[1]) for rate in rates if rate and rate[2]}
    assert both == {1900, 1300, 1100}  # 60 steps a second of 16 + 16, 16 + 5 and 16 + 3 runs
    assert one == {960, 300, 180}


def test_a_program_that_is_yet_to_be_measured_makes_it_a_guess():
    """It is taken to be like the others; within a fifth if it is, and said to be about right."""
    times = {"seconds": {"a": 2.0, "b": 2.3}, "compiling": {"a": 20.0, "b": 25.0}}
    rows, end = shown(TWO, 2, **times)
    known = next(i for i, (_, line) in enumerate(rows) if "left" in line and "about" not in line)
    assert 0.4 * end < rows[known][0] < 0.75 * end
    assert all("about" in line for _, line in rows[:known] if "left" in line)
    assert not any("about" in line for _, line in rows[known:])
    for time, seconds in estimates(rows):
        assert abs(seconds - (end - time)) <= 0.2 * (end - time) + 2


def test_the_line_counts_down_between_reports():
    rows, _ = shown([a(phases=2)] * 4, 1, seconds={"a": 60.0}, compiling={"a": 5.0})
    times = [seconds for time, seconds in estimates(rows) if 130 < time < 180]
    assert times == list(range(times[0], times[0] - len(times), -1)) and len(times) > 45


def test_chunks_of_one_phase_are_timed_once_nothing_is_compiled():
    rows, end = shown([a(phases=1)] * 8, 2, seconds={"a": 20.0}, compiling={"a": 5.0})
    times = estimates(rows)
    assert times[0][0] < 48
    for time, seconds in times:
        assert abs(seconds - (end - time)) <= 0.2 * (end - time) + 2
    assert "1.9e3 run-steps/s" in rows[-1][1] and f"in {round(end) // 60} min" in rows[-1][1]


def test_nothing_is_known_before_a_chunk_began():
    pace = Pace([a()], 2)
    assert (pace.seconds_left(0), pace.rate(), pace.mean_rate()) == (None, None, None)
    assert pace.at_work() == 0
    assert pace.guessed() and pace.compiling()


def test_a_chunk_that_was_done_in_an_earlier_session_takes_no_time():
    pace = Pace([a(), a()], 1)
    pace.begin(0, a(), 0)
    pace.resume(0, 19_200)
    pace.begin(0, a(), 1)
    pace.advance(0, 1_920, 10)
    pace.advance(0, 1_920, 12)
    assert pace.seconds_left(12) == 2 * 8


def test_a_thousand_chunks_are_laid_out_in_no_time():
    pace = Pace([a()] * 5000, 8)
    for lane in range(8):
        pace.begin(lane, a(), 0)
        pace.advance(lane, 1_920, 9)
        pace.advance(lane, 1_920, 11)
    began = perf_counter()
    assert pace.seconds_left(11) == pytest.approx(20 * 5000 / 8 - 4)
    assert perf_counter() - began < 0.5
