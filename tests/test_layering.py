"""Who may import whom, read from the source: nothing is imported here."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "plateaus"
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 260

LAW_AND_DESIGN = {"plateaus.types", "plateaus.fields"}
RUN = {"plateaus.groups", "plateaus.recipe"}
MAY_IMPORT = {  # folder or file of the package -> what it may import, besides its own
    "fields": set(),
    "types": {"plateaus.fields"},
    "trees": {"plateaus.types"},
    "groups": {"plateaus.types"},
    "recipe": {"plateaus.types"},
    "evaluation": LAW_AND_DESIGN | RUN,
    "gradient": LAW_AND_DESIGN | RUN,
    "feedback": LAW_AND_DESIGN | RUN,
    "train": LAW_AND_DESIGN
    | RUN
    | {"plateaus.evaluation", "plateaus.gradient", "plateaus.feedback"},
    "tasks": LAW_AND_DESIGN,
    "data": LAW_AND_DESIGN,
    "models": LAW_AND_DESIGN | {"plateaus.trees"},
    "optim": LAW_AND_DESIGN | {"plateaus.trees"},
    "probes": LAW_AND_DESIGN | {"plateaus.trees"},
    "report": {"plateaus.fields"},
    "experiment": {"plateaus"},
    "__init__": set(),
}


def part(path):
    """The folder of the package that a file is in, or its own name."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


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


def test_every_part_of_the_package_has_its_arrows():
    assert {part(path) for path in FILES} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows(path):
    """Only from the listed parts and its own; `plateaus` alone names members, which follow."""
    allowed = MAY_IMPORT[part(path)] | {f"plateaus.{part(path)}"}
    wrong = [
        name
        for name in imported(path)
        if within(name, {"plateaus"}) and name != "plateaus" and not within(name, allowed)
    ]
    assert not wrong
    assert not any(within(name, {"experiments", "tests"}) for name in imported(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_flax_is_fenced_in():
    assert {name.split("/")[0] for name in users("flax")} == {"models"}


@pytest.mark.parametrize("folder", ("report", "fields", "probes"))
def test_no_jax_where_numbers_are_only_read(folder):
    heavy = {"jax", "jaxlib", "flax", "optax", "chex"}
    jax_too = {"attention", "gradients", "sharpness", "weights"}
    jax_too |= {"answers", "superposition", "task_vectors"}
    jax_too = jax_too if folder == "probes" else ()
    files = [p for p in FILES if part(p) == folder and p.stem not in jax_too]
    assert files and not [p for p in files if any(within(n, heavy) for n in imported(p))]


def test_what_answers_a_bad_field_imports_no_jax():
    """The schema and the command line answer at once; jax is imported only to run."""
    light = ("schema", "values", "presets", "arguments", "cli")
    files = ("config_files", "config_shapes", "config_source")
    for stem in (*light, *files, "real_models", "real_models_arguments"):
        tree = ast.parse((PACKAGE / "experiment" / f"{stem}.py").read_text())
        top = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        names = [getattr(n, "module", None) or n.names[0].name for n in top]
        assert not any(
            within(
                name,
                {
                    "jax",
                    "plateaus.train",
                    "plateaus.experiment.build",
                    "plateaus.experiment.registry",
                },
            )
            for name in names
        )


def test_there_is_one_jit_at_the_top():
    """`jax.jit`, or jit imported from jax, is written in one file; pmap nowhere."""
    found = {}
    for path in FILES:
        for node in nodes(path):
            is_attribute = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if is_attribute and node.value.id == "jax" and node.attr in ("jit", "pmap"):
                found.setdefault(node.attr, set()).add(str(path.relative_to(PACKAGE)))
        if {"jax.jit", "jax.pmap"} & set(imported(path)):
            found.setdefault("imported", set()).add(str(path.relative_to(PACKAGE)))
    assert found == {"jit": {"experiment/worker.py"}}


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
