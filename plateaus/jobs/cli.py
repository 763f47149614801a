"""The command line: options to a checked plan, or one clear refusal (exit code 2, nothing written).

Everything heavy is imported late, so that --help and a mistyped option are answered at once.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from plateaus.config import pairs, presets, reference
from plateaus.config.arguments import Arguments, no_such, parse
from plateaus.config.exit_codes import with_exit_code
from plateaus.config.options import EXAMPLE, PROGRAM, parser
from plateaus.config.plan import Options, Plan, checked_plan
from plateaus.config.schema import NAMED, Component, ConfigError, Entry, entries
from plateaus.config.values import shown
from plateaus.config.variants import AXIS
from plateaus.version import VERSION


@with_exit_code
def main(argv: Sequence[str], program: str = PROGRAM) -> int:
    """Run a command line; return its exit code: 0, 2 (refused), 130 (interrupted) or the run's.

    `program` is how its help calls it.
    """
    began = time.time()
    if "--version" in argv:
        print(f"plateaus {VERSION}")
        return 0
    helped = "--help" in argv or "-h" in argv
    if helped:
        print(parser(program).format_help(), end="")
        if not any(word.partition("=")[0] == "--config" for word in argv):
            return 0
    arguments = parse(argv)
    options = arguments.options
    if helped or options.fields is not None:
        print("\n".join(_fields(arguments)).lstrip("\n"))
        return 0
    if options.list:
        if arguments.problems:
            raise ConfigError(*arguments.problems)
        chosen = options.config
        files = presets.config_files() if chosen is None else [presets.find(chosen)[0]]
        print(*presets.listing(files), sep="\n")
        return 0
    if options.merge:
        if problems := [*arguments.problems, *no_such(arguments.unknown)]:
            raise ConfigError(*problems)
        from plateaus.jobs.merge import merge

        how = Options(
            dry_run=options.dry_run,
            allow_inexact_resume=options.allow_inexact_resume,
            command=shlex.join(argv),
        )
        return merge(options.merge, options.workdir, how)
    with _silence() if options.quiet else contextlib.nullcontext():
        plan, notes = planned(arguments)
        print(*notes, sep="\n", end="\n" if notes else "")
        from plateaus.jobs.progress import Quiet
        from plateaus.jobs.run import execute

        how = Options(
            workdir=options.workdir,
            dry_run=options.dry_run,
            fail_fast=options.fail_fast,
            runs_per_batch=options.runs_per_batch,
            allow_inexact_resume=options.allow_inexact_resume,
            budget=options.budget,
            began=began,
            stop_when=options.stop_when,
            keep=options.keep,
            command=shlex.join(argv),
            progress=Quiet if options.quiet else None,
        )
        return execute(plan, how)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Send what is printed nowhere, for a while; warnings and errors go on as they did."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _fields(arguments: Arguments) -> list[str]:
    """Return the lines of --fields: of the config that is given, or of all there is.

    Raises ConfigError where no field begins so, and for a config that is refused.
    """
    prefix = arguments.options.fields or ""
    if arguments.options.config is not None:
        plan, _ = planned(arguments)
        tables = {"": reference.records(plan.schema, "", plan.config, plan.sweep)}
    elif problems := [*arguments.problems, *no_such(arguments.unknown)]:
        raise ConfigError(*problems)
    else:
        from plateaus.build.reference import tables as of_everything

        tables = of_everything()
    lines = []
    for title, table in tables.items():
        rows = [row for row in table if row.name.startswith(prefix)]
        lines += [f"\n{title}", ""] if title and rows else []
        lines += reference.lines(rows)
    if not lines:
        names = [row.name for table in tables.values() for row in table]
        raise ConfigError(reference.absent(prefix, names))
    return lines


def planned(arguments: Arguments) -> tuple[Plan, list[str]]:
    """Return the checked plan, and notes for the user on how it was read.

    Raises ConfigError with every problem found.
    """
    options, overrides = arguments.options, arguments.overrides
    schema: Mapping[str, Entry] = {}
    refused: list[str] = []
    try:
        if options.config is None:
            hint = f"name a config file, as in {EXAMPLE}; see --list"
            if options.workdir is not None and (Path(options.workdir) / "config.json").is_file():
                hint = f"to go on with that folder add --config={options.workdir}"
            raise ConfigError(f"no --config given: {hint}")
        path, preset = presets.find(options.config)
        page = presets.load(path, preset, options.scale, options.smoke)
        sections, refused = _sections(page.fields, overrides)
        schema = entries(sections)
        if page.name:  # of a run folder, whose config has the derived fields, too
            derived = [name for name, entry in schema.items() if entry.field.derived]
            page = page._replace(fields={n: v for n, v in page.fields.items() if n not in derived})
        seeds = page.seeds if options.seeds is None else options.seeds
        bad = tuple(f"{s}." for s in NAMED if any(r.startswith(f"{s}.name") for r in refused))
        if AXIS in overrides:
            value = overrides.pop(AXIS)
            refused.append(f"{AXIS} = {shown(value)}: is no field; use --sweep {AXIS}={value}")
        fields, notes = _merged(page.fields, overrides, schema)
        seeds = None if "seeds" in overrides else seeds
        if seeds is not None:
            fields["seeds"] = len(seeds)
        sweep, variants = _swept(page, arguments.sweep), page.variants
        fixed = [name for name in sweep if name in overrides]
        sweep = {name: values for name, values in sweep.items() if name not in overrides}
        if bad:  # with a component unknown, nothing can be said about its fields
            fields, sweep = _without(fields, bad), _without(sweep, bad)
            fields |= {n: page.fields[n] for n in (f"{s}name" for s in bad)}
            variants = {name: _without(values, bad) for name, values in variants.items()}
        name = page.name or f"{path.stem}-{page.preset}"
        title = presets.title(page.doc)
        from plateaus.jobs import switches

        with switches.pinned():
            plan = checked_plan(name, sections, fields, sweep, title, variants, schema, seeds)
    except ConfigError as error:
        refused += error.problems
    problems = [*arguments.problems, *no_such(arguments.unknown, list(schema)), *refused]
    if problems:
        raise ConfigError(*problems)
    notes += [
        f"{n} is fixed at {plan.config[n]}; the preset's sweep over it is dropped" for n in fixed
    ]
    for name in overrides:
        setting = [shown(v) for v in plan.sweep.get(AXIS, ()) if name in plan.variants[v]]
        if setting:
            notes.append(f"{name} is {plan.config[name]} but in variant {', '.join(setting)}")
    return plan, notes


def _swept(page: presets.Page, sweep: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the sweep of the options, else the preset's, whose variants stay unless set anew."""
    if not sweep:
        return page.sweep
    named = any(AXIS in pairs.fields(name) for name in sweep)
    axis = {AXIS: page.sweep[AXIS]} if AXIS in page.sweep and not named else {}
    return {**axis, **sweep}


def _without(fields: Mapping[str, Any], sections: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not name.startswith(sections)}


def _sections(
    base: Mapping[str, Any], overrides: Mapping[str, Any]
) -> tuple[dict[str, Component], list[str]]:
    """Return the components that the config names; where an override names none, why not."""
    try:
        import jax  # noqa: F401 # which reads its switches of the environment
    except (ImportError, RuntimeError, ValueError) as error:
        raise ConfigError(f"jax cannot be imported: {error}") from None
    from plateaus.build.recipes import sections
    from plateaus.jobs import switches
    from plateaus.jobs.devices import configure

    configure()  # the checks may be the first to compute: a task's constants, its domains
    problems = switches.refused()
    names = [f"{section}.name" for section in NAMED]
    config = {**base, **overrides}
    for name in names:
        if name not in config:
            problems.append(f"{name}: must be given")
        elif not isinstance(config[name], str):
            problems.append(f"{name} = {shown(config[name])}: must be text")
    if problems:
        raise ConfigError(*problems)
    with switches.pinned():
        try:
            return sections(config), []
        except ConfigError as error:
            if all(name in base for name in names) and any(name in overrides for name in names):
                return sections(base), error.problems
            raise


def _merged(
    base: Mapping[str, Any], overrides: Mapping[str, Any], schema: Mapping[str, Entry]
) -> tuple[dict[str, Any], list[str]]:
    """Return the overrides over the base, without the base's fields of a component exchanged."""
    exchanged = tuple(
        f"{section}."
        for section in NAMED
        if (n := f"{section}.name") in overrides and n in base and overrides[n] != base[n]
    )
    dropped = [n for n in base if n not in schema and n.startswith(exchanged)] if exchanged else []
    fields = {n: v for n, v in base.items() if n not in dropped} | dict(overrides)
    return fields, [
        f"{n} is dropped: the {n.split('.')[0]} chosen has no such field" for n in dropped
    ]
