"""The command line taken apart: options, field overrides and sweeps, not yet checked as fields."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from plateaus import paths
from plateaus.config import lives, pairs, ranges
from plateaus.config.schema import ConfigError
from plateaus.config.values import convert, shown
from plateaus.fields import Field
from plateaus.names import nearest

OVERRIDE = "--config."
EXAMPLE = "--config=configs/sparse_parity.py"
EPILOG = f"""examples:
  python experiments/run.py {EXAMPLE}
  python experiments/run.py {EXAMPLE}:subset --config.optim.learning_rate=0.05
  python experiments/run.py {EXAMPLE} --sweep data.zipf_exponent=0,0.75,1 --seeds 8
"""


class Arguments(NamedTuple):
    """A parsed command line; `unknown` are flags that do not exist, `problems` are error lines."""

    options: argparse.Namespace
    overrides: dict[str, str]
    sweep: dict[str, tuple[Any, ...]]
    unknown: list[str]
    problems: list[str]


class Once(argparse.Action):
    """Store a value; refuse a second one, which would silently win."""

    def __call__(self, parser, namespace, values, option_string=None):
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string}: given twice")
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """argparse, which raises ConfigError where it would exit."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message.removeprefix("argument "))


def parser() -> argparse.ArgumentParser:
    """Return the parser of every option; `--config.FIELD` is only for its line of help."""
    made = Parser(
        prog="run.py",
        description="Train every setting of a sweep, with every seed, in one compiled program.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    def value(flag: str, metavar: str, text: str) -> None:
        made.add_argument(flag, metavar=metavar, action=Once, help=text)

    def switch(flag: str, text: str) -> None:
        made.add_argument(flag, action="store_true", help=text)

    value("--config", "FILE[:PRESET]", "a config and one of its presets; or a run folder")
    value(f"{OVERRIDE}FIELD", "VALUE", "override any field, as in --config.optim.learning_rate=.05")
    made.add_argument(
        "--sweep",
        metavar="FIELD=v1,v2,...",
        action="append",
        default=[],
        help="sweep a field, A:B:N and A:B:Nlog being N values from A to B; repeatable, a product; "
        "F,G=a:b,c:d sweeps fields together, in pairs; replaces the preset's own sweep "
        "(but not its variants: choose among them by variant=NAME,...)",
    )
    value("--seeds", "N|A:B|A,B,C", "seeds 0 to N-1, A to B-1, or exactly those")
    value("--scale", "small|medium|paper", "sizes of a laptop (default), of one GPU, the paper's")
    switch("--smoke", "shrink the preset to about 30 seconds on 2 cores")
    value("--workdir", "DIR", "folder of the results (default: runs/<config>-<preset>-<hash>)")
    made.add_argument(
        "--merge",
        metavar="FOLDER|ARCHIVE",
        nargs="+",
        action="extend",
        default=[],
        help="add the finished runs of other run folders to the one of --workdir; trains nothing",
    )
    switch("--list", "print the presets, with a line each")
    switch("--dry-run", "print the plan only")
    switch("--fail-fast", "stop at the first run that diverges")
    value("--budget", "TIME", "end within TIME, as 8m; seed 0 of every setting comes first")
    value("--stop-when", "EVENT", "end each run when it has escaped, or completed")
    made.add_argument(
        "--keep",
        metavar="WHAT",
        action="append",
        default=[],
        help="keep the state of each run at its end, to go on with more steps, or its weights "
        "(weights=STEPS: at these; weights=1:1e4:9log: at evaluations near these); repeatable",
    )
    value("--runs-per-batch", "W", "runs in one chunk (default: from the kind of device)")
    switch("--allow-inexact-resume", "resume under another chunk width, version or device")
    return made


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
    names += ["budget", "stop_when"]
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
