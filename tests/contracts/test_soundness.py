"""Every registered task keeps to the contract, and every model says what the task's ideals say."""

import dataclasses

import pytest

from plateaus.build.registry import MODELS, PAIRS, TASKS
from plateaus.tasks.contract import Traced, fits, sound

pytestmark = pytest.mark.versions


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_sound(name):
    task = TASKS[name].make(TASKS[name].spec())
    assert list(sound(Traced(task, TASKS[name].knobs()))) == []


@pytest.mark.parametrize(("model", "name"), PAIRS, ids=[f"{model}-{name}" for model, name in PAIRS])
def test_every_model_fits_its_tasks(model, name):
    traced = Traced(TASKS[name].make(TASKS[name].spec()), TASKS[name].knobs())
    fields = {field.name for field in dataclasses.fields(MODELS[model].spec)}
    spec = MODELS[model].spec(**({"depth": 1} if "depth" in fields else {}))
    assert list(fits(MODELS[model].make(spec, traced.task, traced.example), traced)) == []
