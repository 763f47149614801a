"""What `plateaus` and its rooms export: it is there, it explains itself, and it costs no time."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import plateaus

ROOMS = [plateaus, *(room for room in map(plateaus.__getattr__, plateaus._ROOMS))]
PACKAGES = [room for room in ROOMS if hasattr(room, "__path__")]
EXPORTED = [(package, name) for package in PACKAGES for name in package.__all__]
SECONDS = 0.1  # of a processor, to import `plateaus`
ASK = """
import sys, time
before = time.process_time()
import plateaus
took = time.process_time() - before
dir(plateaus), dir(__import__("plateaus.report").report)
print(took, *{"jax", "numpy", "flax"} & set(sys.modules))
"""


def name_of(value):
    return value.__name__ if isinstance(value, ModuleType) else value


@pytest.mark.parametrize("package, name", EXPORTED, ids=name_of)
def test_an_exported_name_explains_itself(package, name):
    """In a docstring of its own: a NamedTuple without one lists its fields instead."""
    value = getattr(package, name)
    assert name in dir(package)
    summary = (inspect.getdoc(value) or "").split("\n\n")[0]
    assert summary.endswith((".", ":")) and not summary.startswith(f"{value.__name__}("), summary


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_no_export_is_hidden_by_a_module_of_its_name(package):
    """Importing a sub-module sets an attribute of the package, in place of what is exported.

    So it is the package's own table that is asked, not what happens to stand there by now.
    """
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    hidden = [name for name in package.__all__ if name in modules]
    assert all(isinstance(package.__getattr__(name), ModuleType) for name in hidden), hidden
    assert len(set(package.__all__)) == len(package.__all__)


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_what_is_not_there_is_said_to_be_missing(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'no'"):
        _ = package.no
    with pytest.raises(ImportError, match="no_such_name"):
        exec(f"from {package.__name__} import no_such_name")


def test_a_name_is_read_once():
    assert "logrank_p" in dir(plateaus.report)
    first = plateaus.report.logrank_p
    assert vars(plateaus.report)["logrank_p"] is first
    assert first is importlib.import_module("plateaus.report.unpaired").logrank_p


def test_importing_the_package_is_quick_and_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    took, *heavy = done.stdout.split()
    assert not heavy and float(took) < SECONDS
