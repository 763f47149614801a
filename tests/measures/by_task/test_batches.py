"""Steps against the batch: laws that are known, and the figure of made-up results."""

import json
import math

import numpy as np
import pytest

from plateaus.measures.by_task import batches
from plateaus.measures.by_task import rows as by_task
from plateaus.report import statistics

SIZES = [8, 32, 128, 512]
TASKS = ("linear", "relu")
SETS = {"linear": (0,), "linear + relu": (0, 1)}


def law(slope, knee, seeds=8, noise=0.02):
    """Steps that fall by a power law to a batch, and stay: [B, S]."""
    rng = np.random.default_rng(0)
    exact = 2000.0 * (np.minimum(SIZES, knee) / SIZES[0]) ** slope
    return exact[:, None] * np.exp(noise * rng.standard_normal((len(SIZES), seeds)))


@pytest.mark.parametrize(("slope", "knee", "end"), [(-0.54, 512, "largest"), (-1.0, 128, "stop")])
@pytest.mark.parametrize("seeds", [4, 8])
def test_the_exponent_and_the_place_where_it_ends_are_those_of_the_law(slope, knee, end, seeds):
    found = batches.fall(SIZES, law(slope, knee, seeds))
    assert found.slope.value == pytest.approx(slope, abs=0.02)
    assert (found.first, SIZES[found.last], found.end) == (0, knee, end)
    assert math.isfinite(found.slope.low) == (seeds == 8)
    if seeds == 8:
        assert found.slope.low < slope < found.slope.high
    assert np.exp(found.level) * 8**found.slope.value == pytest.approx(2000, rel=0.02)


def test_steps_that_rise_or_stay_have_no_law():
    assert batches.fall(SIZES, law(0.0, 512)) is None
    assert batches.fall(SIZES, law(0.3, 512)) is None
    assert batches.fall(SIZES, np.full((4, 8), np.nan)) is None


def test_what_is_not_measured_is_left_out():
    steps = law(-0.5, 512)
    steps[0, 3] = np.nan  # a seed that had not escaped by the horizon
    found = batches.fall(SIZES, steps, floor=300)  # the largest batch has 250 steps
    assert (found.first, found.last, found.end) == (1, 2, "unmeasured")
    assert found.slope.value == pytest.approx(-0.5, abs=0.05)


@pytest.fixture(scope="module")
def results(make_results):
    """Linear alone and beside relu, at four batches: the mixture draws half of it, and is as fast
    as linear alone at twice its batch."""
    swept = {"variant": [*SETS], "batch": SIZES}
    seeds, horizon = 8, 4000
    base = make_results(swept, np.full((2, 4), 1000.0), seeds, horizon, 50, {"variant": "linear"})
    shape, steps = (2, 4, seeds), base["step"].values
    start, escape = np.full((*shape, 2), np.nan), np.full((*shape, 2), np.nan)
    count = np.zeros((*shape, steps.size, 2))
    for v, tasks in enumerate(SETS.values()):
        for b, size in enumerate(SIZES):
            own = size / len(tasks)
            for g in tasks:
                start[v, b, :, g] = 0.0
                escape[v, b, :, g] = 2000 * (own / 8) ** -0.5 + np.arange(seeds)
                count[v, b, ..., g] = own
    sequences = escape * np.nan_to_num(count[..., 0, :])
    dims = ("variant", "batch", "seed", "task")
    new = {
        "start_step_by_task": (dims, start),
        "escape_step_by_task": (dims, escape),
        "completion_step_by_task": (dims, np.full_like(escape, np.nan)),
        "escape_sequences_by_task": (dims, sequences),
        "train_count_by_task": ((*dims[:3], "step", "task"), count),
        "train_loss_by_task": ((*dims[:3], "step", "task"), np.where(count, 1, np.nan)),
        "test_loss_by_task": (
            (*dims[:3], "eval_step", "task"), np.ones((*shape, base["eval_step"].size, 2))
        ),
        "batch_size": (dims[:3], np.broadcast_to(np.array(SIZES)[:, None], shape)),
    }  # fmt: skip
    dataset = base.assign(new).assign_coords(task=list(TASKS))
    dataset.attrs["config"] = json.dumps({"log_every": 20})
    return dataset


def test_a_mixture_stands_beside_a_task_alone_with_as_many_prompts_of_it(results):
    rows = statistics.summarise(results)
    figure = batches.batches(results, rows, by_task.summarise(results, rows))
    above, below = figure.axes[0], figure.axes[len(TASKS)]
    lines = [
        {float(x): float(y) for x, y in zip(*line.get_data(), strict=True)}
        for axes in (above, below)
        for line in axes.get_lines()
        if line.get_linestyle() == "-" and len(line.get_xdata()) == len(SIZES)
    ]
    alone, mixed, alone_by_own, mixed_by_own = lines
    assert [*alone] == [*mixed] == [*alone_by_own] == SIZES and [*mixed_by_own] == [4, 16, 64, 256]
    for size in SIZES:
        assert alone[size] == pytest.approx(2000 * (size / 8) ** -0.5 + 3.5, abs=1)
        assert mixed[size] == mixed_by_own[size / 2]
    texts = [text.get_text() for text in above.get_legend().get_texts()]
    assert texts == ["-0.50 [-0.50, -0.50], beyond 512"] * 2


def test_without_a_sweep_over_batches_there_is_no_figure(results):
    two = results.isel(batch=[0, 1])
    rows = statistics.summarise(two)
    assert batches.batches(two, rows, by_task.summarise(two, rows)) is None
