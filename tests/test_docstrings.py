"""Every example in a docstring of the package runs and prints what it says."""

import doctest
import importlib
import io
from pathlib import Path

import pytest

import plateaus

ROOT = Path(plateaus.__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "plateaus").rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.programs(40)  # of a whole module: short examples run operation by operation
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    output = io.StringIO()
    runner = doctest.DocTestRunner()
    found = doctest.DocTestFinder().find(importlib.import_module(name))
    tests = [test for test in found if test.examples]
    for test in tests:
        runner.run(test, out=output.write)
    assert tests
    assert not runner.failures, output.getvalue()
