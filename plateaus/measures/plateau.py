"""The plateau of a loss curve: the normalised loss and the steps at which it is left. No jax."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plateaus.data.curricula import ESCAPED

# The names are those of the variables in the results; the values are normalised losses.
THRESHOLDS = MappingProxyType({"escape_step": ESCAPED, "half_step": 0.5, "completion_step": 0.1})


def normalised(loss: ArrayLike, uninformed: ArrayLike, best: ArrayLike) -> NDArray[np.float64]:
    """Return the loss in units of what there is to learn: 1 on the plateau, 0 at the optimum.

    (L - L_best) / (L_uninformed - L_best)

    Args:
      loss: test losses, [..., eval].
      uninformed: loss of the best predictor that ignores what has to be learned, [...].
      best: loss of the optimal predictor, [...].

    Returns float64 [..., eval]; NaN where the loss is NaN or the two references coincide.

    >>> normalised([[1.0, 0.75, 0.5]], uninformed=[1.0], best=[0.5])
    array([[1. , 0.5, 0. ]])
    """
    floor = np.asarray(best, np.float64)[..., None]
    span = np.asarray(uninformed, np.float64)[..., None] - floor
    # Diverged runs carry inf and NaN, runs that were never started carry NaN references.
    with np.errstate(invalid="ignore", over="ignore"):
        height = np.asarray(loss, np.float64) - floor
        return height / np.where(span == 0, np.nan, span)


def passage_step(
    curve: ArrayLike, eval_steps: ArrayLike, threshold: float | int, window: int = 3
) -> NDArray[np.float64]:
    """Return the first evaluation step at which the trailing mean of `curve` is under a threshold.

    min { s_i : (c_{i-w+1} + ... + c_i) / w < threshold },  w = `window`

    Args:
      curve: normalised losses, [..., eval].
      eval_steps: optimiser step of each evaluation, increasing, [eval].
      threshold: the level to pass, of the curve's units (see `THRESHOLDS`).
      window: number of consecutive evaluations averaged.

    Returns steps, float64 [...]; NaN where the curve never passes. A window that holds a NaN or
    an infinity is never under the threshold; the windows beside it are unaffected.

    Raises:
      ValueError: if `window` < 1 or the last axis of `curve` is not that of `eval_steps`.

    >>> float(passage_step([1.0, 0.9, 0.4, 0.2, 0.1], [0, 10, 20, 30, 40], threshold=0.8))
    20.0
    """
    values, steps = np.asarray(curve, np.float64), np.asarray(eval_steps, np.float64)
    if window < 1:
        raise ValueError(f"window = {window}: must be at least 1")
    if steps.ndim != 1 or values.ndim < 1 or values.shape[-1] != steps.size:
        raise ValueError(f"curve {values.shape} does not end in eval_steps {steps.shape}")
    if steps.size < window:
        return np.full(values.shape[:-1], np.nan)
    usable = np.isfinite(values)
    windows = np.lib.stride_tricks.sliding_window_view
    # A running sum would carry one NaN, or one huge loss, into every later window.
    mean = windows(np.where(usable, values, 0.0) / window, window, axis=-1).sum(axis=-1)
    under = (mean < threshold) & windows(usable, window, axis=-1).all(axis=-1)
    first = steps[window - 1 :][under.argmax(axis=-1)]
    return np.where(under.any(axis=-1), first, np.nan)
