"""What the author of a task or of a probe is told, in a line, before anything is trained."""

import dataclasses
from collections import Counter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from plateaus import train
from plateaus.build import registry, soundness
from plateaus.data.mixers import registry as registry_of_mixers
from plateaus.data.mixers.mixer import Mixer
from plateaus.jobs import cli, lanes
from plateaus.measures import registry as instruments
from plateaus.measures.instrument import Instrument
from plateaus.report import store
from plateaus.tasks.laws import facts, sparse_parity
from plateaus.types import Example, Groups, Reads
from plateaus.variables import Variable

TASKS = dict(registry.TASKS)
CONFIGS = {"sparse_parity": "configs/sparse_parity.py", "facts": "configs/facts.py"}


def refused(name, monkeypatch, capsys, tmp_path, *arguments, **component):
    """The lines that a command says of a task whose component is changed; nothing is trained."""

    def no_training(*_):
        raise AssertionError("trained")

    monkeypatch.setattr(lanes, "compute", no_training)
    changed = TASKS[name]._replace(**component)
    monkeypatch.setitem(registry.TASKS, name, changed)
    soundness._faults.cache_clear()
    soundness._traced.cache_clear()
    try:
        place = tmp_path / "run"
        command = [f"--config={CONFIGS[name]}", "--smoke", f"--workdir={place}", *arguments]
        assert cli.main(command) == 2
    finally:
        soundness._faults.cache_clear()
        soundness._traced.cache_clear()
    assert not place.exists()
    return capsys.readouterr().err.splitlines()


def changed(make, **fields):
    return lambda spec: make(spec)._replace(**fields)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("facts", {"reads": Reads()}, "reads.vocabulary: must be given where inputs are integers"),
        (
            "sparse_parity",
            {"best": "summ"},
            "best: 'summ' is none of its predictors (known: parity, zero)",
        ),
        (
            "sparse_parity",
            {"loss": lambda prediction, example: jnp.stack([prediction, prediction])},
            "loss: must be one number of an example, is float32[2]",
        ),
    ],
)
def test_a_task_that_is_unsound(name, fields, message, monkeypatch, capsys, tmp_path):
    make = {"facts": facts.facts, "sparse_parity": sparse_parity.sparse_parity}[name]
    (line,) = refused(name, monkeypatch, capsys, tmp_path, make=changed(make, **fields))
    assert line.startswith(f"error: task.name = {name!r}: {message}")


def test_a_task_that_cannot_be_made(monkeypatch, capsys, tmp_path):
    def broken(spec):
        return 1 // 0

    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path, make=broken)
    assert "ZeroDivisionError: integer division or modulo by zero (" in line
    assert "test_authors.py:" in line


def test_a_field_that_is_not_declared(monkeypatch, capsys, tmp_path):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Spec(sparse_parity.Spec):
        modulus: int = 7

    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path, spec=Spec)
    assert line.endswith("Spec.modulus needs a Field and a plain default")

    class Knobs(NamedTuple):
        rate: float = 0.5

    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path, knobs=Knobs)
    assert line.endswith("Knobs.rate needs a Field and a plain default")


def test_a_metric_that_results_cannot_hold(monkeypatch, capsys, tmp_path):
    """Its axis has the name of a swept field."""

    def vector(prediction, example):
        return jnp.zeros(3)

    own = {"metrics": {"m": vector}, "axes": {"m": "data.zipf_exponent"}}
    make = changed(sparse_parity.sparse_parity, **own)
    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path, make=make)
    assert line.startswith("error: test_m: 'data.zipf_exponent' is a dimension of all results")


class _NoFields(NamedTuple):
    """An instrument has no fields."""


def probing(monkeypatch, probe, declared):
    """Let there be an instrument that is always on."""
    one = Instrument(_NoFields, lambda task, layers: declared, lambda values, parts: probe)
    monkeypatch.setitem(instruments.INSTRUMENTS, "spectrum", one)


def test_a_probe_whose_axes_are_forgotten(monkeypatch, capsys, tmp_path):
    def spectrum(key, params, laws, losses):
        return {"spectrum": jnp.zeros(5), "spectra": jnp.zeros((5, 2))}

    declared = {"spectrum": Variable("of the embedding")}
    probing(monkeypatch, spectrum, declared)
    lines = refused("sparse_parity", monkeypatch, capsys, tmp_path)
    assert [line.strip() for line in lines[1:]] == [
        "spectra: is recorded but not declared: add it to the variables of its instrument",
        "spectrum: has 1 dimension of its own, its declaration no axes; "
        "name each in Variable(axes=(...))",
    ]


def test_a_probe_that_fails_is_named_with_its_place(monkeypatch, capsys, tmp_path):
    def broken(key, params, laws, losses):
        return {"sum": params["nothing"]}

    probing(monkeypatch, broken, {})
    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path)
    assert line.startswith("error: this cannot be computed: KeyError: 'nothing' (")
    assert "test_authors.py:" in line


def vector(length):
    return lambda prediction, example: jnp.broadcast_to(prediction, (length,))


def scalar(prediction, example):
    return prediction


def told(monkeypatch, capsys, tmp_path, **fields):
    """The lines that are said of a task whose fields are changed, without their heading."""
    make = changed(sparse_parity.sparse_parity, **fields)
    lines = refused("sparse_parity", monkeypatch, capsys, tmp_path, make=make)
    return [line.removeprefix("error:").strip() for line in lines]


def test_two_lengths_of_one_axis(monkeypatch, capsys, tmp_path):
    lines = told(
        monkeypatch,
        capsys,
        tmp_path,
        metrics={"error": vector(7), "miss": vector(5)},
        axes={"error": "place", "miss": "place"},
    )
    assert "test_miss: its axis 'place' has 5 places, that of test_error has 7" in lines


@pytest.mark.parametrize("axis", ["step", "seed", "eval_step", "task", "data.zipf_exponent"])
def test_an_axis_that_every_record_has(axis, monkeypatch, capsys, tmp_path):
    lines = told(monkeypatch, capsys, tmp_path, metrics={"error": vector(7)}, axes={"error": axis})
    assert any(f"{axis!r}" in line and "is a dimension" in line for line in lines), lines


@pytest.mark.parametrize("dimension", ["test_error", "status"])
def test_an_axis_named_like_a_record(dimension, monkeypatch, capsys, tmp_path):
    lines = told(
        monkeypatch, capsys, tmp_path, metrics={"error": vector(7)}, axes={"error": dimension}
    )
    assert f"{dimension}: is the name of a dimension of the results; give it another" in lines


def test_axes_that_differ_between_the_programs_of_a_sweep(monkeypatch, capsys, tmp_path):
    def make(spec):
        task = sparse_parity.sparse_parity(spec)
        own = scalar if spec.dimension == 5 else vector(3)
        return task._replace(
            metrics={"error": own}, axes={} if spec.dimension == 5 else {"error": "place"}
        )

    where = (monkeypatch, capsys, tmp_path, "--sweep", "task.dimension=5,6")
    lines = refused("sparse_parity", *where, make=make)
    assert any("test_error: its axes are none in some runs, in others place" in x for x in lines)


def test_a_loss_without_a_gradient(monkeypatch, capsys, tmp_path):
    """It can be evaluated, and not trained on."""

    def loss(prediction, example):
        square = (prediction - example.targets) ** 2
        return jax.lax.while_loop(lambda x: x < 1.0, lambda x: x + 1.0, square)

    (line,) = told(monkeypatch, capsys, tmp_path, loss=loss)
    assert line.startswith("this cannot be computed: ValueError: Reverse-mode differentiation ")


def three_weights(signals, state, knobs, t):
    return jnp.ones(3) / 3, state


def misspelt(signals, state, knobs, t):
    return jnp.ones(2) / 2 * signals.los, state


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (three_weights, "TypeError: add got incompatible shapes"),
        (misspelt, "AttributeError: 'Round' object has no attribute 'los'"),
    ],
)
def test_a_mixer_that_cannot_be_run(update, message, monkeypatch, capsys, tmp_path):
    uniform = registry_of_mixers.MIXERS["uniform"]
    made = uniform._replace(make=lambda: Mixer(lambda groups: (), update))
    monkeypatch.setitem(registry_of_mixers.MIXERS, "uniform", made)
    monkeypatch.setitem(CONFIGS, "in_context", "configs/mixing.py:methods")
    arguments = ("--sweep", "variant=uniform")
    where = (monkeypatch, capsys, tmp_path, *arguments)
    (line,) = refused("in_context", *where)
    assert line.startswith(f"error: this cannot be computed: {message}")


def test_a_program_is_traced_once(monkeypatch, tmp_path):
    """What is traced to check a job is what is compiled to run it."""
    traced = Counter()

    def counted(name):
        function = getattr(train, name)

        def count(*arguments):
            traced[name] += 1
            return function(*arguments)

        monkeypatch.setattr(train, name, count)

    counted("phase")
    counted("init")
    place = f"--workdir={tmp_path / 'run'}"
    sweep = "--sweep=data.zipf_exponent=0,1"
    few = ("--config.seeds=2", "--config.task.dimension=8")
    assert cli.main([f"--config={CONFIGS['sparse_parity']}", "--smoke", place, sweep, *few]) == 0
    assert traced == {"phase": 1, "init": 1}


@pytest.mark.parametrize(
    ("says", "has", "message"),
    [
        (("a", "b", "c"), ("a", "b"), "says a, b, c; the task's groups are a, b"),
        ((), ("a", "b"), "says none; the task's groups are a, b"),
        (("a", "b"), (), "says a, b; the task's groups are none"),
    ],
)
def test_groups_of_the_component_and_of_the_task(says, has, message, monkeypatch, capsys, tmp_path):
    def group(example):
        return (example.targets > 0).astype(jnp.int32)

    groups = Groups(has, group) if has else None
    make = changed(sparse_parity.sparse_parity, groups=groups)
    component = {"make": make, "groups": (lambda spec: says) if says else None}
    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path, **component)
    assert line.endswith(f"`groups` of its component {message}")


@pytest.fixture
def at_base_nothing(monkeypatch):
    """Parity that cannot be made at the base value of a swept field, nor say anything there."""

    def make(spec):
        if spec.dimension == 20:
            raise ValueError("not at 20")
        task = sparse_parity.sparse_parity(spec)
        return task._replace(metrics={"error": vector(3)}, axes={"error": "place"})

    def says(spec):
        yield f"of dimension {make(spec) and spec.dimension}"

    soundness._faults.cache_clear()
    soundness._traced.cache_clear()
    monkeypatch.setitem(
        registry.TASKS, "sparse_parity", TASKS["sparse_parity"]._replace(make=make, says=says)
    )
    yield
    soundness._faults.cache_clear()
    soundness._traced.cache_clear()


def test_the_report_is_of_settings_that_ran(at_base_nothing, tmp_path, capsys):
    place = tmp_path / "run"
    command = [f"--config={CONFIGS['sparse_parity']}:zipf", "--smoke", f"--workdir={place}"]
    assert cli.main([*command, "--sweep", "task.dimension=7,8", "--config.seeds=1"]) == 0
    assert "of dimension 7" in capsys.readouterr().out.splitlines()
    found = store.load(place / "results.nc")
    assert found["test_error"].dims == ("task.dimension", "seed", "eval_step", "place")


def test_what_a_task_says_of_itself_stops_nothing(monkeypatch, tmp_path, capsys):
    def says(spec):
        raise ValueError("no words")

    changed_task = TASKS["sparse_parity"]._replace(says=says)
    monkeypatch.setitem(registry.TASKS, "sparse_parity", changed_task)
    command = [f"--config={CONFIGS['sparse_parity']}", "--smoke", "--dry-run"]
    assert cli.main([*command, f"--workdir={tmp_path / 'run'}"]) == 0
    assert "task: not known (ValueError: no words)" in capsys.readouterr().out.splitlines()


def test_a_task_that_is_not_returned(monkeypatch, capsys, tmp_path):
    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path, make=lambda spec: None)
    assert line.endswith("must be made: a Task, not None (is a `return` missing?)")


def test_inputs_that_are_not_what_the_component_says(monkeypatch, capsys, tmp_path):
    def scalar_inputs(key, world, *_):
        return Example(jnp.float32(0), jnp.float32(0))

    lines = told(monkeypatch, capsys, tmp_path, emit=scalar_inputs, emit_test=scalar_inputs)
    assert lines == ["task.name = 'sparse_parity': inputs: must be a vector, are float32[]"]


def test_a_check_that_fails(monkeypatch, capsys, tmp_path):
    def check(values):
        yield "dimension", f"is {1 // 0}"

    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path, check=check)
    assert line.startswith(
        "error: task.name = 'sparse_parity': its check fails: ZeroDivisionError: "
    )
    assert "test_authors.py:" in line


def test_a_model_that_cannot_be_made(monkeypatch, capsys, tmp_path):
    def make(spec, task, example):
        return 1 // 0

    broken = registry.MODELS["mlp"]._replace(make=make)
    monkeypatch.setitem(registry.MODELS, "mlp", broken)
    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path)
    assert line.startswith("error: this cannot be computed: ZeroDivisionError: ")
