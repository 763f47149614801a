"""That programs are counted at all: the name of what is counted is JAX's own, and may change."""

import jax
import numpy as np
import pytest

pytestmark = pytest.mark.versions


def test_a_program_counts_once(programs_so_far):
    tripled, x = jax.jit(lambda x: x * 3), np.float32(1)
    counts = [programs_so_far()]
    for argument in (x, x, np.ones(2, np.float32)):  # new, known, new
        tripled(argument)
        counts.append(programs_so_far())
    assert np.diff(counts).tolist() == [1, 0, 1]
