"""The command line `plateaus COMMAND ...`: which program answers; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from plateaus import paths
from plateaus.config.exit_codes import with_exit_code
from plateaus.config.schema import ConfigError
from plateaus.names import hint
from plateaus.version import VERSION


class Command(NamedTuple):
    """One command: what it is called with, a line of help, and its program."""

    usage: str
    help: str
    run: Callable[[Sequence[str], str], int]


def _info(words: Sequence[str], program: str) -> int:
    from plateaus.commands import info

    return info.main(words, program)


def _run(words: Sequence[str], program: str) -> int:
    from plateaus.jobs import cli

    return cli.main(words, program)


def _list(words: Sequence[str], program: str) -> int:
    from plateaus.commands import listing

    return listing.main(words, program)


def _compare(words: Sequence[str], program: str) -> int:
    from plateaus.commands import compare

    return compare.main(words, program)


def _watch(words: Sequence[str], program: str) -> int:
    from plateaus.commands import watch

    return watch.main(words, program)


def _report(words: Sequence[str], program: str) -> int:
    from plateaus.report.__main__ import main as report

    return report(words, program)


def _claim(words: Sequence[str], program: str) -> int:
    from plateaus.evidence import cli

    return cli.main(words, paths.experiments(), program)


def _wandb(words: Sequence[str], program: str) -> int:
    from plateaus.commands import wandb

    return wandb.main(words, program)


def _real_models(words: Sequence[str], program: str) -> int:
    from plateaus.real_models import main as real_models

    return real_models.main(words, program)


COMMANDS = {
    "info": Command("", "versions, device, what float32 means here, folders", _info),
    "list": Command("[FILE]", "the presets, a line each", _list),
    "run": Command("--config=FILE[:PRESET]", "train a preset, or a sweep of your own", _run),
    "watch": Command("RUN", "curves of a running job, as text", _watch),
    "compare": Command("RUN RUN...", "several run folders in one table", _compare),
    "report": Command("RUN...", "one HTML file of run folders, to explore", _report),
    "claim": Command("--list | --claim ID", "decide claims of the papers, or your own", _claim),
    "wandb": Command("RUN...", "send finished run folders to Weights & Biases", _wandb),
    "real_models": Command("DIR", "ask a language model on disk about mixed prompts", _real_models),
}


def usage() -> str:
    """Return the help of the command itself."""
    calls = {name: f"{name} {command.usage}".rstrip() for name, command in COMMANDS.items()}
    width = max(map(len, calls.values()))
    lines = [f"  {calls[name]:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: plateaus COMMAND ...",
            "",
            "What shortens the loss plateau: runs, tables, figures and claims.",
            "",
            *lines,
            "",
            "plateaus COMMAND --help says more; plateaus --version prints the version.",
        ]
    )


@with_exit_code
def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code of its program, 2 for a command there is not."""
    if not argv or argv[0] in ("--help", "-h", "help"):
        print(usage())
        return 0
    name, *words = argv
    if name == "--version":
        print(f"plateaus {VERSION}")
        return 0
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise ConfigError(f"{name}: no such {kind}{hint(name, COMMANDS)}")
    return COMMANDS[name].run(words, f"plateaus {name}")
