"""Telling a plan resolves its names once, and traces a program once, in part."""

import collections

import pytest

from plateaus import evaluation, train
from plateaus.build import recipes
from plateaus.config import plan, schema
from plateaus.jobs import cli, lanes, tracing

WORDS = ("--config=configs/mixing.py:methods", "--smoke")
PROGRAMS = 3  # of the smoke form: uniform, one in the middle, exp3


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """How often each function is called, by its name."""
    found: collections.Counter[str] = collections.Counter()

    def counted(function):
        def counting(*arguments, **options):
            found[function.__name__] += 1
            return function(*arguments, **options)

        return counting

    entries = counted(schema.entries)
    for module in (schema, plan, cli):
        monkeypatch.setattr(module, "entries", entries)
    for module, name in (
        *((recipes, name) for name in ("sections", "lenient_spec")),
        (tracing, "make_recipe"),
        (evaluation, "laws"),
        *((train, name) for name in ("begin", "init", "phase")),
    ):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    monkeypatch.setattr(lanes, "compute", lambda *_: lanes.End("stopped here"))
    monkeypatch.chdir(tmp_path)
    return found


def test_a_dry_run_tries_the_first_program_alone(calls):
    assert cli.main([*WORDS, "--dry-run"]) == 0
    assert calls == {
        **{"sections": 1, "lenient_spec": 2, "entries": 3},  # one a lenient spec, one of the whole
        **{"make_recipe": PROGRAMS, "begin": PROGRAMS, "laws": 1, "phase": 1},
    }


def test_a_run_tries_every_program_before_anything_is_written(calls, tmp_path):
    assert cli.main([*WORDS, f"--workdir={tmp_path / 'run'}"]) == 1
    assert calls["phase"] == calls["make_recipe"] == PROGRAMS and calls["laws"] == 1
