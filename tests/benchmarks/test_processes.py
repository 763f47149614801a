"""Whether contenders agree: what is off is not timed."""

import numpy as np
import pytest


def test_agreement_is_relative_and_catches_one_wrong_loss(module):
    processes = module("processes")
    ours = np.array([[1.0, 0.5], [2.0, 0.01]])
    assert processes.check_agreement("a", ours, ours * (1 + 5e-5)) == pytest.approx(5e-5)
    off = ours * np.array([[1, 1], [1, 1 + 2e-4]])
    for wrong in (off, np.where(ours == 0.5, np.nan, ours), ours[:1]):
        with pytest.raises(processes.Disagreement):
            processes.check_agreement("a", ours, wrong)
