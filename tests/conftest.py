"""Strictness and economy for every test, set up before jax's first use.

Warnings are errors (pyproject); rank promotion raises; a random key used twice raises, where JAX's
check of it is sound; there are 4 devices; and the array packages have the annotations of their
functions checked at every call. Only functions: a NamedTuple is not checked when it is made, since
under vmap its leaves gain axes.

A test may compile `PROGRAMS` programs; one that needs more is marked `programs(N)`. `--alone`
forgets compiled programs before each test, so that none is counted less for its neighbours.
Compiled programs are shared by the workers and kept between sessions in pytest's own cache folder
(`pytest --cache-clear` starts cold); the user's cache is never touched.
"""

import os
import subprocess
import sys
from pathlib import Path

PROGRAMS = 25
KNOWN = "PLATEAUS_TESTS_CARELESS_FLAG"  # what the first process of a session found out
CARELESS = "--xla_cpu_use_fusion_emitters=false"  # half of the compiler's time; gone in jaxlib 0.11
_HOME = os.environ.setdefault("PLATEAUS_TESTS_USERS_HOME", os.environ.get("XDG_CACHE_HOME") or "")
USERS_CACHE = Path(_HOME or "~/.cache").expanduser() / "plateaus"

os.environ["JAX_PLATFORMS"] = "cpu"


def _knows(flag: str) -> bool:
    """Return whether this XLA has a flag: it ends the process over one that it does not have."""
    client = "from jaxlib.xla_client import make_cpu_client; make_cpu_client()"
    environment = {**os.environ, "XLA_FLAGS": flag}
    return not subprocess.run(
        [sys.executable, "-c", client], env=environment, capture_output=True, check=False
    ).returncode


if KNOWN not in os.environ:
    os.environ[KNOWN] = CARELESS if _knows(CARELESS) else ""
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4 --xla_cpu_multi_thread_eigen=false"  # as a user's
    # most tests run a program once: compiled carelessly they take a fifth of the time
    " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    f" {os.environ[KNOWN]}"
)

import contextlib
import functools

import jax
import jaxtyping
import pytest


def _knows_no_keys() -> bool:
    """Return whether JAX's check of keys knows that a map over none of them uses none."""

    def two(key):
        one, other = jax.random.split(key)
        return jax.random.bits(one) + jax.random.bits(other)

    with jax.debug_key_reuse(True):
        try:
            jax.jit(lambda key: jax.vmap(two)(jax.random.split(key, 0)))(jax.random.key(0))
        except jax.errors.KeyReuseError:  # before jax 0.8, say
            return False
    return True


jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", _knows_no_keys())
jax.config.update("jax_traceback_in_locations_limit", 0)  # in programs, where no test reads them

# report, config, build and jobs speak of files, text and configs: mypy's field, not jaxtyping's
CHECKED = (
    "types",
    "trees",
    "train",
    "gradient",
    "feedback",
    "groups",
    "evaluation",
    "tasks",
    "data",
    "optim",
    "models",
    "gram",
)
WITHOUT_ARRAYS = ("config", "build", "jobs", "real_models", "report", "benchmarks")  # of tests
_jaxtyped, _checking = jaxtyping.jaxtyped, True


def _jaxtyped_where_arrays_are(*, typechecker):
    """Check a function's annotations; leave what tests of configs and files make at run time bare.

    A task is closures, decorated anew each time it is made: most of the time of such tests.
    """
    return _jaxtyped(typechecker=typechecker) if _checking else lambda function: function


jaxtyping.jaxtyped = _jaxtyped_where_arrays_are
jaxtyping.install_import_hook(
    [f"plateaus.{name}" for name in CHECKED],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",  # an int is a float
)


def pytest_addoption(parser):
    """Let the programs of a test be counted as if it were run alone."""
    parser.addoption("--alone", action="store_true", help="forget compiled programs between tests")


def pytest_configure(config):
    """Keep compiled programs, and what the package caches, in folders of the tests."""
    compiled = config.cache.mkdir(f"compiled-{jax.__version__}")
    os.environ["XDG_CACHE_HOME"] = str(config.cache.mkdir("home"))
    for name, value in {  # for this process, and for those that tests start
        "jax_compilation_cache_dir": str(compiled),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }.items():
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)


class _Programs:
    """Counts the programs that this process compiles, those found in the cache included."""

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def _hear(self, event: str, seconds: float, **_) -> None:
        self.count += event == "/jax/core/compile/backend_compile_duration"


_programs = _Programs()


_trespasses: list[str] = []


def _watch(event: str, arguments: tuple) -> None:
    """Note every file of the user's cache that this process opens."""
    if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    if (path := os.fsdecode(arguments[0])).startswith(str(USERS_CACHE)):
        _trespasses.append(path)


sys.addaudithook(_watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Have a test's closures checked or not, by its folder."""
    global _checking
    jobs = item.path.parent.name in WITHOUT_ARRAYS or item.path.stem.startswith("test_instrument")
    _checking = not jobs
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fail a test that compiles more than its share, or writes into the user's cache."""
    if item.config.getoption("--alone"):
        jax.clear_caches()
    before = _programs.count
    result = yield
    marker = item.get_closest_marker("programs")
    most = marker.args[0] if marker else PROGRAMS
    compiled = _programs.count - before
    if compiled > most:
        pytest.fail(
            f"compiled {compiled} programs, at most {most} are allowed: put one jax.jit around "
            "what is tested, compute references in numpy, or mark the test programs(N)"
        )
    if _trespasses:
        pytest.fail(f"opened {_trespasses.pop()}: the cache is the user's")
    return result


@pytest.fixture(scope="session")
def programs_so_far():
    """How many programs have been compiled: () -> a number that only grows."""
    return lambda: _programs.count


@pytest.fixture(scope="session")
def exact_jit():
    """`jax.jit` with the fusions that users have, for tests of programs that must agree to the bit.

    Compiled as above, last bits depend on what else is fused.
    """
    options = {"xla_cpu_use_fusion_emitters": True} if os.environ[KNOWN] else {}
    return functools.partial(jax.jit, compiler_options=options)


@pytest.fixture(scope="session", autouse=True)
def _undrawn():
    """Have figures of whole jobs made, but not drawn: that would be most of their time."""
    from plateaus.jobs import results

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "save_figure", _not_drawn)
        yield


def _not_drawn(figure, directory, stem):
    """Stand in for `style.save`."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}.{suffix}" for suffix in ("png", "svg")]
    for path in paths:
        path.write_text("not drawn")
    return paths


@pytest.fixture(scope="session")
def drawing():
    """A context in which figures are drawn as a user's are."""
    from plateaus.jobs import results
    from plateaus.report import style

    @contextlib.contextmanager
    def real():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(results, "save_figure", style.save)
            yield

    return real
