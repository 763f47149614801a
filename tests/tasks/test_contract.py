"""Each mistake of a task's author is one line that says what is wrong, and where."""

import jax.numpy as jnp
import pytest

from plateaus.models.networks import mlp
from plateaus.tasks.contract import fits, sound
from plateaus.tasks.laws import facts, in_context_domains, sparse_parity
from plateaus.types import Example, OtherLaw, Reads

PARITY = sparse_parity.sparse_parity(sparse_parity.Spec(dimension=4, relevant_bits=2))
FACTS = facts.facts(facts.Spec(subjects=6))
FAMILIES = in_context_domains.in_context_domains(
    in_context_domains.Spec(dimension=3, points=4, families="linear,relu")
)
GROUPS = FAMILIES.groups
KNOBS = {
    id(PARITY): sparse_parity.Knobs(),
    id(FACTS): facts.Knobs(),
    id(FAMILIES): in_context_domains.Knobs(),
}


def pair(prediction, example):
    return jnp.stack([prediction, prediction])


def other(key, world, number):
    return Example(jnp.zeros(4), jnp.zeros(3))


MISTAKES = {
    "no vocabulary": (
        FACTS, {"reads": Reads()},
        "reads.vocabulary: must be given where inputs are integers: how many tokens there are",
    ),
    "a vocabulary of numbers": (
        PARITY, {"reads": Reads(3)},
        "reads.vocabulary: is given, but inputs are float32[4], not tokens",
    ),
    "a loss that is a vector": (
        PARITY, {"loss": pair}, "loss: must be one number of an example, is float32[2]",
    ),
    "a test loss that is a vector": (
        PARITY, {"test_loss": pair}, "test_loss: must be one number of an example, is float32[2]",
    ),
    "a metric without its axis": (
        PARITY, {"metrics": {"both": pair}},
        "metrics['both']: must be one number of an example, is float32[2]; or name its axis in "
        "`axes`",
    ),
    "an axis of no metric": (
        PARITY, {"axes": {"acuracy": "place"}},
        "axes: 'acuracy' is none of its metrics; did you mean accuracy? (known: accuracy)",
    ),
    "an axis of one number": (
        PARITY, {"axes": {"accuracy": "place"}},
        "metrics['accuracy']: must be a vector along its axis of an example, is float32[]",
    ),
    "a misspelt best predictor": (
        PARITY, {"best": "pairty"},
        "best: 'pairty' is none of its predictors; did you mean parity? (known: parity, zero)",
    ),
    "a misspelt uninformed predictor": (
        PARITY, {"uninformed": "nothing"}, "uninformed: 'nothing' is none of its predictors",
    ),
    "no predictors": (
        PARITY, {"predictors": lambda *_: {}},
        "predictors: must name at least what is uninformed and what is best",
    ),
    "a predictor that says one thing of all": (
        PARITY, {"predictors": lambda *_: {"zero": jnp.zeros(()), "parity": jnp.zeros(())}},
        "predictors: 'parity' must say something of each example of a batch",
    ),
    "predictors that differ in shape": (
        PARITY,
        {"predictors": lambda *_: {"zero": jnp.zeros((2, 3)), "parity": jnp.zeros(2)}},
        "predictors: what 'zero' says is float32[3], elsewhere it is float32[]",
    ),
    "a test law of another shape": (
        PARITY, {"emit_test": other},
        "emit_test: its example is float32[4], float32[3], elsewhere it is float32[4], float32[]",
    ),
    "another law of another shape": (
        PARITY, {"laws": {"far": OtherLaw(other)}}, "laws['far'].emit: its example is float32[4], ",
    ),
    "a law named like one that is there": (
        PARITY, {"laws": {"test": OtherLaw(PARITY.emit_test)}},
        "laws: 'test' is the name of a law that every task has",
    ),
    "a tuple for an example": (
        PARITY, {"emit": lambda *_: (1.0, 2.0)}, "emit: must return an Example, not a tuple",
    ),
    "a function of too few arguments": (
        PARITY, {"init": lambda: 0}, "init: TypeError: ",
    ),
    "an item that is no integer": (
        PARITY, {"item": lambda example: example.targets},
        "item: must be one integer of an example, is float32[]",
    ),
    "a law whose knobs change their shape": (
        PARITY,
        {"at": lambda knobs, t: knobs._replace(staircase_epsilon=jnp.zeros(2))},
        "at: the knobs that it returns is float32[2], int32[], elsewhere it is float32[], int32[]",
    ),
    "no size": (PARITY, {"size": 0}, "size: must be an integer of at least 1, not 0"),
    "groups without a name": (
        FAMILIES, {"groups": GROUPS._replace(names=())}, "groups.names: must name at least one",
    ),
    "a share too few": (
        FAMILIES,
        {"groups": GROUPS._replace(target=(1.0,))},
        "groups.target: has 1 values for 2 groups",
    ),
    "a threshold too many": (
        FAMILIES,
        {"groups": GROUPS._replace(learned=GROUPS.learned._replace(below=(0.1, 0.1, 0.1)))},
        "groups.learned.below: has 3 values for 2 groups",
    ),
    "an error that is a vector": (
        FAMILIES,
        {"groups": GROUPS._replace(learned=GROUPS.learned._replace(error=pair))},
        "groups.learned.error: must be one number of an example, is float32[2, 4]",
    ),
    "a target of another shape": (
        FAMILIES,
        {"groups": GROUPS._replace(emit_target=other)},
        "groups.emit_target: its example is float32[4], float32[3], elsewhere it is ",
    ),
    "a group that is no integer": (
        FAMILIES,
        {"groups": GROUPS._replace(of=lambda example: 0.5)},
        "groups.of: must be one integer of an example, is ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_line(mistake):
    task, change, message = MISTAKES[mistake]
    assert list(sound(task, KNOBS[id(task)])) == []
    lines = list(sound(task._replace(**change), KNOBS[id(task)]))
    assert lines and all("\n" not in line for line in lines)
    assert any(line.startswith(message) for line in lines), lines


def test_what_fails_inside_a_function_is_named_with_its_place():
    def loss(prediction, example):
        return prediction @ example.inputs

    (line,) = sound(PARITY._replace(loss=loss), sparse_parity.Knobs())
    assert line.startswith("loss: ") and "test_contract.py:" in line


def test_a_model_that_says_something_else_is_told():
    model = mlp.mlp(mlp.Spec(width=4), inputs=4, outputs=3)
    (line,) = fits(model, PARITY, sparse_parity.Knobs())
    assert line == (
        "predictors: what 'parity' says of 2 examples is float32[2], what the model says is "
        "float32[2, 3]"
    )
    (line,) = fits(mlp.mlp(mlp.Spec(width=4), inputs=7), PARITY, sparse_parity.Knobs())
    assert line.startswith("the model: ")
