"""What the author of a task or of a probe is told, in a line, before anything is trained."""

import dataclasses
from collections import Counter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from plateaus import train
from plateaus.data.mixers import registry as registry_of_mixers
from plateaus.data.mixers.mixer import Mixer
from plateaus.experiment import axes, cli, instruments, registry, run, shapes
from plateaus.report import store
from plateaus.tasks import facts, sparse_parity
from plateaus.types import Example

TASKS = dict(registry.TASKS)
CONFIGS = {"sparse_parity": "configs/sparse_parity.py", "facts": "configs/facts.py"}


def refused(name, monkeypatch, capsys, tmp_path, *arguments, **component):
    """The lines that a command says of a task whose component is changed; nothing is trained."""

    def no_training(*_):
        raise AssertionError("trained")

    monkeypatch.setattr(run, "_compute", no_training)
    changed = TASKS[name]._replace(**component)
    monkeypatch.setitem(registry.TASKS, name, changed)
    shapes._faults.cache_clear()
    shapes._made.cache_clear()
    try:
        place = tmp_path / "run"
        command = [f"--config={CONFIGS[name]}", "--smoke", f"--workdir={place}", *arguments]
        assert cli.main(command) == 2
    finally:
        shapes._faults.cache_clear()
        shapes._made.cache_clear()
    assert not place.exists()
    return capsys.readouterr().err.splitlines()


def changed(make, **fields):
    return lambda spec: make(spec)._replace(**fields)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("facts", {"vocabulary": None}, "vocabulary: must be given where inputs are integers"),
        (
            "sparse_parity",
            {"best": "summ"},
            "best: 'summ' is none of its predictors (parity, zero)",
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


def test_a_probe_whose_axes_are_forgotten(monkeypatch, capsys, tmp_path):
    def spectrum(key, params, laws, losses):
        return {"spectrum": jnp.zeros(5), "spectra": jnp.zeros((5, 2))}

    monkeypatch.setattr(instruments, "probes", lambda *_: (spectrum,))
    lines = refused("sparse_parity", monkeypatch, capsys, tmp_path)
    of = "but no axes: name them in instruments.AXES"
    assert [line.strip() for line in lines[1:]] == [
        f"spectra has 2 dimensions of its own, {of}",
        f"spectrum has 1 dimension of its own, {of}",
    ]


def test_a_probe_that_fails_is_named_with_its_place(monkeypatch, capsys, tmp_path):
    def broken(key, params, laws, losses):
        return {"sum": params["nothing"]}

    monkeypatch.setattr(instruments, "probes", lambda *_: (broken,))
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
    hint = "give one of them another name"
    assert (
        f"test_miss: its axis 'place' has the length 5, that of test_error has 7; {hint}" in lines
    )


@pytest.mark.parametrize("axis", ["step", "seed", "eval_step", "task", "data.zipf_exponent"])
def test_an_axis_that_every_record_has(axis, monkeypatch, capsys, tmp_path):
    lines = told(monkeypatch, capsys, tmp_path, metrics={"error": vector(7)}, axes={"error": axis})
    assert any(f"{axis!r}" in line and "is a dimension" in line for line in lines), lines


@pytest.mark.parametrize("dimension", ["test_error", "status"])
def test_an_axis_named_like_a_record(dimension, monkeypatch, capsys, tmp_path):
    lines = told(
        monkeypatch, capsys, tmp_path, metrics={"error": vector(7)}, axes={"error": dimension}
    )
    assert any(f"its axis {dimension!r} is the name of a record" in line for line in lines), lines


def test_axes_that_differ_between_the_programs_of_a_sweep(monkeypatch, capsys, tmp_path):
    def make(spec):
        task = sparse_parity.sparse_parity(spec)
        own = scalar if spec.dimension == 5 else vector(3)
        return task._replace(
            metrics={"error": own}, axes={} if spec.dimension == 5 else {"error": "place"}
        )

    where = (monkeypatch, capsys, tmp_path, "--sweep", "task.dimension=5,6")
    lines = refused("sparse_parity", *where, make=make)
    assert any("test_error: its axes are place in some runs, in others none" in x for x in lines)


def test_names_that_begin_alike_have_the_dimensions_of_their_own(monkeypatch):
    """`error_total` is not `error`, `mixed_accuracy` no measurement of mixed prompts."""
    metrics = {"error": vector(7), "error_total": scalar, "mixed_accuracy": scalar}
    task = sparse_parity.sparse_parity(sparse_parity.Spec())._replace(
        metrics=metrics, axes={"error": "place"}
    )
    own = axes.axes([task])
    assert own("test_error") == own("pool_error") == own("test_error_of_zero") == ("place",)
    names = ("test_error_total", "test_mixed_accuracy", "test_error_trained", "my_test_error")
    assert [own(name) for name in names] == [(), (), (), ()]
    assert own("mixed_entropy") == ("mixture",) and own("test_loss_by_task") == ()
    grouped = axes.axes([task._replace(groups=("a", "b"))])
    assert (
        grouped("test_error_by_task_of_zero")
        == grouped("test_error_by_task")
        == (*("task", "place"),)
    )
    assert grouped("train_loss_by_task") == grouped("test_distance_by_task_to_zero") == ("task",)


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

    make = changed(sparse_parity.sparse_parity, groups=has, group=group if has else None)
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

    shapes._faults.cache_clear()
    shapes._made.cache_clear()
    monkeypatch.setitem(
        registry.TASKS, "sparse_parity", TASKS["sparse_parity"]._replace(make=make, says=says)
    )
    yield
    shapes._faults.cache_clear()
    shapes._made.cache_clear()


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
