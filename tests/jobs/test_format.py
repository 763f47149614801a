"""The format of run folders stands for the random streams and the arithmetic that runs came from.

What a seed draws, and what a short run of it comes to, is written down in
`tests/fixtures/streams.json`. If a change makes this test fail, runs of before and after must not
be pooled: raise `identities.FORMAT`, say so in `identities.poolable`, and write the file anew by
`python -c "from test_format import renew; renew()"` in this folder.
"""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from plateaus import evaluation, train
from plateaus.build.recipes import make_recipe, sections, stack_knobs, used_knobs
from plateaus.build.registry import TASKS
from plateaus.config.plan import checked_plan
from plateaus.jobs import identities
from plateaus.types import Draw, streams

pytestmark = pytest.mark.versions

FILE = Path(__file__).parents[1] / "fixtures" / "streams.json"
SEED = 5
PARITY = {"task.name": "sparse_parity", "model.name": "mlp", "model.width": 8, "batch": 8}
LINEAR = {
    **{"task.name": "linear_regression", "task.dimension": 3, "task.points": 4, "batch": 8},
    **{"model.name": "transformer", "model.width": 8, "model.depth": 1, "model.heads": 2},
    **{"optim.name": "adam", "optim.learning_rate": 0.01, "task.dmmse_tasks": 16},
}
FAMILIES = {**LINEAR, "task.name": "in_context", "task.families": "linear,relu"}
FAMILIES = {name: value for name, value in FAMILIES.items() if name != "task.dmmse_tasks"}
DESIGNS = {
    "uniform": PARITY,
    "zipf": {**PARITY, "data.zipf_exponent": 1.0},
    "subset": {**PARITY, "data.subset": 0.1},
    "curriculum": {**PARITY, "data.curriculum_start": 50, "data.curriculum_step": 2},
    "epochs": {**PARITY, "data.order": "epochs", "task.dataset_size": 40},
    "mixture": FAMILIES,
}
RUNS = {
    "parity": {**PARITY, "optim.learning_rate": 0.1},
    "linear regression": LINEAR,
    "pcgrad": {**PARITY, "optim.aggregator": "pcgrad", "optim.learning_rate": 0.1},
}
SMALL = {  # what the defaults cost says nothing of streams
    "linear_regression": {"dimension": 3, "points": 4, "dmmse_tasks": 16},
}


def parts(given):
    """A recipe and the knobs of one run of it."""
    lengths = {"steps": 20, "eval_every": 10, "log_every": 10, "eval_points": 32, "seeds": 1}
    chosen = sections(given)
    plan = checked_plan("golden", chosen, {**lengths, **given}, {})
    used = used_knobs(plan.schema, plan.config, {})
    knobs = jax.tree.map(lambda x: x[0], stack_knobs(plan.resolved, [plan.config]))
    return make_recipe(plan.resolved, used), knobs


def digest(tree):
    """A digest of numbers that are the same on every machine: floats to two places."""
    content = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        if array.dtype.kind == "f":
            array = np.round(array.astype(np.float64), 2) + 0.0
        content.update(np.ascontiguousarray(array).astype("<f8").tobytes())
    return content.hexdigest()[:16]


def keys():
    """The keys of a run, by purpose."""
    return jax.tree.map(jax.random.key_data, jax.jit(streams)(np.uint32(SEED)))


def draws(name):
    """What some steps of a design draw."""
    recipe, knobs = parts(DESIGNS[name])

    def drawn(seed, knobs, steps):
        key = streams(seed).data
        plan = recipe.source.prepare(knobs, recipe.task.size)
        state = recipe.source.init(key)
        return jax.vmap(lambda t: recipe.source.draw(key, state, plan, t))(steps)

    return jax.jit(drawn)(np.uint32(SEED), knobs.data, np.arange(0, 20, 4, dtype=np.int32))


def examples(name):
    """A training and a test example of a task."""
    task, knobs = TASKS[name].make(TASKS[name].spec(**SMALL.get(name, {}))), TASKS[name].knobs()

    def emitted(seed, number):
        run = streams(seed)
        world = task.init(run.world)
        index = number % task.size
        draw = Draw(index, number % max(1, len(task.group_names)))
        return (
            task.emit(run.noise, world, draw, task.at(knobs, 0)),
            task.emit_test(run.test, world, number),
        )

    return jax.jit(emitted)(np.uint32(SEED), np.int32(3))


def losses(name):
    """The test losses of a short run."""
    recipe, knobs = parts(RUNS[name])

    def whole(seed, knobs, start):
        laws, _ = evaluation.laws(recipe, seed, knobs)
        state, before = train.init(recipe, seed, knobs, laws)
        _, measured = train.phase(recipe, state, seed, knobs, laws, start)
        return before["test_loss"], measured.evaluation["test_loss"], measured.train_loss

    found = jax.jit(whole)(np.uint32(SEED), knobs, np.int32(0))
    return np.concatenate([np.ravel(x) for x in found]).tolist()


def renew():
    """Write the file as things are now."""
    content = {
        "format": identities.FORMAT,
        "keys": digest(keys()),
        "draws": {name: digest(draws(name)) for name in DESIGNS},
        "examples": {name: digest(examples(name)) for name in TASKS if name != "text"},
        "losses": {name: losses(name) for name in RUNS},
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n")


HELD = json.loads(FILE.read_text())


def test_the_format_is_the_one_that_was_written_down():
    assert HELD["format"] == identities.FORMAT
    assert digest(keys()) == HELD["keys"]


@pytest.mark.parametrize("name", HELD["draws"])
def test_designs_draw_what_they_drew(name):
    assert digest(draws(name)) == HELD["draws"][name]


@pytest.mark.parametrize("name", HELD["examples"])
def test_tasks_emit_what_they_emitted(name):
    assert digest(examples(name)) == HELD["examples"][name]


@pytest.mark.parametrize("name", HELD["losses"])
def test_short_runs_come_to_what_they_came_to(name):
    np.testing.assert_allclose(losses(name), HELD["losses"][name], rtol=2e-3)


def test_every_task_has_an_entry():
    """Those of files have none: a corpus is its own."""
    assert {*HELD["examples"], "text"} == set(TASKS)
