"""The time that a command may take, from its beginning."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

GRACE = 8.0  # seconds after the budget in which devices may come to the end of a phase


class Budget:
    """The seconds of a command, counted from when it `began`, or from now; None: no end.

    >>> now = iter([10.0, 70.0, 70.0, 75.0, 100.0])
    >>> budget = Budget(60, began=0.0, clock=lambda: next(now))
    >>> budget.spent(), budget.spent(), budget.overdrawn(), budget.left(), budget.overdrawn()
    (False, True, True, -15.0, True)
    """

    def __init__(
        self,
        seconds: float | None,
        began: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        began = clock() if began is None else began
        self._end, self._clock = math.inf if seconds is None else began + seconds, clock

    def left(self) -> float:
        """Return the seconds that are left, negative after the end."""
        return self._end - self._clock()

    def spent(self) -> bool:
        """Whether no time is left."""
        return self.left() <= 0

    def overdrawn(self) -> bool:
        """Whether more than `GRACE` seconds have passed since."""
        return self.left() <= -GRACE
