"""Names to objects, and one program for all the knobs of a config."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus import evaluation, train
from plateaus.build.recipes import make_recipe, sections, stack_knobs, used_knobs
from plateaus.build.registry import MODELS, PAIRS, TASKS
from plateaus.config.schema import ConfigError, entries, resolve
from plateaus.types import Knobs

PARTS = sections({"task.name": "sparse_parity", "model.name": "mlp", "model.depth": 1})
SCHEMA = entries(PARTS)
SMALL = {
    "task.name": "sparse_parity",
    "model.name": "mlp",
    "steps": 8,
    "eval_every": 8,
    "log_every": 4,
    "eval_points": 16,
    "batch": 4,
    "task.dimension": 5,
    "task.relevant_bits": 2,
    "task.dataset_size": 50,
    "model.width": 3,
    "model.depth": 1,
}


def resolved(**changes):
    given = {**SMALL, **{name.replace("__", "."): value for name, value in changes.items()}}
    return resolve(SCHEMA, PARTS, given, {})[0]


def config_of(**changes):
    return resolved(**changes).config


def test_unknown_names_are_refused_both_at_once():
    with pytest.raises(ConfigError) as refused:
        sections({"task.name": "sparse_party", "model.name": "mpl"})
    assert len(refused.value.problems) == 2
    assert "task.name = sparse_party: no such task; did you mean sparse_parity?" in str(
        refused.value
    )
    assert "model.name = mpl" in str(refused.value)


def test_more_tasks_than_the_default_examples_are_no_fault_of_the_names():
    """A prompt of 12 examples shows 12 tasks; by default it has 11."""
    names = [*(f"ret{i}" for i in range(1, 9)), "copy", "reverse", "upper", "swapcase"]
    given = {"task.name": "characters", "model.name": "transformer", "model.max_positions": 400}
    given |= {"task.families": ",".join(names), "task.examples": 12}
    parts = sections(given)
    assert resolve(entries(parts), parts, given, {})[0].config["task.examples"] == 12
    with pytest.raises(ConfigError, match=r"^task\.examples = 11: must be at least 12"):
        resolve(entries(parts), parts, given | {"task.examples": 11}, {})


def test_every_model_and_every_task_makes_a_schema_and_a_recipe():
    fits = {"facts": {"eval_points": 800}}  # what the defaults of a run cannot know of a task
    assert {model for model, _ in PAIRS} == set(MODELS) and {task for _, task in PAIRS} == set(
        TASKS
    )
    models, tasks = {}, {}  # each with the first of the others that it goes with
    for model, task in PAIRS:
        models.setdefault(model, (model, task))
        tasks.setdefault(task, (model, task))
    for model, task in {*models.values(), *tasks.values()}:
        names = {"task.name": task, "model.name": model, **fits.get(task, {})}
        parts = sections(names)
        schema = entries(parts)
        found, *_ = resolve(schema, parts, names, {})
        config = found.config
        recipe = make_recipe(found, used_knobs(schema, config, ()))
        assert recipe.phase_steps == config["eval_every"] and recipe.steps == config["steps"]
        params = jax.eval_shape(recipe.model.init, jax.random.key(0))
        assert set(params) == {name[11:] for name in schema if name.startswith("optim.rate_")}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"eval_every": 3, "log_every": 3}, "eval_every"),
        ({"log_every": 3}, "log_every"),
        ({"data.zipf_over": "batches", "task.dataset_size": 3}, "batch"),
        ({"data.order": "epochs", "steps": 2**30, "log_every": 1, "eval_every": 1}, "steps"),
        ({"task.relevant_bits": 6}, "task.relevant_bits"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_by_name(given, field):
    with pytest.raises(ConfigError) as refused:
        resolve(SCHEMA, PARTS, {**SMALL, **given}, {})
    assert [problem.split(" = ")[0] for problem in refused.value.problems] == [field]


def test_a_prompt_longer_than_the_filters_of_hyena_is_refused():
    names = {"task.name": "linear_regression", "model.name": "hyena", "task.points": 4}
    parts = sections(names)
    for most, fits in ((7, False), (8, True)):
        try:
            resolve(entries(parts), parts, {**names, "model.max_positions": most}, {})
            assert fits
        except ConfigError as refused:
            assert not fits and "model.max_positions = 7: must be at least 8" in str(refused)


def test_knobs_are_used_when_swept_or_off_their_neutral_value():
    config = config_of(task__staircase_epsilon=0.5)
    used = used_knobs(SCHEMA, config, {"data.zipf_exponent": (0.0, 1.0)})
    assert {"task.staircase_epsilon", "data.zipf_exponent"} <= used
    assert not {"data.subset", "data.curriculum_start", "optim.gradient_bias"} & used
    assert used_knobs(SCHEMA, config, {}) == used - {"data.zipf_exponent"}
    assert not any(name in used for name, entry in SCHEMA.items() if not entry.knob)


def test_knobs_are_stacked_under_their_own_names_and_types():
    configs = [config_of(data__subset=0.1), config_of(data__subset=0.3, data__curriculum_step=7)]
    knobs = stack_knobs(resolved(), configs)
    assert isinstance(knobs, Knobs)
    np.testing.assert_array_equal(knobs.data.subset, np.float32([0.1, 0.3]))
    np.testing.assert_array_equal(knobs.data.curriculum_step, np.int32([0, 7]))
    for section in Knobs._fields:
        for name, column in getattr(knobs, section)._asdict().items():
            kind = SCHEMA[f"{section}.{name}"].kind
            assert column.shape == (2,)
            assert column.dtype == (np.int32 if kind is int else np.float32)


def test_the_static_part_goes_where_it_belongs():
    recipe = make_recipe(resolved(model__depth=2), frozenset())
    assert recipe.model.activations == ("hidden_0", "hidden_1", "readout")
    assert recipe.task.size == 50
    assert (recipe.phase_steps, recipe.log_every, recipe.eval_points) == (8, 4, 16)
    shapes = jax.eval_shape(recipe.model.init, jax.random.key(0))
    assert shapes["hidden_0"]["kernel"].shape == (5, 3)


@functools.cache
def final_weights():
    """Lane -> weights after 8 steps, of every knob at two values, in one program.

    All interventions are at work in every lane; a lane changes one knob.
    """
    acting = {  # else only 3 items are in play, two stages are both of one step, all decays early
        "data.items": [40, 48],
        "data.curriculum_doubling": [0.25, 2.0],
        "optim.decay_start": [2, 4],
        "optim.decay_steps": [8, 16],
    }
    for name, entry in SCHEMA.items():
        if entry.knob and name not in acting:
            low = -1 if entry.field.low is None else entry.field.low
            high = math.inf if entry.field.high is None else entry.field.high
            span = min(high, low + (1 if entry.kind is float else 8)) - low
            acting[name] = [entry.kind(low + share * span) for share in (0.25, 0.5)]
    base = config_of() | {name: first for name, (first, _) in acting.items()}
    configs = {"": base} | {name: base | {name: other} for name, (_, other) in acting.items()}
    fixed = {"optim.name": "adam", "optim.aggregator": "pcgrad"}  # for whose knobs alone there is
    recipe = make_recipe(resolved()._replace(config=base | fixed), frozenset(acting))
    knobs = stack_knobs(resolved(), list(configs.values()))

    @jax.jit
    @jax.vmap
    def run(knobs):
        laws, _ = evaluation.laws(recipe, 0, knobs)
        state, _ = train.init(recipe, 0, knobs, laws)
        return train.phase(recipe, state, 0, knobs, laws, jnp.int32(0))[0].params

    weights = jax.tree.leaves(run(knobs))
    flat = np.concatenate([np.asarray(w).reshape(len(configs), -1) for w in weights], axis=1)
    return dict(zip(configs, flat, strict=True))


@pytest.mark.parametrize("name", [name for name, entry in SCHEMA.items() if entry.knob])
def test_every_knob_of_the_schema_reaches_the_training(name):
    """A field that a program ignores would be swept in vain."""
    weights = final_weights()
    assert np.all(np.isfinite(weights[name]))
    assert np.any(weights[name] != weights[""])


@pytest.mark.parametrize(
    ("task", "families", "message"),
    [
        ("in_context", "linera,relu", "no family 'linera'; did you mean linear? (known: linear, "),
        ("in_context", " ,", "must name at least one family (known: linear, "),
        ("in_context", "relu,relu", "'relu': given twice"),
        ("in_context", "student_quadratic", "family 'student_quadratic': not defined: Student's"),
        ("words", "word_length,word_lenth", "no family 'word_lenth'; did you mean word_length"),
    ],
)
def test_families_that_are_not_there_are_told_of_before_their_knobs(task, families, message):
    """Else a preset with variants would tell of every weight that is not there."""
    given = {"task.name": task, "model.name": "transformer", "task.families": families}
    with pytest.raises(ConfigError) as refused:
        sections(given)
    (line,) = dict.fromkeys(refused.value.problems)
    assert line.startswith(f"task.families = '{families}': {message}")


def test_families_are_not_refused_for_sizes_that_a_config_gives():
    """At default sizes a sequence has too few examples for six tasks."""
    six = ",".join(f"plus{c}" for c in range(6))
    given = {"task.name": "characters", "model.name": "transformer", "task.families": six}
    assert "data.weight_plus5" in entries(sections(given))
    parts = sections(given)
    resolve(entries(parts), parts, {**given, "task.examples": 6}, {})
    with pytest.raises(ConfigError, match=r"task\.examples = 5: must be at least 6, the tasks"):
        resolve(entries(parts), parts, given, {})


def test_variants_of_other_families_are_refused_in_one_line():
    given = {
        **{"task.name": "in_context", "task.families": "linear", "model.name": "transformer"},
        **{"model.max_positions": 202, "eval_points": 64},
    }
    parts = sections(given)
    variants = {
        "alone": {"data.weight_relu": 0.0, "data.weight_sine": 0.0},
        "both": {"data.until_linear": 100, "data.from_relu": 100},
    }
    sweep = {"variant": tuple(variants)}
    with pytest.raises(ConfigError) as refused:
        resolve(entries(parts), parts, given, sweep, variants)
    (line,) = refused.value.problems
    assert line == "task.families: the preset's variants need relu, sine, too"


def test_what_is_wrong_in_many_variants_is_told_once():
    given = {
        **{"task.name": "in_context", "task.families": "linear,relu,sine"},
        **{"model.name": "transformer", "eval_points": 64, "batch": 2},
    }
    parts = sections(given)
    three = {f"data.until_{name}": 2**30 for name in ("linear", "relu")}
    less = {"data.weight_sine": 0.0}
    variants = {"a": three, "b": {**three, "data.weight_sine": 2.0}, "c": less}
    with pytest.raises(ConfigError) as refused:
        resolve(entries(parts), parts, given, {"variant": tuple(variants)}, variants)
    (line,) = refused.value.problems
    told = "batch = 2: must be at least 3, the number of tasks in the mixture"
    assert line == f'{told} (in variants["a"] and 1 more)'
    with pytest.raises(ConfigError) as refused:
        resolve(entries(parts), parts, given, {"variant": ("a", "b")}, variants)
    assert refused.value.problems == [told]


def test_every_family_is_evaluated():
    """Without an example of one its loss is NaN, and so the run would be told to diverge."""
    given = {
        **{"task.name": "in_context", "task.families": "linear,relu,sine"},
        **{"model.name": "transformer", "eval_points": 2},
    }
    parts = sections(given)
    with pytest.raises(ConfigError) as refused:
        resolve(entries(parts), parts, given, {})
    (line,) = refused.value.problems
    assert line == "eval_points = 2: must be at least 3, the number of families"
