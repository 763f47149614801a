"""The plan of what to run, and the options of how to run it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plateaus.config.component import Component, Resolved
from plateaus.config.lives import KEEP_NOTHING, Keep
from plateaus.config.pairs import expanded
from plateaus.config.schema import ConfigError, Entry, entries, resolve
from plateaus.config.variants import Variants


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to run: the resolved base config and, in order, the values of `sweep`.

    `variants` are all variants of the preset, by name; "variant" in `sweep` lists those that run.
    """

    name: str
    resolved: Resolved
    sweep: dict[str, tuple[Any, ...]]
    title: str
    variants: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    chosen: tuple[int, ...] | None = None  # seeds; None: 0, 1, ..., as many as the config says

    @property
    def config(self) -> dict[str, Any]:
        """The flat base config."""
        return self.resolved.config

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that each setting runs with: members of the sweep, no part of what a run is."""
        return tuple(range(self.config["seeds"])) if self.chosen is None else self.chosen

    @property
    def schema(self) -> Mapping[str, Entry]:
        """The fields of the config, by name."""
        return self.resolved.schema

    def idle(self, config: Mapping[str, Any]) -> frozenset[str]:
        """Return the fields that do nothing in a config: neutral, or of an instrument that is off.

        A config with such a field and one without it describe the same program.
        """
        return frozenset(
            name
            for name, entry in self.schema.items()
            if name in config and config[name] == entry.idle
        )

    @property
    def observing(self) -> frozenset[str]:
        """The fields that only select what is recorded while a run trains."""
        return frozenset(name for name, entry in self.schema.items() if entry.field.observes)


@dataclasses.dataclass(frozen=True)
class Options:
    """How to run a plan; no option changes the identity of a run."""

    workdir: Path | None = None
    dry_run: bool = False
    fail_fast: bool = False
    runs_per_batch: int | None = None
    allow_inexact_resume: bool = False
    budget: float | None = None  # seconds
    began: float | None = None  # when the command did, as `time.time()`; None: just now
    stop_when: str | None = None  # the event at which each run ends
    keep: Keep = KEEP_NOTHING
    command: str = ""
    progress: Callable[..., Any] | None = None  # what shows it; None: `plateaus.jobs.progress`'s
    tables: bool = True  # whether the results are printed at the end


def checked_plan(
    name: str,
    sections: Mapping[str, Component],
    fields: Mapping[str, Any],
    sweep: Mapping[str, Sequence[Any]],
    title: str = "",
    variants: Variants | None = None,
    schema: Mapping[str, Entry] | None = None,
    seeds: tuple[int, ...] | None = None,
) -> Plan:
    """Return the checked plan of fields, a sweep and variants, which are as in `resolve`.

    In the sweep, the key "a,b" joins two fields, whose values come in pairs. `schema` is
    `entries(sections)`, for callers that have it already. `seeds` replaces the first
    seeds, as many as the config says.
    """
    schema = entries(sections) if schema is None else schema
    sweep, variants, problems = expanded(schema, sweep, variants or {})
    try:
        resolved, values, typed = resolve(schema, sections, fields, sweep, variants)
    except ConfigError as error:
        raise ConfigError(*problems, *error.problems) from None
    if problems:
        raise ConfigError(*problems)
    return Plan(name, resolved, values, title, typed, seeds)
