"""Each mistake of a task's author is one line that says what is wrong, and where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.models.networks import mlp
from plateaus.tasks.contract import Traced, fits, sound
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
        {"predictors": lambda *_: {"zero": jnp.zeros((7, 3)), "parity": jnp.zeros(7)}},
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
    "a metric with a slash": (
        PARITY, {"metrics": {"acc/top1": PARITY.loss}},
        "metrics: 'acc/top1' is no name to record: must be text without /",
    ),
    "an axis that every record has": (
        PARITY, {"metrics": {"pair": pair}, "axes": {"pair": "eval_step"}},
        "axes: 'eval_step' of 'pair' is a dimension that is there already (step, eval_step, ",
    ),
    "a metric called loss": (
        PARITY, {"metrics": {"loss": PARITY.loss}}, "metrics: 'loss' is the name of the test loss",
    ),
    "a metric named like a law and its metric": (
        PARITY,
        {"laws": {"test_far": OtherLaw(PARITY.emit_test)}, "metrics": {"far_loss": PARITY.loss}},
        "'loss' of law 'test_far': would be recorded as test_far_loss, as 'far_loss' of law 'test'",
    ),
    "a metric named like what is told of a predictor": (
        PARITY, {"metrics": {"loss_of_zero": PARITY.loss}},
        "'loss_of_zero' of law 'test': would be recorded as test_loss_of_zero, as ",
    ),
    "nothing that is returned": (
        PARITY, None, "must be made: a Task, not None (is a `return` missing?)",
    ),
    "no laws": (PARITY, {"laws": None}, "laws: must be a dict by names, not None"),
    "a list of metrics": (
        PARITY, {"metrics": [pair]}, "metrics: must be a dict by names, not a list",
    ),
    "a metric that is no function": (
        PARITY, {"metrics": {"one": 1.0}}, "metrics['one']: must be a function, not a float",
    ),
    "a law that is a function": (
        PARITY, {"laws": {"far": other}}, "laws['far']: must be an OtherLaw, not a function",
    ),
    "no uninformed predictor": (
        PARITY, {"uninformed": None}, "uninformed: must be the name of a predictor, not None",
    ),
    "no loss": (PARITY, {"loss": None}, "loss: must be a function, not None"),
    "axes that are lists": (
        PARITY, {"metrics": {"pair": pair}, "axes": {"pair": ["place"]}},
        "axes['pair']: must be the name of one axis, not a list",
    ),
    "groups in a list": (
        PARITY, {"groups": ["a", "b"]}, "groups: must be Groups or None, not a list",
    ),
    "an item that is a tuple": (
        PARITY, {"item": lambda example: (jnp.int32(0), jnp.int32(1))},
        "item: must be one integer of an example, is int32[], int32[]",
    ),
    "an item that is nothing": (
        PARITY, {"item": lambda example: None}, "item: must be one integer of an example, is None",
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
    assert list(sound(Traced(task, KNOBS[id(task)]))) == []
    mistaken = None if change is None else task._replace(**change)
    lines = list(sound(Traced(mistaken, KNOBS[id(task)])))
    assert lines and all("\n" not in line for line in lines)
    assert any(line.startswith(message) for line in lines), lines


def emitting(inputs):
    """Parity, but of other inputs."""

    def emit(key, world, *_):
        return Example(inputs, jnp.float32(0))

    said = lambda world, batch, *_: {"zero": batch.targets, "parity": batch.targets}  # noqa: E731
    return PARITY._replace(emit=emit, emit_test=emit, predictors=said)


@pytest.mark.parametrize(
    ("task", "inputs", "message"),
    [
        (emitting(jnp.float32(0)), "vector", "inputs: must be a vector, are float32[]"),
        (
            emitting({"x": jnp.zeros(4)}),
            "vector",
            "inputs: must be a vector, are a dict of float32[4]",
        ),
        (emitting(jnp.zeros((4, 2))), "vector", "inputs: must be a vector, are float32[4, 2]"),
        (emitting(jnp.float32(0)), "tokens", "inputs: must be a sequence of tokens, are float32[]"),
        (emitting(jnp.zeros(4)), "tokens", "inputs: numbers must be vectors, one a token, are "),
        (emitting(jnp.zeros(4)), "image_text", "inputs: must be an image and its captions, are "),
        (emitting(jnp.zeros(4, int)), "tokens", "reads.vocabulary: must be given where inputs are"),
        (
            emitting(jnp.zeros((4, 2), int))._replace(reads=Reads(vocabulary=3)),
            "tokens",
            "inputs: tokens must be integers of one axis, are int32[4, 2]",
        ),
    ],
)
def test_inputs_that_no_model_takes(task, inputs, message):
    (line,) = sound(Traced(task, sparse_parity.Knobs()), inputs)
    assert line.startswith(message)


def a_float_of_an_int(knobs, t):
    return knobs._replace(random_label_steps=knobs.random_label_steps * 0.5)


def ranked(world, batch, knobs, log_prior):
    best, _ = jax.lax.top_k(batch.targets, 3)
    return {"zero": batch.targets * jnp.min(best), "parity": batch.targets}


def sized(function):
    """Return a function of PARITY's world whose world here has a number beside it."""

    def of(key, world, *rest):
        of_parity, dimension = world
        example = function(key, of_parity, *rest)
        return example._replace(inputs=example.inputs[:1] * jnp.ones(dimension))

    return of


SOUND = {
    "integers that are no tokens": emitting(jnp.zeros(4, int)),
    "predictors of two types": PARITY._replace(
        predictors=lambda world, batch, *_: {
            "zero": jnp.zeros(batch.targets.shape, jnp.int32),
            "parity": batch.targets,
        }
    ),
    "a size of NumPy": PARITY._replace(size=np.int64(100)),
    "a knob that becomes a float": PARITY._replace(at=a_float_of_an_int),
    "a predictor that ranks a batch": PARITY._replace(predictors=ranked),
    "a number in the world": PARITY._replace(
        init=lambda key: (PARITY.init(key), 4),
        emit=sized(PARITY.emit),
        emit_test=sized(PARITY.emit_test),
        predictors=lambda world, *rest: PARITY.predictors(world[0], *rest),
    ),
}


@pytest.mark.parametrize("task", SOUND.values(), ids=list(SOUND))
def test_what_is_sound_is_not_refused(task):
    assert list(sound(Traced(task, sparse_parity.Knobs()), "vector")) == []


def test_what_fails_inside_a_function_is_named_with_its_place():
    def loss(prediction, example):
        return prediction @ example.inputs

    (line,) = sound(Traced(PARITY._replace(loss=loss), sparse_parity.Knobs()))
    assert line.startswith("loss: ") and "test_contract.py:" in line


def test_a_model_that_says_something_else_is_told():
    model = mlp.mlp(mlp.Spec(width=4), inputs=4, outputs=3)
    traced = Traced(PARITY, sparse_parity.Knobs())
    (line,) = fits(model, traced)
    assert line == (
        "predictors or reads.outputs: what 'parity' says of 7 examples is float32[7], what the "
        "model says is float32[7, 3]"
    )
    (line,) = fits(mlp.mlp(mlp.Spec(width=4), inputs=7), traced)
    assert line.startswith("the model: ")
