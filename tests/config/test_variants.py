"""Variants, from the config file to the results: an axis of named overrides."""

import json
import sys
import types

import numpy as np
import pytest
import xarray as xr

from plateaus.build.recipes import sections
from plateaus.config import presets
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError, entries
from plateaus.jobs import begun, cli, identities, run, sweep
from plateaus.report import csv_columns, statistics, store, table

TEXT = '''"""A config."""
from ml_collections import ConfigDict

def get_config():
    return ConfigDict({
        "steps": 400, "batch": 8, "seeds": 2, "eval_every": 100, "log_every": 50, "eval_points": 64,
        "task": ConfigDict({"name": "sparse_parity", "dimension": 8, "relevant_bits": 2,
            "dataset_size": 1000}),
        "data": ConfigDict(), "model": ConfigDict({"name": "mlp", "width": 8}),
        "optim": ConfigDict({"name": "sgd"}),
    }, convert_dict=False)

VARIANTS = {
    "plain": {},
    "bias 0.03": {"optim.gradient_bias": 0.03},
    "bias 0.1": {"optim": {"gradient_bias": 0.1}},
    "nesterov": {"optim.name": "nesterov", "optim.learning_rate": 0.02},
}

def compared(config):
    """Some."""
    config.variants = VARIANTS

def last(config):
    """In another place, and a choice."""
    config.variants = VARIANTS
    config.sweep = {"data.subset": (1.0, 0.5), "variant": ("nesterov", "plain")}

def broken(config):
    """Not a dict of dicts."""
    config.variants = {"plain": 3}

def without(config):
    """None."""
    config.sweep = {"data.subset": (1.0, 0.5)}

def smoke(config):
    """Smaller."""

PRESETS, SCALES = (compared, last, broken, without), {"small": None}
'''
NAMES = ("plain", "bias 0.03", "bias 0.1", "nesterov")
BIAS = {"plain": {}, "bias": {"optim.gradient_bias": 0.05}}
TINY = {
    "steps": 200,
    "batch": 8,
    "seeds": 2,
    "eval_every": 100,
    "log_every": 50,
    "eval_points": 64,
    "task.name": "sparse_parity",
    "task.dimension": 8,
    "task.relevant_bits": 2,
    "task.dataset_size": 1000,
    "model.name": "mlp",
    "model.width": 8,
}
PARTS = sections(TINY)
SCHEMA = entries(PARTS)


@pytest.fixture
def executed(monkeypatch, tmp_path):
    """Stand in for the run itself: what it was asked to do."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(TEXT)
    calls: list = []
    fake = types.ModuleType("plateaus.jobs.run")
    fake.execute = lambda *arguments: calls.append(arguments) or 7
    monkeypatch.setitem(sys.modules, "plateaus.jobs.run", fake)
    return calls


def planned(executed, *words, preset="compared"):
    assert cli.main([f"--config=toy.py:{preset}", *words]) == 7
    return executed[-1][0]


def plan_of(variants, swept=None, **given):
    given = TINY | {name.replace("__", "."): value for name, value in given.items()}
    axis = {"variant": tuple(variants)} if swept is None else swept
    return checked_plan("tiny", PARTS, given, axis, "Tiny.", variants)


def execute(plan, place, **options):
    return run.execute(plan, Options(workdir=place, command="test", **options))


def held(place):
    return store.load(place / "results.nc")


# The config file and the command line.


def test_variants_are_the_first_axis_in_their_order(executed):
    plan = planned(executed)
    assert plan.sweep == {"variant": NAMES}
    assert plan.variants["bias 0.1"] == {"optim.gradient_bias": 0.1}
    assert plan.variants["nesterov"] == {"optim.name": "nesterov", "optim.learning_rate": 0.02}
    assert "variant" not in plan.config and plan.config["optim.gradient_bias"] == 0.0


def test_a_sweep_that_mentions_them_says_where_and_which(executed):
    plan = planned(executed, preset="last")
    assert list(plan.sweep.items()) == [
        ("data.subset", (1.0, 0.5)), ("variant", ("nesterov", "plain"))
    ]  # fmt: skip
    assert tuple(plan.variants) == NAMES


def test_the_command_line_chooses_among_them_or_sweeps_beside_them(executed):
    plan = planned(executed, "--sweep", "data.subset=1,.5", "--sweep=variant=plain, bias 0.1")
    assert plan.sweep == {"data.subset": (1.0, 0.5), "variant": ("plain", "bias 0.1")}
    plan = planned(executed, "--sweep", "data.subset=1,.5")
    assert list(plan.sweep.items()) == [("variant", NAMES), ("data.subset", (1.0, 0.5))]
    chosen = ["--sweep=optim.gradient_bias=0,1", "--sweep=variant=plain,nesterov"]
    assert planned(executed, *chosen).sweep["optim.gradient_bias"] == (0.0, 1.0)


def test_smoke_takes_a_few(executed):
    assert planned(executed, "--smoke").sweep == {"variant": ("plain", "bias 0.1", "nesterov")}


def test_an_override_of_what_a_variant_sets_is_told_of(executed, capsys):
    plan = planned(executed, "--config.optim.learning_rate=.3")
    assert plan.config["optim.learning_rate"] == 0.3
    assert capsys.readouterr().out == "optim.learning_rate is 0.3 but in variant 'nesterov'\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            [":compared", "--sweep=variant=plain,nestorov"],
            "variant = 'nestorov': no such variant; did you mean nesterov?",
        ),
        ([":compared", "--sweep=variant=zzz"], "'zzz': no such variant (known: plain, bias"),
        ([":compared", "--sweep=variant=plain,plain"], "variant = 'plain': given twice"),
        ([":compared", "--sweep=variant="], "variant: the sweep is empty"),
        ([":compared", "--config.variant=plain"], "is no field; use --sweep variant=plain"),
        (
            [":compared", "--sweep=optim.learning_rate=.1,.2"],
            'variants["nesterov"].optim.learning_rate = 0.02: is swept as well; keep one',
        ),
        ([":without", "--sweep=variant=plain"], "variant: this preset has no variants"),
        ([":broken"], "config.variants['plain'] must be a dict"),
    ],
)
def test_refused(words, line, executed, capsys):
    preset, *rest = words
    assert cli.main([f"--config=toy.py{preset}", *rest]) == 2
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1 and not executed


@pytest.mark.parametrize(
    ("variants", "line"),
    [
        (
            {"bias 0.03": {"optim.gradient_bais": 0.03}},
            'variants["bias 0.03"].optim.gradient_bais = 0.03: no such field; did you mean '
            "optim.gradient_bias?",
        ),
        (
            {"bias": {"optim.gradient_bias": "x"}},
            "variants[\"bias\"].optim.gradient_bias = 'x': must be a number in [0, ",
        ),
        ({"a": {"optim.name": "adm"}}, "variants[\"a\"].optim.name = 'adm': must be"),
        ({"long": {"steps": 400}}, 'variants["long"].steps = 400: is the same for a whole sweep'),
        ({"more": {"seeds": 4}}, 'variants["more"].seeds = 4: is the same for a whole sweep'),
        ({"other": {"task.name": "facts"}}, "variants[\"other\"].task.name = 'facts': is the same"),
        ({"a,b": {}}, "variants: 'a,b': a name must be text on one line without commas"),
        ({" a": {}}, "variants: ' a': a name must be"),
        ({3: {}}, "variants: 3: a name must be"),
        (  # the cross-field checks see each variant's setting
            {"plain": {}, "many": {"task.relevant_bits": 9}},
            'variants["many"].task.relevant_bits = 9: must be at most task.dimension (8)',
        ),
        (
            {"plain": {}, "few": {"task.dimension": 1}},
            'task.relevant_bits = 2: must be at most task.dimension (1) (in variants["few"])',
        ),
    ],
)
def test_variants_that_are_refused(variants, line):
    with pytest.raises(ConfigError) as refused:
        plan_of(variants)
    (problem,) = refused.value.problems
    assert line in problem and "\n" not in problem


def test_a_list_of_variants_in_a_list_of_them():
    with pytest.raises(ConfigError) as refused:
        plan_of(BIAS, {"variant": [["plain", "bias"]]})
    assert refused.value.problems == [
        "variant = ['plain', 'bias']: no such variant (known: plain, bias)"
    ]


def test_a_problem_of_the_base_is_told_once():
    with pytest.raises(ConfigError) as refused:
        plan_of(BIAS, task__relevant_bits=9)
    assert refused.value.problems == ["task.relevant_bits = 9: must be at most task.dimension (8)"]


# What a run is.


def test_a_knob_of_a_variant_is_used_in_its_runs_alone():
    more = {**BIAS, "stronger": {"optim.gradient_bias": 1.0}, "wide": {"model.width": 16}}
    plan, bare = plan_of(more), plan_of({}, {})
    plain, biased, wide = sweep.programs(plan, sweep.members(plan))
    (alone,) = sweep.programs(bare, sweep.members(bare))
    assert plain.address == alone.address and plain.used == alone.used
    assert biased.used == plain.used | {"optim.gradient_bias"}
    assert len(biased.members) == 4 and wide.config["model.width"] == 16
    assert sweep.setting(plan, biased.members[0])["optim.gradient_bias"] == 0.05


def test_a_name_holds_the_overrides_of_its_own_variant():
    plan = plan_of({**BIAS, "wide": {"model.width": 16}})
    names = [sweep.named(plan, member) for member in sweep.members(plan)]
    assert names[0] == [{"variant": "plain"}, 0]
    assert names[2] == [{"optim.gradient_bias": 0.05, "variant": "bias"}, 0]
    assert [sweep.unnamed(plan, name) for name in names] == list(sweep.members(plan))
    other = plan_of({"plain": {}, "bias": {"optim.gradient_bias": 0.06}})
    found = [sweep.unnamed(other, name) for name in names]
    assert found == [*sweep.members(other)[:2], None, None, None, None]
    assert identities.identity(other) == identities.identity(plan)


def test_a_batch_that_items_set_cannot_be_a_variant_s():
    plan = plan_of({"batch": {"batch": 4}}, batch_per_item=1.0, data__items=4)
    with pytest.raises(ConfigError, match="batch: cannot be swept where batch_per_item"):
        sweep.programs(plan, sweep.members(plan))


# Whole jobs.


@pytest.fixture(scope="module")
def whole(tmp_path_factory, drawing):
    place = tmp_path_factory.mktemp("variants") / "run"
    swept = {"data.subset": (1.0, 0.5), "variant": tuple(BIAS)}
    with drawing():
        assert execute(plan_of(BIAS, swept), place) == 0
    return place


def test_results_table_and_files_say_the_variants(whole):
    found = held(whole)
    assert found["variant"].values.tolist() == ["plain", "bias"]
    assert found["test_loss"].dims == ("data.subset", "variant", "seed", "eval_step")
    assert json.loads(found.attrs["baseline"]) == {"data.subset": 1.0, "variant": "plain"}
    assert json.loads(found.attrs["variants"]) == BIAS
    rows = statistics.summarise(found)
    assert [row.setting["variant"] for row in rows] == ["plain", "bias"] * 2
    assert [row.is_baseline for row in rows] == [True, False, False, False]
    assert csv_columns.csv_text(rows).startswith("data.subset,variant,runs")
    assert "baseline: data.subset=1, variant=plain" in table.text(rows)
    assert json.loads((whole / "config.json").read_text())["variants"] == BIAS
    text = (whole / "figures" / "plateau.svg").read_text()
    assert "<!-- bias -->" in text and "<!-- variant -->" in text
    assert (whole / "tensorboard" / "data.subset=0.5,variant=bias").is_dir()


def test_the_plain_variant_is_a_run_without_variants(whole, tmp_path):
    execute(plan_of({}, {"data.subset": (1.0, 0.5)}), tmp_path / "bare")
    ours = held(whole).sel(variant="plain", drop=True).drop_attrs()
    xr.testing.assert_identical(ours, held(tmp_path / "bare").drop_attrs())


def test_the_same_command_changes_nothing_and_more_runs_what_is_missing(tmp_path, capsys):
    place = tmp_path / "run"
    execute(plan_of(BIAS), place)
    before = held(place)
    capsys.readouterr()
    assert execute(plan_of(BIAS), place) == 0
    assert "nothing to do: all 4 runs are finished" in capsys.readouterr().out
    more = {**BIAS, "nesterov": {"optim.name": "nesterov"}}
    assert execute(plan_of(more), place) == 0
    assert "4 of 6 runs are finished already; 2 to run" in capsys.readouterr().out
    xr.testing.assert_identical(
        held(place).sel(variant=["plain", "bias"]).drop_attrs(), before.drop_attrs()
    )
    assert execute(plan_of(more, {"variant": ("nesterov",)}), place) == 0  # the others stay
    assert held(place)["variant"].values.tolist() == ["nesterov", "bias", "plain"]
    assert json.loads(held(place).attrs["baseline"]) == {"variant": "plain"}


def test_a_changed_override_does_not_find_the_old_runs(tmp_path, capsys):
    place = tmp_path / "run"
    execute(plan_of(BIAS), place)
    old = held(place)
    capsys.readouterr()
    other = {"plain": {}, "bias": {"optim.gradient_bias": 0.5}}
    assert execute(plan_of(other), place) == 0
    assert "2 of 4 runs are finished already; 2 to run" in capsys.readouterr().out
    new = held(place)
    np.testing.assert_array_equal(new.test_loss[0], old.test_loss[0])
    assert (new.test_loss[1, :, -1] != old.test_loss[1, :, -1]).all()
    execute(plan_of(other), tmp_path / "fresh")
    xr.testing.assert_identical(new, held(tmp_path / "fresh"))
    assert execute(plan_of(BIAS), place) == 0  # and the old ones are still there
    assert "nothing to do" not in capsys.readouterr().out
    xr.testing.assert_identical(held(place), old)


def test_an_interrupted_group_of_another_meaning_is_no_hint(tmp_path):
    plan = plan_of(BIAS)
    program = sweep.programs(plan, sweep.members(plan))[1]
    (chunk,) = sweep.chunks(plan, program, 4)
    begun.open_chunk(tmp_path, chunk)
    (group,) = begun.groups(tmp_path, plan)
    assert group[:3] == (list(chunk.members), chunk.address, None)
    other = plan_of({"plain": {}, "bias": {"optim.gradient_bias": 0.5}})
    assert begun.groups(tmp_path, other) == []


def test_a_dry_run_says_what_each_variant_is(tmp_path, capsys):
    more = {**BIAS, "stronger": {"optim.gradient_bias": 1.0, "optim.name": "nesterov", "batch": 8}}
    assert execute(plan_of(more), tmp_path / "run", dry_run=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "3 programs x 2 runs: 3 variants x 2 seeds"
    assert lines[2:8] == [
        "  2 runs: optim.name = 'sgd'",
        "  2 runs: optim.name = 'sgd', optim.gradient_bias in use",
        "  2 runs: optim.name = 'nesterov', optim.gradient_bias in use",
        "  plain: as configured",
        "  bias: optim.gradient_bias = 0.05",
        "  stronger: optim.gradient_bias = 1.0, optim.name = 'nesterov'",  # batch as in `plain`
    ]
    assert not (tmp_path / "run").exists()


def test_a_page_without_variants_is_what_it_was(executed):
    page = presets.load(presets.find("toy.py")[0], "without", "small", False)
    assert page.variants == {} and page.sweep == {"data.subset": (1.0, 0.5)}
    plan = planned(executed, preset="without")
    assert plan.variants == {} and sweep.named(plan, sweep.Member((1.0,), 0)) == [
        {"data.subset": 1.0}, 0
    ]  # fmt: skip


def test_norms_of_layers_are_recorded_where_asked_for(whole, tmp_path):
    """Of the layers of each variant's network; the rest of the results is what it was."""
    assert not [name for name in held(whole) if name.startswith("weight_norm")]
    assert not (whole / "figures" / "weight_norms.png").exists()
    variants = {
        "plain": {},
        "deep": {"model.depth": 3},
        "small": {"model.initialisation_scale": 0.5},
    }
    execute(plan_of(variants, weight_norms=True), tmp_path / "run")
    found = held(tmp_path / "run")
    norms = {name: found[name] for name in found if name.startswith("weight_norm_")}
    assert set(norms) == {
        f"weight_norm_{x}" for x in ("hidden_0", "hidden_1", "hidden_2", "readout")
    }
    plain, small = (found.sel(variant=name) for name in ("plain", "small"))
    for name, norm in norms.items():
        assert norm.dims == ("variant", "seed", "eval_step")
        there = np.isfinite(norm).all(("seed", "eval_step")).values.tolist()
        assert there == ([False, True, False] if name.endswith("_2") else [True] * 3)
        if not name.endswith("_2"):
            np.testing.assert_allclose(small[name][:, 0], 0.5 * plain[name][:, 0], rtol=1e-6)
            assert (plain[name][:, -1] != plain[name][:, 0]).all()
    assert (tmp_path / "run" / "figures" / "weight_norms.png").exists()
