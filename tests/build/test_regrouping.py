"""Regrouping from the command line: one set of knobs for all groupings, a line for what is bad."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest

from plateaus.build import recipes, regrouping
from plateaus.build.registry import TASKS
from plateaus.config import presets
from plateaus.config.schema import ConfigError, entries, resolve
from plateaus.data.domains import regroup
from plateaus.jobs import cli, devices
from plateaus.tasks.laws import in_context_domains

CONFIG = "--config=configs/mixing.py:regroup"
BASE = {
    **{"task.name": "in_context", "task.families": "linear,relu", "task.clusters": "2"},
    **{"task.pool": 8, "task.held_out": 4, "task.dimension": 3, "task.points": 6},
    **{"eval_points": 16, "model.name": "transformer", "model.max_positions": 12},
}
VARIANTS = {name: {"task.grouping": name} for name in ("original", "similar", "random")}


@pytest.fixture
def executed(monkeypatch, tmp_path):
    """Stand in for the run itself: what it was asked to do."""
    monkeypatch.chdir(tmp_path)
    calls: list = []
    fake = types.ModuleType("plateaus.jobs.run")
    fake.execute = lambda *arguments: calls.append(arguments) or 0
    monkeypatch.setitem(sys.modules, "plateaus.jobs.run", fake)
    return calls


def resolved(variants=None, **given):
    given = BASE | given
    parts = recipes.sections(given)
    sweep = {"variant": tuple(variants)} if variants else {}
    return resolve(entries(parts), parts, given, sweep, variants)[0]


def spec_of(**given):
    return TASKS["in_context"].spec(
        **{"families": "linear,relu", "clusters": "2", "pool": 8, "held_out": 4, **given}
    )


ALL = "the number of test examples"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["clusters=4000"], f"task.clusters = '4000': must be from 1 to 32, {ALL}"),
        (["clusters=40"], f"task.clusters = '40': must be from 1 to 32, {ALL}"),
        (["clusters=0"], f"task.clusters = '0': must be from 1 to 32, {ALL}"),
        (["clusters=-1"], "task.clusters = '-1': must be a whole number, or several with commas"),
        (["clusters=2,2"], "task.clusters = '2,2': 2: given twice"),
        (["clusters=3,99"], "task.clusters = '3,99': 99: must be from 1 to 64, the number of diff"),
        (["clusters=3"], "task.clusters = '3': gives 3 domains, but there are 4 original ones: li"),
        (["pool=inf"], "task.pool = 2147483646: must be at most 16376 for its functions to be gr"),
        (["grouping=simlar"], "task.grouping = 'simlar': must be original | similar | random; did"),
        (["pool_seed=-1"], "task.pool_seed = -1: must be in [0, inf)"),
        (["held_out=0"], "task.held_out = 0: must be in [1, inf)"),
        (["clusters=", "grouping=similar"], "task.grouping = 'similar': needs task.clusters, the"),
        (
            ["families=linear,rleu"],
            "task.families = 'linear,rleu': no family 'rleu'; did you mean",
        ),
    ],
)
def test_refusals(words, line, executed, capsys, tmp_path):
    given = [f"--config.task.{word}" for word in words]
    alone = ["--sweep", "variant=original uniform"] if "grouping" not in str(words) else []
    if not alone:  # what is overridden must not be set by variants
        alone = ["--sweep", "data.mixer_strength=1"]
        given = ["--config=configs/mixing.py:lambda", *given]
        given += ["--config.task.clusters=4"] * ("clusters" not in str(words))
        given += ["--config.task.pool=16", "--config.task.held_out=8"]
    else:
        given = [CONFIG, *given]
    assert cli.main([*given, "--smoke", *alone]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {line}") and err.count("\n") == 1, err
    assert out == "" and not executed and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("eval_points", 12, "must be a multiple of 8, the functions held out"),
        ("data.subset", 0.5, "is of one pool: domains have as many items as they come to"),
        ("data.zipf_exponent", 1.0, "is of one pool"),
        ("data.order", "epochs", "is of one pool"),
    ],
)
def test_what_does_not_go_with_domains(field, value, message):
    with pytest.raises(ConfigError) as refused:
        resolved(**{field: value})
    (line,) = refused.value.problems
    assert line.startswith(f"{field} = ") and message in line


def test_groupings_share_one_set_of_knobs():
    found = resolved(VARIANTS)
    config = found.config
    assert "data.weight_domain_1" in config and "data.weight_linear" not in config
    settings = [found._replace(config=config | VARIANTS[name]) for name in VARIANTS]
    tasks = [recipes.make_recipe(setting, frozenset()).task for setting in settings]
    assert {task.group_names for task in tasks} == {("domain_0", "domain_1")}
    assert tasks[0].groups.target == tasks[2].groups.target == (0.5, 0.5)


def test_original_domains_are_the_families():
    task = TASKS["in_context"].make(spec_of())
    assert task.group_names == ("domain_0", "domain_1")
    spec = spec_of(clusters="")
    assert TASKS["in_context"].make(spec).group_names == TASKS["in_context"].groups(spec)
    assert TASKS["in_context"].groups(spec) == ("linear", "relu")


def test_a_grid_has_one_number_for_all_groupings():
    """The best by silhouette for similar domains: two kinds of function, here."""
    specs = [spec_of(clusters="2,3,4", grouping=name) for name in VARIANTS]
    assert {TASKS["in_context"].groups(spec) for spec in specs} == {("domain_0", "domain_1")}
    _, silhouettes = regroup(*in_context_domains.embeddings(specs[1]), (2, 3, 4), 0)
    assert max(silhouettes, key=silhouettes.get) == 2 and list(silhouettes) == [2, 3, 4]
    random = regrouping.grouping(in_context_domains.embeddings, specs[2])
    assert np.bincount(random.train).tolist() == [8, 8]


def test_settings_with_other_numbers_of_domains_are_refused():
    """The families' sizes may change which number suits best."""
    variants = {"few": {}, "many": {"task.families": "linear"}}
    with pytest.raises(ConfigError, match="is the same for a whole sweep"):
        resolved(variants)
    with pytest.raises(ConfigError, match=r"task\.clusters.* is the same for a whole sweep"):
        resolved({"few": {}, "many": {"task.clusters": "3"}})


def test_settings_whose_grid_comes_out_otherwise_are_refused(monkeypatch):
    def unlike(spec):
        """Two blobs, or three where the pool is larger."""
        blobs = 2 if spec.pool < 10 else 3
        train, test = (np.arange(2.0 * size)[:, None] for size in (spec.pool, spec.held_out))
        return 100 * (train % blobs) + train / 100, 100 * (test % blobs)

    component = regrouping.regroupable(
        TASKS["in_context"]._replace(
            check=in_context_domains.check,
            groups=in_context_domains.groups,
            make=in_context_domains.in_context_domains,
        ),
        unlike,
    )
    monkeypatch.setitem(TASKS, "in_context", component)
    given = {"task.clusters": "2,3", "task.grouping": "random"}
    with pytest.raises(ConfigError) as refused:
        resolved({"few": {}, "many": {"task.pool": 16}}, **given)
    (line,) = refused.value.problems
    told = "task.clusters = '2,3': gives 3 domains here and 2 in the base: settings of one sweep "
    assert line == f'{told}share the knobs of their groups (in variants["many"])'


def test_embedded_and_clustered_once(monkeypatch):
    calls = []

    def embeddings(spec):
        calls.append(spec)
        return in_context_domains.embeddings(spec)

    specs = [spec_of(clusters="2,3", grouping=name) for name in VARIANTS]
    for spec in [*specs, *specs]:
        if spec.grouping != "original":
            regrouping.grouping(embeddings, spec)
    assert len(calls) == 1
    assert regrouping.grouping(embeddings, specs[1]) is regrouping.grouping(embeddings, specs[1])


def test_a_domain_that_nothing_is_tested_of_is_told():
    def embeddings(spec):
        return np.array([[0.0], [0.1], [9.0], [9.1]]), np.zeros((3, 1))

    with pytest.raises(ValueError, match="clusters = 2: domain_1 has no test example"):
        regrouping.grouping(embeddings, spec_of(grouping="similar"))


def test_what_the_checks_compute_leaves_a_device_to_every_core(tmp_path):
    """JAX counts its devices at the first computation of a process, here an embedding's."""
    own = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    words = [CONFIG, "--smoke", "--dry-run", "--sweep", "variant=original uniform,random uniform"]
    script = str(presets.REPOSITORY / "experiments" / "run.py")
    done = subprocess.run(
        [sys.executable, script, *words], cwd=tmp_path, env=own, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert f"device: {min(devices.cores(), 2)} x cpu" in done.stdout
    assert not list(tmp_path.iterdir())
