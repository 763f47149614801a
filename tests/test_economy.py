"""That programs are counted at all: the name of what is counted is JAX's own, and may change."""

from fnmatch import fnmatch
from pathlib import Path

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


def test_every_folder_with_tests_is_collected(pytestconfig):
    """A pattern of `norecursedirs` that fits a room leaves all its tests out, without a word."""
    patterns = pytestconfig.getini("norecursedirs")
    tests = Path(__file__).parent
    rooms = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    left_out = {room for room in rooms for part in room.parts for p in patterns if fnmatch(part, p)}
    assert left_out == set()
