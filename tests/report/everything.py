"""Made-up results of everything that some task and every instrument declare, with any endings."""

import numpy as np

from plateaus.build.recipes import sections
from plateaus.build.soundness import shapes_of
from plateaus.config.plan import checked_plan
from plateaus.jobs import records
from plateaus.report import store
from plateaus.variables import EVALUATIONS, WINDOWS

SEQUENCES = {
    **{"model.name": "transformer", "model.width": 8, "model.depth": 2, "model.heads": 2},
    "model.positions": "rotary",
}
WORLDS = {
    "regression": {
        **{"task.name": "linear_regression", "task.dmmse_tasks": 4, "pool_points": 4},
        **{"task.out_of_distribution": True, **SEQUENCES},
    },
    "learners": {"task.name": "linear_regression", "task.baselines": True, **SEQUENCES},
    "points": {"task.name": "in_context", "task.families": "linear,relu,quadratic", **SEQUENCES},
    "facts": {"task.name": "facts", "eval_points": 800, **SEQUENCES},
    "mixture": {"task.name": "characters", "task.families": "ret1,ret2,ret3", **SEQUENCES},
}
LENGTHS = {
    **{"layer": 2, "head": 2, "draw": 3, "prefix": 4, "back": 3, "bin": 20, "stream_layer": 3},
    **{"path": 5, "point": 6, "coordinate": 3},
}
MIXTURES = ["1:0:0", "0:1:0", "0:0:1", "1:1:1"]
# Of a mixture: which tasks each setting draws, the first of them alone, and what comes late.
DRAWN = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2), (0, 1, 2), (0, 1))
LATE = 8, 1  # in this setting this task
GIVEN = {"seeds": 1, "batch": 4, "log_every": 5, "eval_every": 10}


def results(world, steps=2000, seeds=2, names=()):
    """Results of two settings, or of nine mixtures, their runs all at the horizon.

    With `names`: of as many variants so named, the first of them the baseline. With None for
    them: of a command that sweeps nothing.
    """
    given = {**GIVEN, "steps": steps, **WORLDS[world]}
    plan = checked_plan("tiny", sections(given), given, {})
    groups = shapes_of(plan.resolved.sections["task"], plan.resolved.spec("task"))[0].group_names
    declared = records.variables(plan.resolved)
    labels = {"task": groups, "answer": groups, "mixture": MIXTURES} if groups else {}
    labels["cloud"] = [*groups, *MIXTURES] if groups else []
    lengths = LENGTHS | {name: len(names) for name, names in labels.items() if names}
    times = {EVALUATIONS: steps // 10 + 1, WINDOWS: steps // 5}
    rng = np.random.default_rng(0)
    values = tuple(i / 2 for i in range(len(DRAWN) if groups else 2))
    if names:
        values = tuple(names)
    sweep = {"variant" if names else "data.zipf_exponent": values} if names is not None else {}
    settings = [(value,) for value in values] if sweep else [()]
    runs = {
        (setting, seed): _record(rng, declared, lengths, times, steps)
        for setting in settings
        for seed in range(seeds)
    }
    for (setting, _), record in runs.items():
        if groups:
            _draw(record, settings.index(setting) % len(DRAWN) if sweep else -3)
    runs[settings[0], 0]["escape_step"] = np.float64(np.nan)
    attributes = {
        "title": f"made-up {world}",
        "config": {**plan.config, "data.switch": "escape"},
        "swept": list(sweep),
        "baseline": {name: values[0] for name in sweep},
        "variants": {},
        "horizon": steps,
        "contents": "none",
    }
    return store.assemble(runs, sweep, 5, 10, attributes, declared, labels)


def _record(rng, declared, lengths, times, steps):
    """One run: losses that fall from 1, everything else anywhere between 0 and 1."""
    record = {}
    for name, variable in declared.items():
        axes = tuple(lengths.get(axis, 2) for axis in variable.axes)
        if variable.time:
            count = times[variable.time]
            fall = 1 / (1 + (np.arange(count) / count / rng.uniform(0.2, 0.6)) ** 4)
            fall = fall.reshape(-1, *[1] * len(axes))
            record[name] = (fall * rng.uniform(0.8, 1.2, (count, *axes))).astype(np.float32)
        elif "_step" in name or "sequences" in name:
            record[name] = rng.choice(np.arange(10, steps, 10), axes).astype(np.float64)
        else:
            record[name] = rng.uniform(0.1, 0.9, axes).astype(np.float32)
    record["escape_step"], record["half_step"] = np.float64(steps // 4), np.float64(steps // 2)
    record["completion_step"] = np.float64(steps // 2 + 10 * rng.integers(0, 40))
    record |= {"status": np.int8(1), "last_step": np.int32(steps), "ended_by": np.int8(1)}
    record |= {"parameters": np.int64(100), "batch_size": np.int32(rng.integers(4, 9))}
    for name in ("vector_layer_used", "vector_shift_layer_used"):
        if name in record:
            record[name] = np.ones_like(record[name])
    if "compute" in record:
        record["compute"] = np.linspace(0, steps, times[EVALUATIONS], dtype=np.float32)
    return record


def _draw(record, setting):
    """Let a run draw the tasks of its setting only."""
    start = np.full(3, np.nan)
    start[list(DRAWN[setting])] = 0.0
    if setting == LATE[0]:
        start[LATE[1]] = 400.0
    record["start_step_by_task"] = start
    for name in record:
        if name.endswith("_by_task") and ("escape" in name or "completion" in name):
            record[name] = np.where(np.isnan(start), np.nan, record[name])
    count = record["train_count_by_task"]
    steps = 5 * np.arange(1, len(count) + 1)
    record["train_count_by_task"] = np.where(steps[:, None] > start, count, 0).astype(np.float32)


def ended(dataset, endings):
    """The results with other endings: (setting, seed) -> (why, last step)."""
    dataset = dataset.copy(deep=True)
    statuses = {"stopped": 3, "diverged": 2, "not_run": 0}
    for (setting, seed), (why, last) in endings.items():
        dataset["status"][setting, seed] = statuses.get(why, 1)
        dataset["ended_by"][setting, seed] = store.ENDINGS.index(why)
        dataset["last_step"][setting, seed] = last
        for name, variable in dataset.data_vars.items():
            where = {"data.zipf_exponent": setting, "seed": seed}
            for time in {EVALUATIONS, WINDOWS} & {*variable.dims}:
                later = np.flatnonzero(dataset[time].values > last)
                dataset[name][where | {time: later}] = np.nan
            if name.removesuffix("_by_task").endswith("_step") and name != "last_step":
                run = dataset[name][where]
                dataset[name][where] = run.where(run <= last)
    return dataset


def every(dataset, why, last):
    """The results with all runs ended so."""
    cells = np.ndindex(*dataset["status"].shape)
    return ended(dataset, {cell: (why, last) for cell in cells})


def cut(dataset, last):
    """The results without the columns after a step: they go as far as their longest run."""
    return dataset.sel({EVALUATIONS: slice(None, last), WINDOWS: slice(None, last)})
