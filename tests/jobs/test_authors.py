"""What the author of a task or of a probe is told, in a line, before anything is trained."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import pytest

from plateaus.build import registry, soundness
from plateaus.jobs import cli, run
from plateaus.measures import registry as instruments
from plateaus.measures.instrument import Instrument
from plateaus.tasks.laws import facts, sparse_parity
from plateaus.types import Reads
from plateaus.variables import Variable

TASKS = dict(registry.TASKS)
CONFIGS = {"sparse_parity": "configs/sparse_parity.py", "facts": "configs/facts.py"}


def refused(name, monkeypatch, capsys, tmp_path, **component):
    """The lines that a command says of a task whose component is changed; nothing is trained."""

    def no_training(*_):
        raise AssertionError("trained")

    monkeypatch.setattr(run, "_compute", no_training)
    changed = TASKS[name]._replace(**component)
    monkeypatch.setitem(registry.TASKS, name, changed)
    soundness._faults.cache_clear()
    soundness._made.cache_clear()
    try:
        place = tmp_path / "run"
        assert cli.main([f"--config={CONFIGS[name]}", "--smoke", f"--workdir={place}"]) == 2
    finally:
        soundness._faults.cache_clear()
        soundness._made.cache_clear()
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


def test_a_metric_that_results_cannot_hold(monkeypatch, capsys, tmp_path):
    """Its axis has the name of a swept field."""

    def vector(prediction, example):
        return jnp.zeros(3)

    own = {"metrics": {"m": vector}, "axes": {"m": "data.zipf_exponent"}}
    make = changed(sparse_parity.sparse_parity, **own)
    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path, make=make)
    assert line.startswith("error: test_m: 'data.zipf_exponent' is a dimension of all results")


def probing(monkeypatch, probe, declared):
    """Let there be an instrument that is always on."""
    one = Instrument(NamedTuple, lambda task, layers: declared, lambda values, parts: probe)
    monkeypatch.setitem(instruments.INSTRUMENTS, "spectrum", one)


def test_a_probe_whose_axes_are_forgotten(monkeypatch, capsys, tmp_path):
    def spectrum(key, params, laws, losses):
        return {"spectrum": jnp.zeros(5), "spectra": jnp.zeros((5, 2))}

    declared = {"spectrum": Variable("of the embedding")}
    probing(monkeypatch, spectrum, declared)
    lines = refused("sparse_parity", monkeypatch, capsys, tmp_path)
    assert [line.strip() for line in lines[1:]] == [
        "spectra: is recorded but not declared: add it to the variables of its instrument",
        "spectrum: has 1 dimension of its own, its declaration no axes",
    ]


def test_a_probe_that_fails_is_named_with_its_place(monkeypatch, capsys, tmp_path):
    def broken(key, params, laws, losses):
        return {"sum": params["nothing"]}

    probing(monkeypatch, broken, {})
    (line,) = refused("sparse_parity", monkeypatch, capsys, tmp_path)
    assert line.startswith("error: this cannot be computed: KeyError: 'nothing' (")
    assert "test_authors.py:" in line
