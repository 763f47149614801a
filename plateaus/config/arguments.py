"""The command line taken apart: options, field overrides and sweeps, not yet checked as fields."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from plateaus import paths
from plateaus.config import lives, pairs, ranges
from plateaus.config.options import OVERRIDE, parser
from plateaus.config.values import convert, shown
from plateaus.fields import Field
from plateaus.names import nearest


class Arguments(NamedTuple):
    """A parsed command line; `unknown` are flags that do not exist, `problems` are error lines."""

    options: argparse.Namespace
    overrides: dict[str, str]
    sweep: dict[str, tuple[Any, ...]]
    unknown: list[str]
    problems: list[str]


def parse(argv: Sequence[str]) -> Arguments:
    """Return the command line taken apart.

    Raises ConfigError where an option lacks its value or is given twice.
    """
    overrides, rest, problems = _overrides(argv)
    options, extras = parser().parse_known_args(rest)
    unknown, strays = _sorted_out(extras)
    problems += [f"{shown(word)}: not an option; every option starts with --" for word in strays]
    sweep, refused = _sweep(options.sweep)
    problems += refused
    problems += [
        f"{field}: both --sweep and {OVERRIDE}{field} given; keep one"
        for name in sweep
        for field in pairs.fields(name)
        if field in overrides
    ]
    if options.seeds is not None:
        if "seeds" in overrides:
            problems.append(f"seeds: both --seeds and {OVERRIDE}seeds given; keep one")
        try:
            options.seeds = ranges.seeds(options.seeds)
        except ValueError as error:
            problems.append(f"--seeds = {shown(options.seeds, int)}: {error}")
            options.seeds = None
    if options.runs_per_batch is not None:
        try:
            options.runs_per_batch = convert(
                int, Field(help="runs in one chunk", low=1), options.runs_per_batch
            )
        except ValueError as error:
            problems.append(f"--runs-per-batch = {shown(options.runs_per_batch, int)}: {error}")
    for flag, read in (
        ("budget", lives.duration),
        ("stop_when", lives.event),
        ("keep", lives.joined),
    ):
        text = getattr(options, flag)
        try:
            setattr(options, flag, None if text is None else read(text))
        except ValueError as error:
            written = " ".join(text) if isinstance(text, list) else text
            problems.append(f"--{flag.replace('_', '-')} = {shown(written, int)}: {error}")
            setattr(options, flag, None)
    if options.workdir is not None:
        try:
            options.workdir = paths.folder(options.workdir)
        except ValueError as error:
            problems.append(f"--workdir = {shown(options.workdir)}: {error}")
    if options.merge:
        options.merge = [paths.expanded(name) for name in options.merge]
        problems += _beside_merge(options, [*overrides, *sweep])
    if options.list:  # with any other option the fields are known only later
        problems += no_such(unknown)
    return Arguments(options, overrides, sweep, unknown, problems)


def _beside_merge(options: argparse.Namespace, fields: Sequence[str]) -> list[str]:
    """Return a line for each option that --merge needs, or that says nothing beside it."""
    names = [*("config", "seeds", "scale", "smoke", "list", "fail_fast", "runs_per_batch")]
    names += ["budget", "stop_when", "fields"]
    flags = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name)]
    flags += ["--keep"] * (options.keep != lives.KEEP_NOTHING)
    flags += [f"{OVERRIDE}{name} or --sweep" for name in fields[:1]]
    lines = [f"{one}: not with --merge, which takes all finished runs as they are" for one in flags]
    return lines + ["--merge: needs --workdir DIR, the folder to add to"] * (not options.workdir)


def _overrides(argv: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return `--config.FIELD=VALUE` by field, the other words, and a line for each bad one."""
    overrides: dict[str, str] = {}
    rest: list[str] = []
    problems: list[str] = []
    words = iter(argv)
    for word in words:
        if not word.startswith(OVERRIDE):
            rest.append(word)
            continue
        flag, equals, value = word.partition("=")
        name = flag.removeprefix(OVERRIDE)
        following = value if equals else next(words, None)
        if following is None or (not equals and following.startswith("--")):
            problems.append(f"{flag}: needs a value, as in {flag}=VALUE")
            rest += [] if following is None else [following]
        elif name in overrides:
            problems.append(f"{flag}: given twice")
        else:
            overrides[name] = following
    return overrides, rest, problems


def _sorted_out(extras: list[str]) -> tuple[list[str], list[str]]:
    """Return the words that argparse did not recognise: flags, and stray words without a flag."""
    flags, strays, takes_value = [], [], False
    for word in extras:
        if word == "--":  # ends the options; whether argparse leaves it in depends on its version
            takes_value = False
        elif word.startswith("-") and word != "-":
            flags.append(word.partition("=")[0])
            takes_value = "=" not in word
        else:
            strays += [] if takes_value else [word]
            takes_value = False
    return flags, strays


def _sweep(texts: list[str]) -> tuple[dict[str, tuple[Any, ...]], list[str]]:
    """Return the --sweep options as values by field, in order, and a line for each bad one."""
    sweep: dict[str, tuple[Any, ...]] = {}
    problems = []
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        name = pairs.key(name)
        if not (name and equals):
            problems.append(f"--sweep {shown(text)}: must be FIELD=v1,v2,...")
        elif name in sweep:
            problems.append(f"--sweep {name}: given twice; give all its values at once")
        else:
            try:
                if "," in name:
                    sweep[name] = pairs.entries(name, values)
                else:
                    sweep[name] = ranges.listed(values)
            except ValueError as error:
                problems.append(f"--sweep {name}: {error}")
    return sweep, problems


def no_such(flags: Sequence[str], fields: Sequence[Any] = ()) -> list[str]:
    """Return a line for each unknown flag; the name of a field wants `--config.` before it.

    >>> no_such(["--seed"])
    ['--seed: no such option; did you mean --seeds?']
    >>> no_such(["--steps"], ["steps"])
    ['--steps: no such option; did you mean --config.steps?']
    """
    options = [text for action in parser()._actions for text in action.option_strings]
    lines = []
    for flag in flags:
        name = flag.lstrip("-").replace("-", "_")
        if name in fields:
            close: str | None = f"{OVERRIDE}{name}"
        else:
            field = nearest(name, fields)
            close = nearest(flag, options) or (f"{OVERRIDE}{field}" if field else None)
        hint = f"did you mean {close}?" if close else "see --help"
        lines.append(f"{shown(flag)[1:-1]}: no such option; {hint}")
    return lines
