"""Attention and curvature by a config's fields: what a run records, and what is refused."""

import json

import numpy as np
import pytest

from plateaus.build.recipes import sections
from plateaus.build.soundness import shapes_of
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import run
from plateaus.measures.attention import instrument as attention
from plateaus.report import store

TINY = {
    "steps": 4,
    "batch": 4,
    "seeds": 2,
    "eval_every": 2,
    "log_every": 1,
    "eval_points": 8,
    "task.name": "linear_regression",
    "task.dimension": 2,
    "task.points": 4,
    "task.dmmse_tasks": 4,
    "model.name": "transformer",
    "model.width": 8,
    "model.depth": 1,
    "model.heads": 4,
    "model.max_positions": 8,
    "model.initialisation": "lecun_normal",
    "optim.learning_rate": 1e-2,
}
MEASURED = {
    "attention_scores": True,
    "ablated_heads": 1,
    "ablation_draws": 3,
    "sharpness_steps": 2,
    "sharpness_batches": 2,
}
PARITY = {"task.name": "sparse_parity", "model.name": "mlp"}
FACTS = {"task.name": "facts", "model.name": "transformer", "eval_points": 800}


def plan_of(base=TINY, swept=None, **given):
    parts = sections(base)
    given, swept = {**base, **given}, swept or {}
    return checked_plan("tiny", parts, given, swept, "A tiny world.")


def ran(place, **given):
    """A folder with a small job, and its results."""
    assert run.execute(plan_of(**given), Options(workdir=place, command="test")) == 0
    return place, store.load(place / "results.nc")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("measured") / "run", **MEASURED)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same job without its instruments."""
    return ran(tmp_path_factory.mktemp("plain") / "run")


def test_what_is_recorded_has_its_own_axes(measured):
    _, found = measured
    curve = {"seed": 2, "eval_step": 3}
    for name in ("retrospective", "previous", "induction"):
        scores = found[f"attention_{name}"]
        assert dict(scores.sizes) == {**curve, "layer": 1, "head": 4}
        assert ((scores > 0) & (scores < 1)).all()
    assert dict(found.ablation_loss_retrospective.sizes) == curve
    assert dict(found.ablation_loss_random.sizes) == {**curve, "draw": 3}
    assert (found.ablation_loss_retrospective != found.test_loss).all()
    assert (found.sharpness > found.sharpness_lowest).all()
    assert (found.gradient_norm > 0).all() and dict(found.gradient_norm.sizes) == curve


@pytest.mark.thorough  # a second job
def test_nothing_of_the_training_changes(measured, plain):
    (place, bare), (_, found) = plain, measured
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(found[name], bare[name], rtol=1e-5)
    asked = ("attention", "ablation", "sharpness", "gradient")
    assert not [name for name in bare if name.startswith(asked)]
    drawn = {path.stem for path in (place / "figures").glob("*.png")}
    assert not {"attention_heads", "head_ablation", "landscape"} & drawn


def test_figures_are_drawn_where_there_is_something(measured):
    place, found = measured
    drawn = {path.stem for path in (place / "figures").glob("*.png")}
    assert {"attention_heads", "head_ablation", "landscape"} <= drawn
    assert json.loads(found.attrs["config"])["ablated_heads"] == 1


@pytest.mark.parametrize(
    ("base", "given", "swept", "line"),
    [
        (TINY, {"ablated_heads": 3}, {}, "ablated_heads = 3: must be at most 2: of 4 heads"),
        (TINY, {"ablated_heads": 2}, {"model.heads": (2, 4)}, "ablated_heads = 2: must be at most"),
        (PARITY, {"ablated_heads": 1}, {}, "ablated_heads = 1: mlp has no attention heads"),
        (FACTS, {"attention_scores": True}, {}, "needs prompts of (x, y) pairs; facts has none"),
        (TINY, {"attention_scores": True, "task.points": 3}, {}, "needs 4 pairs to a prompt"),
        (TINY, {}, {"sharpness_steps": (0, 5)}, "sharpness_steps: cannot be swept"),
        (TINY, {}, {"attention_scores": (False, True)}, "attention_scores: cannot be swept"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(base, given, swept, line):
    with pytest.raises(ConfigError) as refused:
        plan_of(base, swept, **given)
    assert len(refused.value.problems) == 1 and line in refused.value.problems[0]


def test_pairs_stand_behind_the_instruction():
    given = {
        **{name: value for name, value in TINY.items() if name != "task.dmmse_tasks"},
        **{"task.name": "in_context", "task.families": "linear,relu"},
        **{"task.instruction": "one_hot", "model.max_positions": 9},
    }
    resolved = plan_of(given, **MEASURED).resolved
    task, _ = shapes_of(resolved.sections["task"], resolved.spec("task"))
    assert attention.offset_of(task) == 1
