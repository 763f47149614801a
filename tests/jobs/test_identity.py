"""What a run is: what its folder's name and its program's address hold, and what old folders do."""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import xarray as xr

from plateaus.build.recipes import sections
from plateaus.build.registry import MODELS, PAIRS, TASKS
from plateaus.config.component import Resolved
from plateaus.config.plan import checked_plan
from plateaus.config.schema import ConfigError, entries
from plateaus.fields import Field, joined
from plateaus.jobs import cli, identities, sweep
from plateaus.measures import registry as instruments
from plateaus.report import store

pytestmark = pytest.mark.versions

OLD = Path(__file__).parents[1] / "fixtures" / "run_of_format_2"  # made by commit 36863bf
PARITY = {"task.name": "sparse_parity", "model.name": "mlp"}
SWEEP = {"data.subset": (1.0, 0.5)}
# Fields that have no neutral value: no new one may be without (see the test that reads this).
WITHOUT_NEUTRAL = Path(__file__).parents[1] / "fixtures" / "fields_without_neutral.txt"


def plan_of(parts, given=None, swept=None):
    return checked_plan(
        "tiny", parts, {**PARITY, **(given or {})}, SWEEP if swept is None else swept
    )


def described(plan):
    """What a run of a plan is called, in all its names."""
    programs = sweep.programs(plan, sweep.members(plan))
    names = [sweep.named(plan, member) for member in sweep.members(plan)]
    addresses = [(p.address, sweep.chunk(plan, p, p.members).address) for p in programs]
    return identities.identity(plan), addresses, names


def with_field(component, field, kind=int, default=0):
    """A component with one more spec field, as a later version would have it."""
    more = {"added_later": (Annotated[kind, field], default)}
    return component._replace(spec=joined(component.spec, more))


def with_knob(component, field):
    knobs = joined(component.knobs, {"added_later": (Annotated[float, field], 0.25)})
    return component._replace(knobs=knobs)


NEUTRAL = Field(help="added later", low=0, neutral=0)


@pytest.mark.parametrize("section", ["", "task", "data", "model", "optim"])
def test_a_neutral_field_that_is_added_changes_nothing(section):
    parts = sections(PARITY)
    before = described(plan_of(parts))
    more = {**parts, section: with_field(parts[section], NEUTRAL)}
    assert described(plan_of(more)) == before
    name = f"{section}.added_later" if section else "added_later"
    assert described(plan_of(more, {name: 3})) != before  # it is there, and acts off its neutral
    knob = Field(help="added later", low=0.0, neutral=0.25)
    with_more = {**parts, section: with_knob(parts[section], knob)}
    assert described(plan_of(with_more)) == before
    assert described(plan_of(with_more, {name: 0.5}))[0] != before[0]


@pytest.mark.parametrize("default", [0, 7])
def test_an_observation_that_is_added_changes_nothing_whatever_it_looks_at(default):
    parts = sections(PARITY)
    before = described(plan_of(parts))
    look = Field(help="looked at", low=0, observes=True)
    more = {**parts, "": with_field(parts[""], look, default=default)}
    assert described(plan_of(more)) == before
    identity, addresses, names = described(plan_of(more, {"added_later": 5}))
    assert (identity, names) == (before[0], before[2])
    assert addresses != before[1]  # another program, of the same run


def test_a_field_without_a_neutral_value_is_part_of_what_a_run_is():
    parts = sections(PARITY)
    more = {**parts, "model": with_field(parts["model"], Field(help="added later"))}
    assert described(plan_of(more))[0] != described(plan_of(parts))[0]


def test_fields_of_instruments_observe_and_no_others():
    observing = set(instruments.FIELDS)
    for model, task in PAIRS:
        table = entries(sections({"task.name": task, "model.name": model}))
        assert {name for name, entry in table.items() if entry.field.observes} == observing


def every_field():
    """Every field of every pair, by the component that declares it; those of groups by kind."""
    for model, task in PAIRS:
        parts = sections({"task.name": task, "model.name": model})
        groups = parts["task"].groups(parts["task"].spec()) if parts["task"].groups else ()
        for name, entry in entries(parts).items():
            owner = {"task": f"{task}: ", "model": f"{model}: "}.get(name.split(".")[0], "")
            group = next((group for group in groups if name.endswith(f"_{group}")), None)
            yield owner + (name if group is None else f"{name.removesuffix(group)}GROUP"), entry


def test_no_new_field_is_without_a_neutral_value():
    """Such a field would make every finished run folder of its section another experiment.

    Give it `neutral=`, the value at which all is as it was; the list holds what was there before.
    """
    without = {name for name, entry in every_field() if entry.idle is None}
    known = set(WITHOUT_NEUTRAL.read_text().split("\n")) - {""}
    assert without - known == set()
    assert known - without == set()  # a list that says no more than there is


def test_every_neutral_value_is_allowed():
    for name, entry in every_field():
        if entry.field.neutral is not None:
            assert entry.field.contains(entry.field.neutral), name
            assert type(entry.field.neutral) in (entry.kind, int), name


def test_all_tasks_and_models_are_covered():
    assert {model for model, _ in PAIRS} == set(MODELS)
    assert {task for _, task in PAIRS} == set(TASKS)


# Run folders: the ones that are there, and how they are told apart.

WORDS = [
    "--config=configs/sparse_parity.py:zipf",
    *(f"--config.task.{n}" for n in ("relevant_bits=2", "dimension=8", "dataset_size=1000")),
    *(f"--config.{n}" for n in ("model.width=8", "steps=400", "batch=8", "eval_every=100")),
    *("--config.log_every=50", "--config.eval_points=128", "--sweep", "data.zipf_exponent=0,1"),
]


@pytest.fixture
def old(tmp_path):
    place = tmp_path / "runs" / "sparse_parity-zipf-0123456789"  # as an old version named it
    shutil.copytree(OLD, place)
    return place


def held_by(path):
    return json.loads((path / "config.json").read_text())


def test_a_folder_of_format_2_opens_and_shows_its_runs(old, capsys):
    assert cli.main([*WORDS, "--seeds=2", f"--workdir={old}"]) == 0
    text = capsys.readouterr().out
    assert "4 of 4 runs are finished already; 0 to run" in text and "mean plateau" in text
    before, after = (store.load(place / "results.nc") for place in (OLD, old))
    assert (after.ended_by == store.ENDINGS.index("horizon")).all()
    xr.testing.assert_equal(
        before.drop_attrs(), after.drop_vars(["ended_by", "device", "exactness"]).drop_attrs()
    )
    assert cli.main([*WORDS, "--seeds=2", f"--workdir={old}"]) == 0
    assert "nothing to do: all 4 runs are finished" in capsys.readouterr().out


def test_a_folder_of_format_2_is_found_without_being_named(old, monkeypatch, capsys):
    monkeypatch.chdir(old.parents[1])
    assert cli.main([*WORDS, "--seeds=2", "--dry-run"]) == 0
    assert f"the folder would be runs/{old.name}" in capsys.readouterr().out
    assert cli.main([*WORDS, "--seeds=2", "--dry-run", "--config.model.activation=tanh"]) == 0
    assert old.name not in capsys.readouterr().out


def found(monkeypatch, capsys, old, *words):
    """What a dry run says of the folder that it would take."""
    monkeypatch.chdir(old.parents[1])
    assert cli.main([*WORDS, "--seeds=2", "--dry-run", *words]) == 0
    return capsys.readouterr().out


def test_a_folder_of_format_2_keeps_its_name_and_its_note(old, monkeypatch, capsys):
    """Also after a session of this version, which writes config.json again."""
    found(monkeypatch, capsys, old)
    shutil.rmtree(old / "tensorboard", ignore_errors=True)  # something is left to be written
    assert cli.main([*WORDS, "--seeds=2"]) == 0
    words = ["--config.weight_norms=true"]
    said = found(monkeypatch, capsys, old, *words)
    assert f"would be runs/{old.name}" in said
    assert "note: 4 finished runs here were not observed with weight_norms = True" in said


def test_a_folder_that_was_moved_away_is_not_taken(old, monkeypatch, capsys):
    broken = old.rename(old.with_name(f"{old.name}.broken"))
    said = found(monkeypatch, capsys, broken)
    assert f"note: runs/{broken.name} holds runs of this experiment, too" in said
    assert "finished already" not in said and f"would be runs/{broken.name}" not in said


def test_of_several_folders_the_best_is_taken(old, monkeypatch, capsys):
    """Observed as asked for first, then the one with the most runs; the others are named."""
    fewer, seen = (old.with_name(f"{old.name[:-10]}{c * 10}") for c in "0f")
    for other in (fewer, seen):
        shutil.copytree(old, other)
        for path in sorted((other / "checkpoints" / "finished").iterdir()):
            path.unlink()
    content = held_by(seen)
    content["config"]["weight_norms"] = True
    (seen / "config.json").write_text(json.dumps(content))
    said = found(monkeypatch, capsys, old)
    assert f"would be runs/{old.name}" in said
    assert f"runs/{fewer.name}, runs/{seen.name} hold runs of this experiment, too" in said
    assert f"would be runs/{seen.name}" in found(
        monkeypatch, capsys, old, "--config.weight_norms=true"
    )


def test_a_neighbour_that_is_damaged_is_passed_over(old, monkeypatch, capsys):
    first = old.with_name(f"{old.name[:-10]}0000000000")
    first.mkdir()
    for text in ("[]", '{"identity": {"format": 3, "config": [], "swept": []}}', '"x"'):
        (first / "config.json").write_text(text)
        assert f"would be runs/{old.name}" in found(monkeypatch, capsys, old)


def test_checkpoints_of_what_is_not_said_are_no_run_s(old, capsys):
    (old / "config.json").unlink()
    for path in old.iterdir():
        if path.name != "checkpoints":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    words = [*WORDS, "--seeds=2", f"--workdir={old}", "--config.optim.learning_rate=0.7"]
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{old} holds checkpoints, and no config.json" in line and "move the folder" in line


def test_runs_are_not_added_to_format_2_without_a_word(old, capsys):
    assert cli.main([*WORDS, "--seeds=3", f"--workdir={old}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "would not match bit for bit" in line and "were not recorded" in line
    assert "Use another --workdir, or --allow-inexact-resume" in line
    assert held_by(old)["identity"]["format"] == 2  # nothing was written


def test_an_observation_that_old_runs_lack_is_said_to_be_missing(old, capsys):
    words = [*WORDS, "--seeds=2", f"--workdir={old}", "--config.weight_norms=true"]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "note: 4 finished runs here were not observed with weight_norms = True" in text
    assert "another --workdir trains them with it" in text


@pytest.mark.parametrize(
    ("field", "value", "message", "both"),
    [
        ("model.activation", "tanh", "is 'relu' there, 'tanh' here", "relu,tanh"),
        ("data.subset", ".5", "is 1.0 there, 0.5 here", "1.0,0.5"),  # 1: left out
        ("optim.gradient_bias", ".5", "is 0.0 there, 0.5 here", "0.0,0.5"),
        ("optim.name", "adam", "is 'sgd' there, 'adam' here", "sgd,adam"),
    ],
)
def test_a_refusal_names_what_differs_in_effect_and_how_to_hold_both(
    old, field, value, message, both, capsys
):
    words = [*WORDS, "--seeds=2", f"--workdir={old}", f"--config.{field}={value}"]
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    way = f"--sweep {field}={both} holds both; or use another --workdir"
    assert line == f"error: {old} holds another experiment: {field} {message}. {way}"
    words = [*WORDS, "--seeds=2", f"--workdir={old}", "--sweep", f"{field}={both}", "--dry-run"]
    assert cli.main([*words, "--allow-inexact-resume"]) == 0  # the way on is one
    assert "4 of 8 runs are finished already; 4 to run" in capsys.readouterr().out


def rewritten(place, change):
    content = held_by(place)
    change(content["identity"])
    (place / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i["config"].update({"model.gone": 3}), "model.gone is 3 there, absent here"),
        (lambda i: i["config"].pop("batch"), "batch is absent there, 8 here"),
        (lambda i: i.update(swept=["model.gone"]), "model.gone is swept there, and no field here"),
        (lambda i: i.update(swept=["variant"]), "swept there, and the plan here has no variants"),
        (lambda i: i.update(format=1), "holds runs of format 1, this version makes format"),
        (lambda i: i.update(format=99), "holds runs of format 99, this version makes format"),
        (lambda i: i.pop("config"), "damaged; move the folder away to start anew"),
        (lambda i: i.update(config=[]), "damaged; move the folder away to start anew"),
        (lambda i: i.update(swept=[1]), "damaged; move the folder away to start anew"),
    ],
)
def test_what_is_on_one_side_only_is_said_to_be_absent(old, change, message, capsys):
    rewritten(old, change)
    assert cli.main([*WORDS, "--seeds=2", f"--workdir={old}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and "None" not in line


def test_a_field_that_has_become_neutral_since_is_no_difference(old, capsys):
    """Whatever stands where nothing happens is left out of both sides."""
    rewritten(old, lambda identity: identity["config"].pop("data.subset"))
    assert cli.main([*WORDS, "--seeds=2", f"--workdir={old}", "--dry-run"]) == 0


def test_a_name_that_is_a_number_now_and_was_an_integer_is_the_same():
    parts = sections(PARITY)
    plan = plan_of(parts, {"optim.learning_rate": 1})
    held = json.loads(json.dumps(identities.identity(plan)))
    assert identities._as_of_now(held, plan) == held
    assert held["config"]["optim.learning_rate"] == 1.0


@pytest.mark.parametrize("order", ("replacement", "epochs"))
def test_runs_of_an_earlier_format_are_as_good_unless_their_streams_were_others(order):
    plan = plan_of(sections(PARITY), {"data.order": order})
    ours = json.loads(json.dumps(identities.identity(plan)))
    for earlier in (2, 3, 4):
        there = {**ours, "format": earlier}
        pools = order == "replacement" or earlier == 4
        assert (identities._as_of_now(there, plan) == ours) == pools
    with_variant = plan_of(sections(PARITY))
    with_variant.variants["shuffled"] = {"data.order": "epochs"}
    assert identities.poolable(with_variant) == (4, 5)


@pytest.mark.parametrize(
    "given",
    [
        {"optim.aggregator": "pcgrad"},
        {"task.random_label_steps": 10},
        {"data.order": "epochs", "optim.aggregator": "pcgrad"},
    ],
    ids=lambda given: "-".join(given),
)
def test_runs_of_format_4_are_others_where_a_loss_was_rounded_otherwise(given):
    assert identities.poolable(plan_of(sections(PARITY), given)) == (5,)
    swept = checked_plan("x", sections(PARITY), PARITY, {name: (v,) for name, v in given.items()})
    assert identities.poolable(swept) == (5,)


def test_the_digest_of_a_plan_is_that_of_its_neighbours_in_time():
    """The name of a folder, spelt out: if this changes, every folder's name does."""
    plan = plan_of(sections(PARITY))
    assert identities.identity(plan)["format"] == identities.FORMAT == 5
    assert set(identities.identity(plan)["config"]) <= set(plan.config)
    assert "weight_norms" not in identities.identity(plan)["config"]
    assert np.isfinite(int(identities.digest(identities.identity(plan)), 16))


def test_plans_of_no_schema_have_names_too():
    plan: Any = sweep.Plan("x", Resolved({"a": 1}, {}, {}), {}, "")
    assert identities.identity(plan)["config"] == {"a": 1}
    with pytest.raises(ConfigError):
        plan_of(sections(PARITY), {"nothing": 1})
