"""The measurements of a chunk of runs, collected on the host phase by phase."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plateaus import train
from plateaus.jobs import endings


class Curves:
    """The measurements of a chunk so far; arrays [width, time, ...]."""

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        members: int,
        eval_every: int,
        event: str | None,
        before: int = 0,
    ) -> None:
        """Take the first arrays; `event` and `before` are as in `endings.event_steps`."""
        self.before = before
        self.parts = {name: [array] for name, array in arrays.items()}
        self.members, self.eval_every, self.event = members, eval_every, event
        self._evaluations = arrays["test_loss"].shape[1]
        self.escaped, self.diverged = self._counts()
        self._ended = ~np.isnan(self.event_steps()) | self.diverged

    def add(self, measured: train.Phase) -> None:
        """Append one phase; blocks until the device has computed it."""
        for name, value in measured.windows.items():
            self.parts.setdefault(name, []).append(np.asarray(value))
        for name, value in measured.evaluation.items():
            self.parts[name].append(np.asarray(value)[:, None])
        if self.event is not None:
            self._evaluations += 1
            self._ended |= self._counts()[1]
            # As `event_steps`, by the window that the new evaluation ends.
            first = self._evaluations - endings.AVERAGED
            if not self.before or first > self.before // self.eval_every:
                self._ended |= self._passed(endings.EVENTS[self.event])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the measurements by name, joined over time."""
        joined = {name: np.concatenate(parts, axis=1) for name, parts in self.parts.items()}
        self.parts = {name: [array] for name, array in joined.items()}
        return joined

    def event_steps(self) -> np.ndarray:
        """Return the step at which each member came to its event; NaN for those that did not."""
        needed = ("test_loss", *endings.BOUNDS)
        some = {n: np.concatenate(self.parts[n], axis=1)[: self.members] for n in needed}
        return endings.event_steps(some, self.eval_every, self.event, self.before)

    def over(self) -> bool:
        """Whether every member has come to its event, or has diverged."""
        return self.event is not None and bool(self._ended.all())

    def _passed(self, name: str) -> np.ndarray:
        """Return whether each member passes a threshold by its last losses."""
        last = {name: self.parts[name][0] for name in endings.BOUNDS}
        last["test_loss"] = np.concatenate(self.parts["test_loss"][-endings.AVERAGED :], axis=1)
        steps = endings.passage(last, 1, name)
        return ~np.isnan(steps[: self.members])

    def _counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each member passes the plateau, and has diverged, by its last losses."""
        last = self.parts["test_loss"][-1][: self.members, -1]
        return self._passed("escape_step"), np.isnan(last)

    def news(self) -> tuple[int, int]:
        """Return how many members have escaped, and diverged, since the last call."""
        escaped, diverged = self._counts()
        news = (np.sum(escaped & ~self.escaped), np.sum(diverged & ~self.diverged))
        self.escaped, self.diverged = self.escaped | escaped, self.diverged | diverged
        return int(news[0]), int(news[1])
