"""The command line of `experiments/real_models.py` taken apart and checked; nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from plateaus import option_strings, paths
from plateaus.config.options import Once, Parser
from plateaus.config.schema import ConfigError
from plateaus.config.values import convert, shown
from plateaus.fields import Field
from plateaus.names import hint, nearest
from plateaus.real_models import hugging_face, text_sets
from plateaus.real_models.text_sets import SETS

EACH = 20  # examples of a task, as in the paper's settings
ORDERS = ("exact", "iid")
PROGRAM = "python experiments/real_models.py"
EPILOG = """examples:
  PROGRAM DIR --set pair
  PROGRAM DIR --set add --tasks english,french --shares 3:1,1:1,1:3
"""
NUMBERS = {  # option -> its default and range
    "prompts": (100, Field(help="random prompts of each mixture", low=1)),
    "seed": (0, Field(help="seed of the prompts; every mixture has the same inputs", low=0)),
    "batch": (4, Field(help="prompts to a pass: less needs less memory", low=1)),
}


class Plan(NamedTuple):
    """What to evaluate.

    Fields:
      folder: the model's folder.
      set, tasks: the name of a set of `text_sets`, and K of its tasks, in order.
      shares: mixture, as the user wrote it -> K numbers, the shares of its tasks up to a factor.
      examples: examples in a prompt.
      prompts: prompts of each mixture.
      exact: whether every prompt has the shares exactly; else each task is drawn independently.
      seed: seed of the prompts.
      batch: prompts to a pass.
      dtype: numbers that the model computes in.
      workdir: folder of the results.
    """

    folder: Path
    set: str
    tasks: tuple[str, ...]
    shares: dict[str, tuple[float, ...]]
    examples: int
    prompts: int
    exact: bool
    seed: int
    batch: int
    dtype: str
    workdir: Path


def parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the parser of every option."""
    made = Parser(
        prog=program,
        description="Ask a language model on disk about prompts that mix several tasks: whether it "
        "answers as all of them at once, or as one at a time.",
        epilog=EPILOG.replace("PROGRAM", program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("folder", metavar="DIR", nargs="?", help="a causal language model's folder")

    def value(flag: str, metavar: str, text: str) -> None:
        made.add_argument(flag, metavar=metavar, action=Once, help=text)

    value("--set", "NAME", f"the set of tasks: {', '.join(SETS)} (default: pair)")
    value("--tasks", "a,b,...", "tasks of the set (default: those that paper 5 mixes)")
    value("--shares", "a:b:..,...", "mixtures: the share of each task (default: one, equal shares)")
    value("--order", "|".join(ORDERS), "shares exact in a prompt (default), or in the mean only")
    value("--examples", "M", f"in-context examples of a prompt (default: {EACH} times the tasks)")
    for name, (default, field) in NUMBERS.items():
        value(f"--{name}", "N", f"{field.help} (default: {default})")
    value("--dtype", "|".join(hugging_face.DTYPES), "numbers to compute in (default: float32)")
    value("--workdir", "OUT", "folder of the results (default: runs/real_models-<set>-<DIR>)")
    made.add_argument("--dry-run", action="store_true", help="print the plan and a prompt only")
    return made


def plan(options: argparse.Namespace, extras: Sequence[str] = ()) -> Plan:
    """Return the checked plan.

    Raises ConfigError with every problem found.
    """
    problems = [_stray(word) for word in extras]

    def checked(flag: str, read: Any, default: Any) -> Any:
        """Return an option as `read` reads it, or the default where it is missing or refused."""
        text = getattr(options, flag)
        try:
            return default if text is None else read(text)
        except ValueError as error:
            problems.append(f"--{flag} = {shown(text, int)}: {error}")
            return default

    def one_of(names: Sequence[str], what: str) -> Any:
        def read(word: str) -> str:
            if word not in names:
                raise ValueError(f"no such {what}{hint(word, names)}")
            return word

        return read

    def number(field: Field) -> Any:
        return lambda text: convert(int, field, text)

    name = checked("set", one_of(tuple(SETS), "task set"), "pair")
    tasks = checked("tasks", lambda text: _tasks(name, text), text_sets.tasks_of(name))
    most = len(SETS[name].inputs) - 1  # one input is the query
    usual = min(EACH * len(tasks), most)
    examples = checked("examples", lambda text: _examples(tasks, most, text), usual)
    mixtures = partial(option_strings.shares, count=len(tasks))
    shares = checked("shares", mixtures, mixtures(":".join("1" for _ in tasks)))
    numbers = {n: checked(n, number(field), default) for n, (default, field) in NUMBERS.items()}
    order = checked("order", one_of(ORDERS, "order"), ORDERS[0])
    dtype = checked("dtype", one_of(hugging_face.DTYPES, "type"), hugging_face.DTYPES[0])
    folder = paths.expanded(options.folder or "")
    if not options.folder:
        problems.insert(0, "no DIR given: name the folder of a language model; see --help")
    else:
        try:
            hugging_face.check(folder)
        except ValueError as error:
            problems.insert(0, f"DIR = {error}")
    named = Path("runs") / f"real_models-{name}-{folder.resolve().name}"
    workdir = checked("workdir", paths.folder, named)
    if problems:
        raise ConfigError(*problems)
    return Plan(
        folder=folder,
        set=name,
        tasks=tasks,
        shares=shares,
        examples=examples,
        exact=order == "exact",
        dtype=dtype,
        workdir=workdir,
        **numbers,
    )


def _stray(word: str) -> str:
    """Return what is wrong with a word that the parser does not know."""
    if not word.startswith("-"):
        return f"{shown(word)}: one DIR only; every option starts with --"
    flag = word.partition("=")[0]
    flags = [text for action in parser()._actions for text in action.option_strings]
    close = nearest(flag, flags)
    return f"{flag}: no such option; {f'did you mean {close}?' if close else 'see --help'}"


def _tasks(name: str, text: str) -> tuple[str, ...]:
    """Return the tasks of a set that an option names.

    Raises ValueError where they are not two or more tasks of it whose answers differ.
    """
    for problem in option_strings.name_problems(text, SETS[name].tasks, kind=f"{name} task"):
        raise ValueError(problem)
    tasks = option_strings.parts(text)
    if len(tasks) < 2:
        raise ValueError("must be at least two tasks")
    if text_sets.collide(SETS[name], tasks):
        raise ValueError("answers collide: no input to which all these tasks answer differently")
    return tasks


def _examples(tasks: Sequence[str], most: int, text: str) -> int:
    """Return the number of examples in a prompt, from one a task to all inputs but one."""
    examples = int(convert(int, Field(help="examples", low=1, high=most), text))
    if examples < len(tasks):
        raise ValueError(f"must be at least {len(tasks)}: there are more tasks than examples")
    return examples
