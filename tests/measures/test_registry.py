"""Every instrument, figure and table, held to what their registries promise."""

import dataclasses
import functools

import jax
import pytest

from plateaus import evaluation, train
from plateaus.build.recipes import make_recipe, sections, stack_knobs
from plateaus.build.soundness import shapes_of
from plateaus.config.plan import checked_plan
from plateaus.config.schema import entries
from plateaus.fields import declared
from plateaus.jobs import records
from plateaus.measures.figures import FIGURES, SUMMARY, TABLES, drawn, summaries
from plateaus.measures.instrument import Parts
from plateaus.measures.registry import FIELDS, INSTRUMENTS
from plateaus.report import statistics
from plateaus.variables import faults

SMALL = {"steps": 2, "batch": 4, "eval_every": 2, "log_every": 1, "eval_points": 8, "seeds": 1}
SEQUENCES = {
    **{"model.name": "transformer", "model.width": 8, "model.depth": 2, "model.heads": 2},
    "model.positions": "rotary",
}
WORLDS = {  # an instrument has to work in one of them
    "vectors": {"task.name": "sparse_parity", "model.name": "mlp", "model.width": 8},
    "pairs": {"task.name": "in_context", "task.families": "linear,relu", **SEQUENCES},
    "tokens": {"task.name": "characters", "task.families": "ret1,ret2", **SEQUENCES},
    "facts": {"task.name": "facts", "eval_points": 800, **SEQUENCES},
}
ALWAYS = {"plateau", "learning_curves"}  # drawn of any results


def on(spec):
    """Values at which an instrument measures: what is off by default is on, and a few of it."""
    return {
        name: True if default is False else 2 if default == 0 else default
        for name, (_, default) in declared(spec).items()
    }


@functools.cache
def plan_of(world):
    given = {**SMALL, **WORLDS[world]}
    return checked_plan("tiny", sections(given), given, {})


@functools.cache
def measuring(world):
    """A world's config, every instrument on."""
    values = plan_of(world).config
    return values | {k: v for one in INSTRUMENTS.values() for k, v in on(one.spec).items()}


def resolved(world):
    """A world's config as resolved, every instrument on."""
    return plan_of(world).resolved._replace(config=measuring(world))


def shapes(world):
    """A world's task and the shapes of its examples."""
    found = plan_of(world).resolved
    return shapes_of(found.sections["task"], found.spec("task"))


def refusals(name, world):
    values = measuring(world)
    task, example = shapes(world)
    tokens = example.inputs.shape[0] if world != "vectors" else 0
    return list(INSTRUMENTS[name].check(values, task, tokens))


def declares(name, world):
    """What an instrument declares in a world."""
    found = resolved(world)
    layers = found.sections["model"].layers(found.spec("model"))
    return INSTRUMENTS[name].variables(shapes(world)[0], layers)


def world_of(name):
    """A world in which an instrument can measure something."""
    return next(w for w in WORLDS if declares(name, w) and not refusals(name, w))


def parts_of(world):
    """A world's recipe and what its instruments may look at."""
    found = plan_of(world).resolved
    recipe = make_recipe(found, frozenset())
    read_all = recipe.task._replace(reads=recipe.task.reads._replace(at=slice(None)))
    everywhere = found.sections["model"].make(found.spec("model"), read_all, shapes(world)[1])
    return recipe, Parts(recipe.task, recipe.model, everywhere)


def recorded(recipe, world):
    """The shapes of what a start records, and of what never changes."""
    plan = plan_of(world)
    knobs = jax.tree.map(lambda x: x[0], stack_knobs(plan.resolved, [plan.config]))

    def start(knobs):
        laws, constants = evaluation.laws(recipe, 0, knobs)
        return train.init(recipe, 0, knobs, laws)[1] | constants

    return {name: value.shape for name, value in jax.eval_shape(start, knobs).items()}


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_an_instrument_is_off_by_default_and_only_observes(name):
    one, world = INSTRUMENTS[name], world_of(name)
    config = plan_of(world).config
    assert config | {k: default for k, (_, default) in declared(one.spec).items()} == config
    for make in (one.probe, one.batch_probe):
        assert make is None or make(config, parts_of(world)[1]) is None
    task, _ = shapes(world)
    assert not list(one.check(config, task, 0)) and not one.labels(config, task.group_names)
    schema = entries(sections(WORLDS[world]))
    for field in dataclasses.fields(one.spec):
        told = schema[field.name].field
        assert told.observes and not told.sweepable and told.help


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_what_an_instrument_records_is_what_it_declares(name):
    one, world = INSTRUMENTS[name], world_of(name)
    values = measuring(world)
    recipe, parts = parts_of(world)
    probes = [make and make(values, parts) for make in (one.probe, one.batch_probe)]
    assert any(probes)
    with_it = recipe._replace(
        probes=tuple(probe for probe in probes[:1] if probe),
        batch_probes=tuple(probe for probe in probes[1:] if probe),
    )
    recorded_with, bare = recorded(with_it, world), recorded(recipe, world)
    own = declares(name, world)
    assert set(recorded_with) - set(bare) == set(own) and not set(bare) & set(own)
    assert all(variable.meaning for variable in own.values())
    everything = records.variables(resolved(world))
    assert not list(faults(everything, recorded_with, len(recipe.task.group_names), ()))
    for axis, names in one.labels(values, recipe.task.group_names).items():
        lengths = {
            recorded_with[name][variable.axes.index(axis)]
            for name, variable in own.items()
            if axis in variable.axes
        }
        assert lengths == {len(names)}


@pytest.mark.parametrize("name", INSTRUMENTS)
@pytest.mark.parametrize("world", WORLDS)
def test_a_refusal_is_a_field_and_a_message(name, world):
    for field, message in refusals(name, world):
        assert field in declared(INSTRUMENTS[name].spec)
        assert message and "\n" not in message and not message.endswith(".")


def test_no_two_instruments_share_a_field_or_a_name():
    assert len(FIELDS) == sum(len(declared(one.spec)) for one in INSTRUMENTS.values())
    task, _ = shapes("tokens")
    names = [name for one in INSTRUMENTS.values() for name in one.variables(task, ("readout",))]
    assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def bare(zipf_results):
    """Results of which nothing is told but the losses."""
    return zipf_results.drop_vars("test_accuracy")


@pytest.mark.parametrize("file", FIGURES)
def test_a_figure_is_drawn_of_what_there_is(bare, file):
    one, rows = FIGURES[file], statistics.summarise(bare)[:1]
    assert set(one.needs) <= set(TABLES)
    assert file in ALWAYS or (one.needs or one.draw(bare, rows) is None)


@pytest.mark.parametrize("file", TABLES)
def test_a_table_has_rows_of_what_there_is(bare, file):
    rows = statistics.summarise(bare)
    found = TABLES[file].summarise(bare, rows)
    assert (file == SUMMARY) == bool(found)
    assert isinstance(TABLES[file].csv(found), str)


def test_what_needs_a_table_is_not_drawn_without_its_rows(bare):
    rows = statistics.summarise(bare)[:1]
    assert set(drawn(bare, rows, summaries(bare, rows))) == ALWAYS
