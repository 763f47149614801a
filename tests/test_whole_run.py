"""`train.run`, a run as one function, against what a command writes for the same seeds."""

import functools

import jax
import numpy as np
import pytest

from plateaus import train
from plateaus.build.recipes import make_recipe, sections
from plateaus.config.plan import Options, checked_plan
from plateaus.fields import INFINITE
from plateaus.jobs import devices, run, sweep, tracing
from plateaus.report import store

MLP = {
    "steps": 200,
    "batch": 8,
    "seeds": 2,
    "eval_every": 50,
    "log_every": 25,
    "eval_points": 64,
    "task.name": "sparse_parity",
    "task.dimension": 8,
    "task.relevant_bits": 2,
    "task.dataset_size": 1000,
    "model.name": "mlp",
    "model.width": 8,
}
TRANSFORMER = {
    "steps": 12,
    "batch": 4,
    "seeds": 2,
    "eval_every": 4,
    "log_every": 2,
    "eval_points": 16,
    "pool_points": 16,
    "task.name": "linear_regression",
    "task.dimension": 2,
    "task.points": 3,
    "task.dmmse_tasks": 4,
    "model.name": "transformer",
    "model.width": 8,
    "model.depth": 1,
    "model.heads": 2,
    "model.max_positions": 6,
}
WORLDS = {
    "mlp": (MLP, {"data.zipf_exponent": (0.0, 1.0)}),
    "transformer": (TRANSFORMER, {"data.items": (4, INFINITE)}),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_run_has_the_bits_of_the_command(name, exact_jit, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "jit", exact_jit)  # as users compile, here and in the command
    base, swept = WORLDS[name]
    plan = checked_plan("tiny", sections(base), base, swept, "A tiny world.")
    assert run.execute(plan, Options(workdir=tmp_path / "run", command="test")) == 0
    written = store.load(tmp_path / "run" / "results.nc")
    (program,) = sweep.programs(plan, sweep.members(plan))
    recipe = make_recipe(program.resolved, program.used)
    width = devices.width(tracing.held(program, recipe).parameters, "cpu")
    (chunk,) = sweep.chunks(plan, program, width)
    seeds, knobs = tracing.arguments(plan, chunk, width)
    ended = jax.jit(jax.vmap(functools.partial(train.run, recipe)))(seeds, knobs)
    (axis,) = swept
    for place, member in enumerate(chunk.members):
        one = written.sel({axis: member.values[0], "seed": member.seed})
        for variable, values in {**ended.curves, **ended.levels}.items():
            np.testing.assert_array_equal(values[place], one[variable], f"{variable}, {member}")
        assert ended.state.diverged_at[place] == train.NEVER
