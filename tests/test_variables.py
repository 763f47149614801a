"""What cannot be laid out in one set of results is told in a line."""

import pytest

from plateaus.tasks import recorded
from plateaus.tasks.laws.sparse_parity import Spec, sparse_parity
from plateaus.variables import ONCE, Variable, faults, with_groups

GOOD = {"loss": Variable("loss"), "by_place": Variable("by place", axes=("place",))}
SHAPES = {"loss": (), "by_place": (3,)}


def told(more, shapes, groups=0, swept=()):
    return list(faults(GOOD | more, SHAPES | shapes, groups, swept))


def test_what_fits_is_let_through():
    assert told({}, {}) == []
    grouped = with_groups(GOOD, ("a", "b"))
    assert list(grouped) == ["loss", "by_place", "loss_by_task", "by_place_by_task"]
    shapes = {"loss_by_task": (2,), "by_place_by_task": (2, 3)}
    assert told(grouped, shapes, 2, ("model.depth",)) == []


@pytest.mark.parametrize("axis", ["seed", "step", "eval_step", "task", "model.depth"])
def test_an_axis_is_not_one_that_all_results_have(axis):
    one = {"m": Variable("m", axes=(axis,)), "m_of_x": Variable("m", axes=(axis,), time=ONCE)}
    (line,) = told(one, {"m": (4,), "m_of_x": (4,)}, swept=("model.depth",))
    assert line.startswith(f"m: {axis!r} is a dimension of all results")


@pytest.mark.parametrize(
    ("name", "variable", "shape", "message"),
    [
        ("a/b", Variable("x"), (), "a/b: a name in results.nc cannot have a '/'"),
        ("x", Variable("x", axes=("a/b",)), (2,), "x: its axis 'a/b' cannot have a '/'"),
        ("x", Variable("x", axes=("place",)), (4,), "has 4 places, that of by_place has 3"),
        ("x", Variable("x", axes=("place",)), (), "x: has 0 dimensions of its own"),
        (
            "x",
            Variable("x"),
            (2,),
            "x: has 1 dimension of its own, its declaration no axes; name each",
        ),
        ("place", Variable("x"), (), "place: is the name of a dimension of the results"),
        ("x", Variable("x", axes=("task", "task")), (2, 2), "'task' is a dimension of all results"),
        ("x", Variable("x", axes=("task",)), (3,), "has 3 places, that of the groups has 2"),
    ],
)
def test_what_cannot_be_laid_out_is_one_line(name, variable, shape, message):
    (line,) = told({name: variable}, {name: shape}, groups=2)
    assert message in line and "\n" not in line


def test_what_a_task_records_carries_the_family_that_it_is_of():
    """Whatever its metrics are called: `loss_of_nobody` is no predictor's loss."""
    task = sparse_parity(Spec(dimension=4, relevant_bits=2))
    task = task._replace(metrics={"loss_of_nobody": task.loss, "error": task.loss})
    found = recorded.variables(task._replace(axes={"error": "place"}), ("zero",))
    facts = {name: variable.notes for name, variable in found.items()}
    error = {"law": "test", "measure": "error"}
    assert facts["test_error"] == {"family": "metric", **error}
    assert facts["test_error_of_zero"] == {"family": "predictor", **error, "predictor": "zero"}
    assert facts["test_loss_of_nobody"]["measure"] == "loss_of_nobody"
    assert facts["pool_loss_of_zero"]["family"] == "predictor"
    assert not facts["uninformed_loss"] and not facts["best_loss"]
