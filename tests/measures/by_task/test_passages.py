"""When tasks escape and are learned: against a loop over steps on curves that are made up."""

import numpy as np

from plateaus.measures.by_task.passages import by_task, mixed

EVERY, WINDOWS = 20, 60


def curves(loss, error=None, count=None):
    """One run and one task: [1, W, 1] each."""
    loss = np.asarray(loss, np.float64)
    error = loss if error is None else np.asarray(error, np.float64)
    count = np.full(loss.size, 4.0) if count is None else np.asarray(count, np.float64)
    named = {"loss": loss, "error": error, "count": count}
    return {f"train_{name}_by_task": value[None, :, None] for name, value in named.items()}


def of(*args, below=0.1, **named):
    found = by_task(curves(*args, **named), EVERY, (below,))
    return {name.removesuffix("_by_task"): float(value[0, 0]) for name, value in found.items()}


def test_an_escape_is_the_first_mean_of_100_steps_below_the_threshold():
    """Five windows of 20; a step down at window 30 passes .8 when two of five are at 0.4."""
    loss = np.where(np.arange(WINDOWS) < 30, 1.0, 0.4)
    found = of(loss)
    means = [loss[max(0, w - 4) : w + 1].mean() for w in range(WINDOWS)]
    first = next(w for w in range(4, WINDOWS) if means[w] < 0.8)
    assert first == 31 and found["escape_step"] == EVERY * (first + 1)
    assert np.isnan(found["completion_step"]) and np.isnan(found["completion_sequences"])
    assert found["escape_sequences"] == 4 * EVERY * (first + 1)
    assert found["start_step"] == 0


def test_completion_has_its_own_curve_and_threshold():
    loss, error = np.full(WINDOWS, 0.5), np.where(np.arange(WINDOWS) < 40, 1.0, 0.15)
    assert of(loss, error)["escape_step"] == 100
    assert np.isnan(of(loss, error)["completion_step"])
    assert of(loss, error, below=0.2)["completion_step"] == EVERY * 45


def test_a_task_that_comes_later_is_counted_from_its_start():
    there = np.arange(WINDOWS) >= 10
    loss = np.where(there, np.where(np.arange(WINDOWS) < 30, 1.0, 0.4), np.nan)
    found = of(loss, count=np.where(there, 6.0, 0.0))
    assert found["start_step"] == 200
    assert found["escape_step"] == EVERY * 32 - 200
    assert found["escape_sequences"] == 6 * EVERY * 22


def test_a_task_that_is_never_drawn_has_no_passage():
    found = of(np.full(WINDOWS, np.nan), count=np.zeros(WINDOWS))
    assert all(np.isnan(value) for value in found.values())


def test_runs_and_tasks_are_told_apart():
    rng = np.random.default_rng(0)
    loss = 1.0 - np.cumsum(rng.uniform(0, 0.04, (3, WINDOWS, 2)), axis=1)
    count = rng.uniform(1, 5, loss.shape)
    named = {"loss": loss, "error": loss, "count": count}
    many = by_task({f"train_{n}_by_task": x for n, x in named.items()}, EVERY, (0.3, 0.5))
    for run in range(3):
        for task, below in enumerate((0.3, 0.5)):
            alone = of(loss[run, :, task], count=count[run, :, task], below=below)
            for name, value in alone.items():
                np.testing.assert_array_equal(many[f"{name}_by_task"][run, task], value)
    assert np.isfinite(many["escape_step_by_task"]).all()


def test_mixed_prompts_are_answered_from_the_first_mean_of_three_above_a_half():
    """Each mixture by its own tasks' answers together; a NaN passes nothing."""
    rng = np.random.default_rng(0)
    steps = EVERY * np.arange(12)
    p = np.cumsum(rng.uniform(0, 0.06, (2, 12, 3, 2)), axis=1)
    p[1, :, 2] = 0.1  # never
    p[0, 6, 1, 0] = np.nan
    share = np.broadcast_to([[0.5, 0.5], [0.9, 0.1], [0.0, 1.0]], p.shape).copy()
    share[0, 0, 1] = [1.0, 0.0]  # by chance no example is of the second, once
    found = mixed({"mixed_probability": p, "mixed_share": share}, steps)["mixed_step"]
    assert found.shape == (2, 3)
    for run, mixture in np.ndindex(2, 3):
        mass = p[run, :, mixture].sum(axis=-1) if mixture < 2 else p[run, :, 2, 1]
        above = [t for t in range(2, 12) if mass[t - 2 : t + 1].mean() > 0.5]
        np.testing.assert_equal(found[run, mixture], steps[above[0]] if above else np.nan)
    assert np.isfinite(found[:, :2]).all() and mixed({}, steps) == {}


def test_the_step_of_a_run_does_not_hang_on_its_neighbours():
    """A task so rare that one run never shows it, and another does, is of the other's mixture."""
    p = np.full((2, 4, 1, 2), [[0.4, 0.2]])
    share = np.full((2, 4, 1, 2), [[1.0, 0.0]])
    share[1, 2] = [[0.9, 0.1]]
    both = mixed({"mixed_probability": p, "mixed_share": share}, np.arange(4))["mixed_step"]
    alone = mixed({"mixed_probability": p[:1], "mixed_share": share[:1]}, np.arange(4))
    np.testing.assert_array_equal(both[:1], alone["mixed_step"])
    np.testing.assert_array_equal(both, [[np.nan], [2.0]])
