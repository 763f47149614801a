"""Work that was begun and not ended: what goes on, what starts again, what is cleared away."""

import pytest

from plateaus.build.recipes import sections
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import begun, checkpoint, folder, run, sweep, tracing, worker
from plateaus.report import store

pytestmark = pytest.mark.versions

TINY = {
    "steps": 40,
    "batch": 4,
    "seeds": 3,
    "eval_every": 10,
    "log_every": 10,
    "eval_points": 16,
    "task.name": "sparse_parity",
    "task.dimension": 4,
    "task.relevant_bits": 1,
    "task.dataset_size": 100,
    "model.name": "mlp",
    "model.width": 4,
}
SWEEP = {"data.zipf_exponent": (0.0, 1.0)}


def plan_of(**given):
    return checked_plan("tiny", sections(TINY), {**TINY, **given}, SWEEP)


def execute(plan, place, **options):
    return run.execute(plan, Options(workdir=place, command="test", **options))


def all_in_one(plan):
    (program,) = sweep.programs(plan, sweep.members(plan))
    return sweep.chunk(plan, program, program.members)


def running(place):
    return sorted(path.name for path in (place / "checkpoints" / "running").iterdir())


@pytest.fixture
def stop_after_two(monkeypatch):
    """A function that executes a plan until its second checkpoint is written."""

    def stopped(plan, place, **options):
        saves, real = [], checkpoint.save

        def save(*arguments):
            saves.append(real(*arguments))
            if len(saves) == 2:
                raise KeyboardInterrupt
            return saves[-1]

        with monkeypatch.context() as patch:
            patch.setattr(worker, "CHECKPOINT_SECONDS", -1.0)
            patch.setattr(checkpoint, "save", save)
            with pytest.raises(KeyboardInterrupt):
                execute(plan, place, **options)

    return stopped


def test_a_note_without_a_checkpoint_holds_no_group_together(tmp_path):
    """Killed before its first checkpoint, a chunk of six is cut anew for a width of two."""
    plan, place = plan_of(), tmp_path / "run"
    begun.open_chunk(place, all_in_one(plan))
    folder.write_config(place, plan)
    assert execute(plan, place, runs_per_batch=2) == 0
    assert len(list((place / "checkpoints" / "finished").glob("*.npz"))) == 3


def test_a_checkpoint_of_another_width_is_not_gone_on_from(tmp_path, stop_after_two):
    plan, place = plan_of(), tmp_path / "run"
    stop_after_two(plan, place, runs_per_batch=6)
    with pytest.raises(ConfigError, match="would not go on bit for bit: width was 6, is 2"):
        execute(plan, place, runs_per_batch=2)
    assert execute(plan, place, runs_per_batch=2, allow_inexact_resume=True) == 0
    assert (store.load(place / "results.nc").status == store.FINISHED).all()


def test_a_chunk_is_never_larger_than_the_width():
    plan = plan_of()
    chunk = all_in_one(plan)
    with pytest.raises(AssertionError, match="6 runs in a chunk of 2"):
        tracing.arguments(plan, chunk, 2)
    cut = sweep.chunks(plan, chunk.program, 2, [chunk.members])
    assert [len(one.members) for one in cut] == [2, 2, 2]


@pytest.mark.parametrize("note", ["[]", "3", '{"members": [[[], 0]]}', '{"members": [[{}, []]]}'])
def test_a_note_that_is_none_is_passed_over(note, tmp_path):
    place = begun.open_chunk(tmp_path, all_in_one(plan_of()))
    assert len(begun.groups(tmp_path, plan_of())) == 1
    (place / "chunk.json").write_text(note)
    assert begun.groups(tmp_path, plan_of()) == []


def test_work_that_other_observations_begin_again_is_told_of_and_cleared_away(
    tmp_path, stop_after_two, capsys
):
    place = tmp_path / "run"
    stop_after_two(plan_of(), place)
    (old,) = running(place)
    capsys.readouterr()
    assert execute(plan_of(weight_norms=True), place, dry_run=True) == 0
    said = f"warning: 6 interrupted run(s) start again: checkpoints/running/{old} was made with ot"
    assert said in capsys.readouterr().err and running(place) == [old]
    assert execute(plan_of(weight_norms=True), place) == 0
    assert running(place) == []
    capsys.readouterr()
    assert execute(plan_of(), place, dry_run=True) == 0
    assert "start again" not in capsys.readouterr().err


def test_runs_begun_beside_others_that_are_not_asked_for_start_again(
    tmp_path, stop_after_two, capsys
):
    place = tmp_path / "run"
    stop_after_two(plan_of(), place)
    (old,) = running(place)
    capsys.readouterr()
    assert execute(plan_of(seeds=2), place, dry_run=True) == 0
    said = f"4 interrupted run(s) start again: checkpoints/running/{old} was made together with"
    assert said in capsys.readouterr().err


def test_checkpoints_of_finished_runs_are_cleared_away_and_others_are_not(tmp_path):
    plan, more, place = plan_of(seeds=1), plan_of(seeds=2), tmp_path / "run"
    assert execute(plan, place) == 0
    begun.open_chunk(place, all_in_one(plan))
    kept = begun.open_chunk(place, all_in_one(more))
    assert execute(plan, place) == 0  # nothing is left to run
    assert running(place) == [kept.name]
