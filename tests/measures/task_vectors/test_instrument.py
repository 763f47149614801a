"""Task vectors by a config's fields: what a run records, and what is refused."""

import importlib.util

import numpy as np
import pytest

from plateaus.build.recipes import make_recipe, sections
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError, entries, resolve
from plateaus.jobs import run
from plateaus.measures.task_vectors import instrument as vectors
from plateaus.report import store

TINY = {
    "steps": 1,
    "batch": 4,
    "seeds": 1,
    "eval_every": 1,
    "log_every": 1,
    "eval_points": 4,
    "task.name": "characters",
    "task.families": "ret1,ret2,ret3",
    "task.alphabet": "abcdef",
    "task.length": 3,
    "task.examples": 5,
    "model.name": "transformer",
    "model.width": 8,
    "model.depth": 1,
    "model.heads": 2,
    "model.positions": "rotary",
    "optim.learning_rate": 1e-2,
    "mixed_prompts": 2,
    "mixed_tasks": "ret3,ret1",
    "mixed_shares": "1:1 3:1",
    "vector_prompts": 3,
    "vector_steps": 4,
}


def plan_of(**given):
    parts = sections(TINY)
    return checked_plan("tiny", parts, {**TINY, **given}, {}, "A tiny world.")


def test_what_is_recorded_has_its_own_axes(tmp_path):
    place = tmp_path / "run"
    assert run.execute(plan_of(), Options(workdir=place, command="test")) == 0
    found = store.load(place / "results.nc")
    curve = {"seed": 1, "eval_step": 2}
    of_a_patch = {
        "layer_used": {},
        "success": {"stream_layer": 2},
        "success_by_answer": {"stream_layer": 2, "answer": 2},
        "path": {"path": 4, "answer": 2},
        "points": {"cloud": 4, "point": 3, "coordinate": 8},
    }
    sizes = {"baseline": {}, "share": {"cloud": 4, "answer": 2}, **of_a_patch}
    sizes |= {f"shift_{name}": own for name, own in of_a_patch.items()}
    for name, own in sizes.items():
        assert dict(found[f"vector_{name}"].sizes) == {**curve, **own}
    assert found["cloud"].values.tolist() == ["ret3", "ret1", "1:1", "3:1"]
    np.testing.assert_array_equal(found.vector_share[0, :, :2], [np.eye(2)] * 2)
    counts = 12 * found.vector_share.values  # of three prompts of four examples each
    np.testing.assert_allclose(counts, counts.round(), atol=1e-5)
    assert (found.vector_layer_used == 1).all()  # never the separator's own
    assert (place / "figures" / "task_vectors.png").exists()


def test_without_them_the_other_probes_are_those_there_were():
    """Of the same number, so with the same keys: vectors come last."""
    found, bare = (make_recipe(plan_of(vector_prompts=n).resolved, frozenset()) for n in (3, 0))
    names = [probe.__qualname__ for probe in found.probes]
    assert names[:-1] == [probe.__qualname__ for probe in bare.probes] and len(names) == 2
    assert found.probes[-1].__module__ == vectors.__name__


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vector_layer": 2}, "vector_layer = 2: must be at most 1, the layers of the model"),
        ({"vector_layer": -2}, "vector_layer = -2: must be"),
        ({"mixed_prompts": 0}, "vector_prompts = 3: needs mixed_prompts"),
        (
            {"mixed_tasks": "ret1,ret9"},
            "mixed_tasks = 'ret1,ret9': no family 'ret9'; did you mean ret1",
        ),
        ({"vector_steps": 1}, "vector_steps = 1: must be"),
    ],
)
def test_refusals_are_one_line(given, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        plan_of(**given)
    assert len(refusal.value.problems) == 1


def test_a_model_without_attention_is_refused_once():
    other = {k: v for k, v in TINY.items() if k not in ("model.heads", "model.positions")}
    given = {**other, "model.name": "mamba"}
    parts = sections(given)
    with pytest.raises(ConfigError, match="mixed_prompts = 2: mamba has no cache") as refusal:
        resolve(entries(parts), parts, given, {})
    assert len(refusal.value.problems) == 1


def test_scikit_learn_is_asked_for_by_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"vector_shown = 16: .*'plateaus\[sklearn\]'"):
        plan_of()
    plan_of(vector_shown=0)


def test_neither_layers_nor_counts_are_swept():
    parts = sections(TINY)
    with pytest.raises(ConfigError, match="vector_layer: cannot be swept"):
        resolve(entries(parts), parts, TINY, {"vector_layer": [0, 1]})
