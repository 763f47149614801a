"""Who may import whom, read from the source: nothing is imported here."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "plateaus"
FILES = sorted(PACKAGE.rglob("*.py"))
BENCHMARKS = sorted((ROOT / "experiments" / "benchmarks").rglob("*.py"))
MOST_LINES = 260

FLOORS = (  # from the lowest up; a part imports from its own and from lower floors
    (
        "fields",
        "files",
        "information",
        "names",
        "output",
        "paths",
        "surface",
        "variables",
        "version",
        "wheel",
    ),
    ("values", "config", "option_strings"),
    ("signatures", "extensions"),
    ("types", "fusing"),
    ("trees", "groups", "threefry"),
    ("tasks", "data", "models", "optim", "gram", "loop", "report"),
    ("measures", "evidence"),
    ("build",),
    ("jobs",),
    ("interactive", "real_models"),
    ("commands",),
    ("__main__",),
)
# the training loop, one part
LOOP = ("recipe", "batches", "gradient", "feedback", "evaluation", "train")
SHOWN = re.compile("figure|panels|rows|table|maps|steps|majority")  # files that only read numbers
HEAVY = {"jax", "jaxlib", "flax", "optax", "chex"}
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}


def part(path):
    """The folder of the package that a file is in, or its own name."""
    relative = path.relative_to(PACKAGE)
    name = relative.parts[0] if len(relative.parts) > 1 else relative.stem
    return "loop" if name in LOOP else name


@functools.cache
def nodes(path):
    """The nodes of a file's syntax tree."""
    return tuple(ast.walk(ast.parse(path.read_text())))


@functools.cache
def imported(path):
    """Dotted names of the modules (and of the members) that a file imports, anywhere in it."""
    names = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def within(name, modules):
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def users(module):
    """The files of the package that import a module."""
    return {
        str(p.relative_to(PACKAGE)) for p in FILES if any(within(n, {module}) for n in imported(p))
    }


def test_every_part_of_the_package_is_on_a_floor():
    assert {part(path) for path in FILES} - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_arrow_runs_up_or_sideways(path):
    """Imports come from the part itself and from lower floors; `plateaus` alone names members."""
    own = part(path)
    if own == "__init__":
        return
    for name in imported(path):
        if within(name, {"plateaus"}) and name != "plateaus":
            other = name.split(".")[1]
            other = "loop" if other in LOOP else other
            assert other == own or FLOOR[other] < FLOOR[own], name
    assert not any(within(name, {"experiments", "tests"}) for name in imported(path))


def test_no_circle_of_imports():
    """Files that import one another in a ring cannot be read one after the other."""
    files = [*FILES, *BENCHMARKS]
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in files}
    arrows = {name: {n for n in imported(p) if n in names} for name, p in names.items()}
    left = dict(arrows)
    while free := [name for name, to in left.items() if not to & set(left)]:
        for name in free:
            del left[name]
    assert not left


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_flax_is_fenced_in():
    assert {name.split("/")[0] for name in users("flax")} == {"models"}


def test_no_jax_where_numbers_are_only_read():
    """In report, on the ground, and in the files of a study that show what was measured."""
    files = [p for p in FILES if part(p) in ("report", "evidence", *FLOORS[0])]
    files += [p for p in FILES if part(p) == "measures" and SHOWN.match(p.stem)]
    assert files and not [p for p in files if any(within(n, HEAVY) for n in imported(p))]


def at_import(path):
    """What a file imports at once: not inside a function, not for types only."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def test_what_answers_a_bad_field_imports_no_jax():
    """A config is read, and the command line answers, at once; jax is imported only to run."""
    first = [p for p in FILES if part(p) == "config"]
    first += [PACKAGE / "jobs" / "cli.py", PACKAGE / "real_models" / "main.py"]
    first += [PACKAGE / "__main__.py", *(PACKAGE / "commands").glob("*.py")]
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in FILES}
    reached, left = set(), list(first)
    while left:
        path = left.pop()
        for name in at_import(path):
            assert not within(name, HEAVY), path
            if name in names and names[name] not in reached:
                reached.add(names[name])
                left.append(names[name])


def test_there_is_one_jit_at_the_top():
    """`jax.jit`, or jit imported from jax, is written in one file, and for the hash; pmap nowhere.

    The hash of keys is part of other programs, and traced once for all its calls by its own jit.
    """
    found = {}
    for path in FILES:
        for node in nodes(path):
            is_attribute = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if is_attribute and node.value.id == "jax" and node.attr in ("jit", "pmap"):
                found.setdefault(node.attr, set()).add(str(path.relative_to(PACKAGE)))
        if {"jax.jit", "jax.pmap"} & set(imported(path)):
            found.setdefault("imported", set()).add(str(path.relative_to(PACKAGE)))
    assert found == {"jit": {"jobs/tracing.py", "threefry.py"}}


def test_no_key_is_made_where_a_key_should_be_given():
    """`jax.random.key` is called once, from a seed; `PRNGKey` never."""
    calls = {}
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "jax.random.key",
                "jax.random.PRNGKey",
            ):
                calls.setdefault(str(path.relative_to(PACKAGE)), []).append(node.lineno)
    assert {name: len(lines) for name, lines in calls.items()} == {"types.py": 1}
