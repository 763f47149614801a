"""What runs record is what is declared, for every task; and what a task's own names may be."""

import jax
import jax.numpy as jnp
import pytest

from plateaus import evaluation, train
from plateaus.build.recipes import make_recipe, sections, stack_knobs
from plateaus.build.registry import PAIRS, TASKS
from plateaus.config.plan import checked_plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import records
from plateaus.tasks import recorded
from plateaus.tasks.laws.sparse_parity import Spec, sparse_parity
from plateaus.types import OtherLaw
from plateaus.variables import ONCE, WINDOWS, faults

SMALL = {"steps": 2, "eval_every": 2, "log_every": 1, "seeds": 1, "pool_points": 4}
TINY = {"model.width": 8, "model.depth": 1}
OWN = {
    "facts": {"eval_points": 800},
    "linear_regression": {"task.dmmse_tasks": 4, "task.out_of_distribution": True},
    "in_context": {"task.families": "linear,relu"},
    "sparse_parity": {"optim.aggregator": "pcgrad"},
    "characters": {"data.mixer": "dga", "data.round_steps": 1},
}
EVALUATED = sorted({*TASKS} - {"text"})  # whose corpus is of files


@pytest.mark.parametrize("name", EVALUATED)
def test_what_a_task_records_is_declared(name):
    """Shapes only: the samples of the laws, a start, and a phase of training."""
    given = {**SMALL, **next({"model.name": m, "task.name": t} for m, t in PAIRS if t == name)}
    given |= OWN.get(name, {}) | ({} if given["model.name"] == "dual_encoder" else TINY)
    plan = checked_plan("tiny", sections(given), given, {})
    recipe = make_recipe(plan.resolved, frozenset(n for n, e in plan.schema.items() if e.knob))
    knobs = jax.tree.map(lambda x: x[0], stack_knobs(plan.resolved, [plan.config]))

    def run(knobs, start):
        laws, constants = evaluation.laws(recipe, 0, knobs)
        state, measured = train.init(recipe, 0, knobs, laws)
        return constants, measured, train.phase(recipe, state, 0, knobs, laws, start)[1].training

    constants, measured, training = jax.eval_shape(run, knobs, jnp.int32(0))
    declared = records.variables(plan.resolved)
    shapes = {n: x.shape for part in (constants, measured) for n, x in part.items()}
    shapes |= {n: x.shape[1:] for n, x in training.items()}  # without the windows
    assert not list(faults(declared, shapes, len(recipe.task.group_names), ()))
    assert {declared[n].time for n in constants} == {ONCE}
    assert {declared[n].time for n in training} <= {WINDOWS}
    assert set(recorded.variables(recipe.task, evaluated(constants))) == {*constants, *measured}


def evaluated(constants):
    """The predictors of a task, as the constants of a run name them."""
    return {n.removeprefix("test_loss_of_") for n in constants if n.startswith("test_loss_of_")}


def test_names_that_hold_one_another_are_told_apart():
    """No variable is known by a part of its name: neither a metric nor an instrument's."""
    task = sparse_parity(Spec(dimension=4, relevant_bits=2))
    names = ("error", "error_total", "mixed_accuracy", "attention_error")
    task = task._replace(metrics=dict.fromkeys(names), axes={"error": "place"})
    found = recorded.variables(task, ("zero",))
    assert found["test_error"].dims == ("eval_step", "place")
    assert found["test_error_of_zero"].dims == ("place",)
    for name in names[1:]:
        assert found[f"test_{name}"].dims == ("eval_step",)


def test_a_name_that_every_run_records_is_no_name_for_a_law(monkeypatch):
    """A law `attention` with a measure `induction` would hide what its instrument records."""
    given = {**SMALL, **TINY, "task.name": "sparse_parity", "model.name": "mlp"}
    resolved = checked_plan("tiny", sections(given), given, {}).resolved
    task = sparse_parity(Spec())
    other = OtherLaw(task.emit_test, {"induction": task.loss})
    clashing = task._replace(laws={"attention": other})
    monkeypatch.setattr(records, "shapes_of", lambda *_: (clashing, None))
    with pytest.raises(ConfigError, match="attention_induction: of every run"):
        records.variables(resolved)
