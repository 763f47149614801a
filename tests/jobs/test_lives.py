"""The life of a run: its event, its budget, more steps, what is kept, what is seen on the way."""

import os
import signal
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from plateaus import train
from plateaus.build import mixing_cost
from plateaus.build.recipes import sections
from plateaus.config.lives import Keep
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import checkpoint, endings, lanes, live, preparing, results, run, weights, worker
from plateaus.jobs.budget import Budget
from plateaus.report import store
from plateaus.report.store import ENDINGS
from plateaus.variables import Variable

pytestmark = pytest.mark.versions

BASE = {
    "steps": 120,
    "batch": 8,
    "seeds": 5,
    "eval_every": 10,
    "log_every": 5,
    "eval_points": 128,
    "task.name": "sparse_parity",
    "task.dimension": 8,
    "task.relevant_bits": 1,
    "task.dataset_size": 1000,
    "model.name": "mlp",
    "model.width": 8,
    "optim.learning_rate": 0.02,
}
SWEPT = {"data.zipf_exponent": (0.0, 1.0)}
STATE, WEIGHTS = Keep(state=True), Keep(weights=True, steps=(0, 50, 120))

KILLED = """
import os, signal, sys
from plateaus.jobs import checkpoint, worker
worker.CHECKPOINT_SECONDS = -1.0  # a checkpoint at every phase
real, saves = checkpoint.save, []
def save(folder, arrays, meta):
    saves.append(real(folder, arrays, meta))
    if len(saves) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return saves[-1]
checkpoint.save = save
from plateaus.jobs.cli import main
sys.exit(main(sys.argv[2:]))
"""


def plan_of(chosen=None, swept=SWEPT, **given):
    fields = {**BASE, **{name.replace("__", "."): value for name, value in given.items()}}
    return checked_plan("tiny", sections(fields), fields, swept, seeds=chosen)


def execute(plan, place, **options):
    assert run.execute(plan, Options(workdir=place, command="test", **options)) == 0
    return plain(place)


def plain(place):
    """The results without the words of the plan, which are not the preset's."""
    return store.load(place / "results.nc").assign_attrs(title="", config="")


def killed(place, saves, *words, **given):
    """Run the same job in its own process, which is killed after some checkpoints."""
    fields = {**BASE, **given}
    command = [sys.executable, "-c", KILLED, str(saves), "--config=configs/sparse_parity.py"]
    command += [f"--config.{name}={v}" for name, v in fields.items() if not name.endswith("name")]
    command += ["--sweep", "data.zipf_exponent=0,1", "--workdir", str(place), *words]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", **os.environ}
    ended = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=180
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def same(ours, theirs, without=()):
    xr.testing.assert_identical(ours.drop_vars(without), theirs.drop_vars(without))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results of all runs, to the horizon."""
    return execute(plan_of(), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def escaped(tmp_path_factory):
    """The folder of the runs until they escaped, with their states, and its results."""
    place = tmp_path_factory.mktemp("escaped") / "run"
    return place, execute(plan_of(), place, stop_when="escaped", keep=STATE)


def test_a_run_ends_at_its_event(whole, escaped):
    """Its record is that of the whole run, until there; after it, nothing is known."""
    _, ours = escaped
    event = whole.escape_step
    assert len(np.unique(event)) > 3 and not event.isnull().any() and event.max() < 120
    assert (ours.ended_by == ENDINGS.index("escaped")).all()
    assert (ours.status == store.FINISHED).all()
    np.testing.assert_array_equal(ours.last_step, event)
    np.testing.assert_array_equal(ours.escape_step, event)
    assert ours.sizes["eval_step"] == int(event.max()) // 10 + 1
    for name, time in (("test_loss", "eval_step"), ("train_loss", "step")):
        known = whole[name].isel({time: slice(ours.sizes[time])})
        xr.testing.assert_equal(ours[name], known.where(known[time] <= event))


def test_a_record_does_not_depend_on_the_neighbours(escaped, tmp_path):
    slow = int(escaped[1].last_step.sel({"data.zipf_exponent": 0}).values.argmax())
    alone = execute(plan_of(chosen=(slow,)), tmp_path / "alone", stop_when="escaped")
    same(
        alone.drop_attrs(),
        escaped[1]
        .sel(seed=[slow])
        .isel(eval_step=slice(alone.sizes["eval_step"]), step=slice(alone.sizes["step"]))
        .drop_attrs(),
    )


def test_runs_that_ended_at_an_event_go_on(whole, escaped, tmp_path, monkeypatch, capsys):
    """To the bits of the whole, also killed on the way; with the event wanted they are finished."""
    place, ours = escaped
    again = execute(plan_of(), place, stop_when="escaped")
    assert "nothing to do: all 10 runs are finished" in capsys.readouterr().out
    same(again, ours)
    killed(tmp_path / "run", 3, "--stop-when=escaped", "--keep=state")
    assert not (tmp_path / "run" / "checkpoints" / "states").exists()
    begins, real = [], worker._beginning
    monkeypatch.setattr(worker, "_beginning", lambda *a: begins.append(real(*a)) or begins[-1])
    for folder in (place, tmp_path / "run"):
        same(execute(plan_of(), folder), whole)
    assert all(saved is not None and saved[1]["phases"] > 0 for saved in begins)


def test_without_their_state_they_start_again(whole, tmp_path, capsys):
    execute(plan_of(), tmp_path / "run", stop_when="escaped")
    same(execute(plan_of(), tmp_path / "run"), whole)
    assert "10 runs of these ended early, and start again" in capsys.readouterr().out


def test_more_steps_have_the_bits_of_a_longer_run(whole, tmp_path, capsys):
    place = tmp_path / "run"
    execute(plan_of(steps=60), place, keep=STATE)
    assert run.execute(plan_of(), Options(workdir=place, dry_run=True)) == 0
    assert "10 runs of these go on from step 60, with their kept state" in capsys.readouterr().out
    same(execute(plan_of(), place), whole)


def test_more_steps_after_a_kill(whole, tmp_path):
    """Killed while the first steps are trained, and again while the others are."""
    place = tmp_path / "run"
    killed(place, 4, "--keep=state", steps=60)
    execute(plan_of(steps=60), place, keep=STATE)
    killed(place, 3)
    assert len(list((place / "checkpoints" / "running").iterdir())) == 1
    same(execute(plan_of(), place), whole)


def test_some_runs_of_a_chunk_go_on_alone(whole, tmp_path):
    place = tmp_path / "run"
    execute(plan_of(steps=60), place, keep=STATE)
    two = execute(plan_of(chosen=(1, 3)), place)
    assert (two.sel(seed=[0, 2, 4]).status == store.UNFINISHED).all()
    assert (two.sel(seed=[0, 2, 4]).last_step == 60).all()
    same(two.sel(seed=[1, 3]).drop_attrs(), whole.sel(seed=[1, 3]).drop_attrs())


def test_more_steps_without_a_state_are_refused(tmp_path):
    place = tmp_path / "run"
    before = execute(plan_of(steps=60), place)
    with pytest.raises(ConfigError, match="holds runs of 60 steps, and the state of 10 of"):
        execute(plan_of(), place)
    same(plain(place), before)
    assert execute(plan_of(steps=60), place).attrs["horizon"] == 60


def test_more_steps_are_refused_where_the_last_one_matters(tmp_path):
    """The training law of the last step is what the pool's test points are drawn from."""
    place = tmp_path / "run"
    given = {"data__curriculum_start": 20, "data__curriculum_step": 1, "pool_points": 16}
    execute(plan_of(steps=60, swept={}, **given), place, keep=STATE)
    with pytest.raises(ConfigError, match="which are no beginning of runs of 120: with the last"):
        execute(plan_of(swept={}, **given), place)


def test_a_new_seed_does_not_open_the_way_to_more_steps(tmp_path):
    """Neither guard looks at the runs of the command alone: results show all side by side."""
    place = tmp_path / "run"
    given = {"data__curriculum_start": 20, "data__curriculum_step": 1, "pool_points": 16}
    execute(plan_of(steps=60, swept={}, chosen=(0,), **given), place, keep=STATE)
    with pytest.raises(ConfigError, match="which are no beginning of runs of 120"):
        execute(plan_of(swept={}, chosen=(1,), **given), place)
    bare = tmp_path / "bare"
    execute(plan_of(steps=60, swept={}, chosen=(0,)), bare)
    with pytest.raises(ConfigError, match="the state of 1 of them was not kept"):
        execute(plan_of(swept={}, chosen=(1,)), bare)


def test_more_steps_until_an_event(whole, tmp_path):
    """A run that had escaped by its old horizon ended there by its event, not by a budget."""
    place = tmp_path / "run"
    last = int(whole.escape_step.max())
    steps = last - 10
    execute(plan_of(steps=steps), place, keep=STATE)
    ours = execute(plan_of(), place, stop_when="escaped")
    assert (ours.ended_by == ENDINGS.index("escaped")).all()
    assert (ours.status == store.FINISHED).all()
    np.testing.assert_array_equal(ours.escape_step, whole.escape_step)
    assert set(ours.last_step.values.flat) == {steps, last}


def test_a_checkpoint_outlives_a_command_that_wants_less(whole, tmp_path):
    place = tmp_path / "run"
    killed(place, 11)
    for _ in range(2):
        assert (execute(plan_of(), place, stop_when="escaped").last_step < 100).all()
        (kept,) = (place / "checkpoints" / "running").iterdir()
        assert checkpoint.newest_meta(kept)["phases"] == 10
    same(execute(plan_of(), place), whole)
    assert not list((place / "checkpoints" / "running").iterdir())


def test_runs_on_their_way_to_fewer_steps_are_in_the_way_of_more(tmp_path):
    place = tmp_path / "run"
    killed(place, 3, steps=60)
    with pytest.raises(ConfigError, match=r"10 run\(s\) that were stopped on their way to 60 st"):
        execute(plan_of(), place)
    assert execute(plan_of(steps=60), place).attrs["horizon"] == 60


def test_a_damaged_record_is_written_anew_in_its_place(whole, tmp_path, capsys):
    place = tmp_path / "run"
    execute(plan_of(), place)
    (data,) = (place / "checkpoints" / "finished").glob("*.npz")
    data.with_name(f"{data.name}.json").unlink()
    same(execute(plan_of(), place), whole)
    assert [*(place / "checkpoints" / "finished").glob("*.npz")] == [data]
    capsys.readouterr()
    execute(plan_of(), place)
    assert "passed over" not in capsys.readouterr().err


def test_a_damaged_state_is_a_warning(whole, tmp_path, capsys):
    place = tmp_path / "run"
    execute(plan_of(), place, stop_when="escaped", keep=STATE)
    (state,) = (place / "checkpoints" / "states").glob("*.npz")
    state.write_bytes(state.read_bytes()[:-1])
    same(execute(plan_of(), place), whole)
    assert "kept state passed over, its runs start again" in capsys.readouterr().err


def test_the_models_before_the_one_that_is_kept_have_no_event():
    """What a proxy learns is not what the run learns."""
    losses = np.asarray([[1.0, 0.1, 0.1, 0.1, 1.0, 1.0, 0.1, 0.1, 0.1]])
    bounds = {"uninformed_loss": np.ones((1, 1)), "best_loss": np.zeros((1, 1))}
    curves = {"test_loss": losses, **bounds}
    assert endings.event_steps(curves, 10, "escaped") == [20]
    assert endings.event_steps(curves, 10, "escaped", before=40) == [70]
    assert np.isnan(endings.event_steps({**curves, "test_loss": losses[:, :5]}, 10, "escaped", 40))
    config = {"data.proxy_steps": 40, "eval_every": 10, "log_every": 10}
    declared = {"test_loss": Variable("loss")}
    kept = mixing_cost.kept_model(config, {"test_loss": losses[:, :3]}, declared)
    assert np.isnan(kept["test_loss"]).all()


def test_an_event_at_the_horizon_cuts_nothing_off():
    never = np.full(2, train.NEVER)
    ended = endings.ends(np.asarray([120.0, 60.0]), never, 120, 120, "escaped")
    assert [ENDINGS[ending] for ending in ended.ending] == ["horizon", "escaped"]
    assert ended.step.tolist() == [120, 60]


def test_fewer_steps_are_another_experiment(escaped):
    with pytest.raises(ConfigError, match="steps is 120 there, 60 here"):
        execute(plan_of(steps=60), escaped[0])


def test_the_first_seeds_of_all_settings_come_first(tmp_path):
    plan = plan_of(swept={"data.zipf_exponent": (0.0, 0.5, 1.0)})
    options = Options(workdir=tmp_path, budget=60.0, runs_per_batch=4)
    made = preparing.prepare(plan, options, tmp_path, print)
    seeds = [member.seed for chunk in made.chunks for member in chunk.members]
    assert seeds == sorted(seeds) and seeds.count(0) == 3


class Clock:
    """A budget that is spent once a chunk has come so far."""

    def __init__(self, after):
        self.after, self.seen = after, 0

    def left(self):
        return 1e9

    def spent(self):
        return self.seen >= self.after

    def overdrawn(self):
        return False


def test_a_budget_ends_with_records_that_go_on(whole, tmp_path, monkeypatch, capsys):
    """What it stopped is in the results, as far as it came."""
    clock, add = Clock(3), worker.Curves.add

    def counted(curves, measured):
        add(curves, measured)
        clock.seen += 1
        while clock.seen == 3 and not stopping:
            pass

    real, stopping = lanes.compute, []

    def compute(job, stop, *others):
        set_stop = stop.set
        monkeypatch.setattr(stop, "set", lambda: (set_stop(), stopping.append(1)))
        return real(job, stop, *others)

    monkeypatch.setattr(run, "Budget", lambda *_: clock)
    monkeypatch.setattr(worker.Curves, "add", counted)
    monkeypatch.setattr(lanes, "compute", compute)
    place = tmp_path / "run"
    ours = execute(plan_of(), place, budget=1.0)
    said = capsys.readouterr().out
    assert "the budget is spent: 0 of 10 runs are finished, 10 stopped on their way" in said
    assert (ours.status == store.UNFINISHED).all()
    assert (ours.ended_by == ENDINGS.index("stopped")).all()
    (last,) = set(ours.last_step.values.flat)
    assert 30 <= last < 120 and ours.sizes["eval_step"] == last // 10 + 1
    known = whole.test_loss.isel(eval_step=slice(ours.sizes["eval_step"]))
    xr.testing.assert_equal(ours.test_loss, known)
    monkeypatch.undo()
    same(execute(plan_of(), place), whole)


def test_runs_that_go_on_are_shown_as_far_as_they_came(whole, tmp_path):
    """Not as they ended before, of which there is a record as well."""
    place = tmp_path / "run"
    execute(plan_of(steps=60), place, keep=STATE)
    killed(place, 3)
    made = preparing.prepare(plan_of(), Options(workdir=place), place, print)
    both = live.so_far(made)
    assert {int(record["last_step"]) for record in both.records.values()} == {80}
    for member, record in both.records.items():
        longer = whole.test_loss.sel({"data.zipf_exponent": member.values[0], "seed": member.seed})
        np.testing.assert_array_equal(record["test_loss"], longer[:9])


def test_a_budget_and_a_kill(whole, tmp_path):
    killed(tmp_path / "run", 5, "--budget=1h")
    same(execute(plan_of(), tmp_path / "run", budget=3600.0), whole)


def test_a_device_that_cannot_be_stopped_is_left(tmp_path, monkeypatch, capsys):
    """A phase, or compiling, may take longer than the budget allows."""
    clock, left = Clock(0), []
    monkeypatch.setattr(clock, "overdrawn", lambda: True)
    monkeypatch.setattr(run, "Budget", lambda *_: clock)
    monkeypatch.setattr(run, "leave", left.append)
    plan = plan_of(swept={})
    assert run.execute(plan, Options(workdir=tmp_path / "run", budget=1.0)) == 0
    assert left == [0] and "0 of 5 runs are finished" in capsys.readouterr().out


@pytest.mark.thorough
def test_a_budget_is_kept_with_compiling_and_reports(tmp_path):
    """From the start of the process to its end, on a machine where other tests run."""
    command = [sys.executable, "experiments/run.py", "--config=configs/sparse_parity.py"]
    command += ["--config.steps=100000", "--seeds=64", "--sweep", "data.subset=1,.1"]
    command += ["--budget=20s", "--workdir", str(tmp_path / "run")]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ended = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=40, env={**os.environ}
    )
    assert ended.returncode == 0, ended.stderr
    assert "the budget is spent" in ended.stdout
    assert (plain(tmp_path / "run").last_step > 0).any()


def test_results_appear_while_runs_are_under_way(whole, tmp_path, monkeypatch):
    """Every report is whole, and what it holds of a run is the beginning of its record."""
    monkeypatch.setattr(live, "SECONDS", 0.0)
    monkeypatch.setattr(live, "SHARE", 1e9)
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", -1.0)
    place, seen = tmp_path / "run", []
    write = results.write

    def seeing(plan, folder, finished, warn):
        if any(record["last_step"] < 120 for record in finished.records.values()):
            write(plan, folder, finished, warn)
            seen.append(plain(folder))
        else:
            write(plan, folder, finished, warn)

    monkeypatch.setattr(results, "write", seeing)
    real = lanes.worker.run_chunk

    def slow(*arguments):
        stop, tell = arguments[8], arguments[6]

        def waiting(report):
            tell(report)
            count = len(seen)
            for _ in range(300):
                if len(seen) > count or len(seen) > 1 or stop.is_set():
                    return
                stop.wait(0.05)

        return real(*arguments[:6], waiting, *arguments[7:])

    monkeypatch.setattr(lanes.worker, "run_chunk", slow)
    same(execute(plan_of(), place), whole)
    assert seen
    for some in seen:
        assert (some.status == store.UNFINISHED).all()
        length = some.sizes["eval_step"]
        xr.testing.assert_equal(some.test_loss, whole.test_loss.isel(eval_step=slice(length)))


@pytest.mark.parametrize(("cost", "between"), [(0.1, 60.0), (6.0, 300.0)])
def test_reports_take_a_fiftieth_of_the_time_at_most(cost, between, monkeypatch):
    now, written = [0.0], []
    monkeypatch.setattr(live.devices, "cores", lambda: 1)

    class Timed(live.Reports):
        def _write(self):
            written.append(now[0])
            now[0] += cost

    report = Timed(None, Budget(None), print, lambda: now[0])
    while len(written) < 3:
        report()
        now[0] += 0.5
    assert between - 1e-6 <= written[2] - written[1] - cost <= between + 1


def test_a_report_that_fails_stops_nothing(tmp_path, monkeypatch, capsys):
    said = []

    class Failing(live.Reports):
        def _write(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(live, "SECONDS", 0.0)
    report = Failing(None, Budget(None), said.append)
    report()
    assert len(said) == 1 and "No space left" in said[0]
    report._next = 0.0  # it tries again, in silence
    report()
    assert len(said) == 1


@pytest.mark.programs(60)
def test_weights_are_kept_loaded_and_measured(tmp_path, capsys):
    """Also of a killed run; an instrument reads them as it would have while they trained."""
    observed = execute(plan_of(weight_norms=True), tmp_path / "observed")
    killed(tmp_path / "run", 7, "--keep=weights=0,50,120")
    capsys.readouterr()
    ours = execute(plan_of(), tmp_path / "run", keep=WEIGHTS)
    assert "no weights of steps before" not in capsys.readouterr().err  # they are there
    loaded = weights.load(tmp_path / "run")
    assert [(one.setting, one.seed, one.step) for one in loaded[:4]] == [
        *(({"data.zipf_exponent": 0.0}, 0, step) for step in (0, 50, 120)),
        ({"data.zipf_exponent": 0.0}, 1, 0),
    ]
    assert "data.zipf_exponent=0.0; seed 0, step 0: " in repr(loaded[0])
    assert loaded[0].apply(loaded[0].params, jnp.ones(8))[0].shape == ()
    measured = weights.measure(tmp_path / "run", weight_norms=True)
    assert measured.eval_step.values.tolist() == [0, 50, 120]
    then = observed.sel(eval_step=[0, 50, 120])
    norms = [name for name in then if name.startswith("weight_norm")]
    assert norms
    for name in (*norms, "test_loss", "test_accuracy"):
        xr.testing.assert_allclose(measured[name].drop_attrs(), then[name].drop_attrs(), 1e-6)
    assert "weight_norm_readout" not in ours
    with pytest.raises(ConfigError, match="steps: is no field that only observes"):
        weights.measure(tmp_path / "run", steps=240)


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(ConfigError, match="not a run folder"):
        weights.load(tmp_path / "nothing")
    execute(plan_of(swept={}), tmp_path / "run")
    with pytest.raises(ConfigError, match="keeps no weights; train with --keep weights"):
        weights.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("keep", "event", "said"),
    [
        (
            Keep(weights=True, steps=(55,)),
            None,
            "every 10 steps up to 120: 55 is none",
        ),
        (Keep(weights=True), "escaped", "--keep weights with --stop-when escaped: each"),
    ],
)
def test_steps_at_which_weights_cannot_be_kept(keep, event, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        execute(plan_of(), tmp_path / "run", keep=keep, stop_when=event)
    assert not (tmp_path / "run").exists()
