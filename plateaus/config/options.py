"""The options of a command line, and how argparse is made to refuse them in one line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from plateaus.config.schema import ConfigError
from plateaus.names import nearest

OVERRIDE = "--config."
EXAMPLE = "--config=configs/sparse_parity.py"
PROGRAM = "python experiments/run.py"
EPILOG = f"""examples:
  PROGRAM {EXAMPLE}
  PROGRAM {EXAMPLE}:subset --config.optim.learning_rate=0.05
  PROGRAM {EXAMPLE} --sweep data.zipf_exponent=0,0.75,1 --seeds 8
  PROGRAM {EXAMPLE} --fields data.
"""


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


def only_known(made: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line.

    Raises ConfigError for what the parser does not know, with the nearest option that it does.
    """
    options, unknown = made.parse_known_args(argv)
    if unknown:
        names = [name for action in made._actions for name in action.option_strings]
        flags = [word for word in unknown if word.startswith("-")]  # without their values
        raise ConfigError(*(_no_such(word.partition("=")[0], names) for word in flags or unknown))
    return options


def _no_such(name: str, names: Sequence[str]) -> str:
    close = nearest(name, names)
    return f"{name}: no such option; " + (f"did you mean {close}?" if close else "see --help")


def parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the parser of every option; `--config.FIELD` is only for its line of help."""
    made = Parser(
        prog=program,
        description="Train every setting of a sweep, with every seed, in one compiled program.",
        epilog=EPILOG.replace("PROGRAM", program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    text = "print this, and with --config FILE its fields: value, range, meaning"
    made.add_argument("-h", "--help", action="store_true", help=text)
    made.add_argument("--version", action="store_true", help="print the version")

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
    made.add_argument(
        "--fields",
        metavar="PREFIX",
        nargs="?",
        const="",
        action=Once,
        help="print the fields whose name begins so, as data. does: those of --config FILE, or of "
        "all tasks and models",
    )
    switch("--quiet", "print warnings and errors only")
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
