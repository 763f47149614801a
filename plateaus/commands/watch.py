"""The command `plateaus watch`: curves of a running job as text, until it ends.

It reads what the job leaves on disk, a checkpoint of each chunk every ten seconds and the records
of finished chunks, and writes nothing. JAX is not needed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from plateaus.config.exit_codes import with_exit_code
from plateaus.config.options import Parser, only_known
from plateaus.config.schema import ConfigError
from plateaus.files import LOCK

if TYPE_CHECKING:
    from plateaus.commands.sparklines import Curves

SECONDS = 2.0  # between two looks


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = Parser(
        prog=program,
        description="Show the test loss of each setting of a run folder, the median of its runs, "
        "until the job that works there ends.",
        allow_abbrev=False,
    )
    made.add_argument("run", metavar="RUN", help="a run folder")
    made.add_argument("--once", action="store_true", help="show it once, as off a terminal")
    return made


@with_exit_code
def main(argv: Sequence[str], program: str = "plateaus watch") -> int:
    """Run a command line and return its exit code."""
    options = only_known(parser(program), argv)
    folder = Path(options.run)
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: no run folder: it has no config.json")
    if (folder / "runs.csv").is_file() and not (folder / "checkpoints").is_dir():
        raise ConfigError(f"{folder}: kept without checkpoints; `plateaus compare` shows its runs")
    from plateaus.commands.sparklines import drawn

    above = 0
    while True:
        busy = at_work(folder)
        size = shutil.get_terminal_size((100, 24))
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        lines = [*drawn(read(folder), size.columns, encoding), _state(busy)]
        following = busy and sys.stdout.isatty() and not options.once
        if following:  # what is larger than the terminal cannot be drawn over
            lines = [*lines[: size.lines - 3], lines[-1]] if len(lines) >= size.lines else lines
            lines = [line[: size.columns - 1] for line in lines]
        print(f"\x1b[{above}F\x1b[J" * bool(above) + "\n".join(lines), flush=True)
        if not following:
            return 0
        above = len(lines)
        time.sleep(SECONDS)


def _state(busy: bool) -> str:
    return "a job is at work here" if busy else "no job is at work here"


def at_work(folder: Path) -> bool:
    """Return whether a process holds a run folder."""
    label = folder / LOCK
    if not label.exists():
        return False
    held = FileLock(label, timeout=0, fallback_to_soft=False)
    try:
        held.acquire()
    except Timeout:
        return True
    except OSError:  # of another user, or on a file system without locks
        return False
    held.release()
    return False


def read(folder: Path) -> Curves:
    """Return the curves in a run folder: of finished runs, and of others until their checkpoint.

    Raises ConfigError for a folder whose config.json is damaged.
    """
    from plateaus.commands.sparklines import Curves

    try:
        content = json.loads((folder / "config.json").read_bytes())
        config, sweep = content["config"], content["sweep"]
        seeds = content.get("seeds")
        count = config["seeds"] if seeds is None else len(seeds)
        title = " - ".join(filter(None, (content.get("name"), content.get("title"))))
        every, steps = int(config["eval_every"]), int(config["steps"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder}: config.json is damaged: {error!r}") from None
    found: dict[tuple[str, int], Any] = {}
    for members, losses in _records(folder):
        for (values, seed), curve in zip(members, losses, strict=False):  # padded at the end
            key = _label({name: values.get(name, config.get(name)) for name in sweep}), seed
            if len(curve) > len(found.get(key, ())):
                found[key] = curve
    by_setting: dict[str, list[Any]] = {}
    for (setting, _), curve in found.items():
        by_setting.setdefault(setting, []).append(curve)
    order = _settings(sweep)
    shown = sorted(by_setting, key=lambda one: order.index(one) if one in order else len(order))
    losses_of = {setting: by_setting[setting] for setting in shown}
    return Curves(title, every, steps, count, losses_of)


def _records(folder: Path) -> list[tuple[list[Any], Any]]:
    """Return (members, their test losses) of each chunk; what is half-written is passed over."""
    from plateaus.jobs import checkpoint

    records = []
    for path in sorted((folder / "checkpoints" / "finished").glob("*.npz")):
        try:
            arrays, meta = checkpoint.read_arrays(path)
            records.append((meta["members"], arrays["test_loss"]))
        except (checkpoint.Damaged, OSError, KeyError):
            continue
    for path in sorted((folder / "checkpoints" / "running").glob("*/chunk.json")):
        try:
            members = json.loads(path.read_bytes())["members"]
            saved = checkpoint.load(path.parent, lambda line: None)
            if saved is not None:
                records.append((members, saved[0]["test_loss"]))
        except (OSError, ValueError, KeyError):  # it has ended meanwhile, say
            continue
    return records


def _label(setting: dict[str, Any]) -> str:
    from plateaus.report.table import label

    return label(setting) or "as configured"


def _settings(sweep: dict[str, list[Any]]) -> list[str]:
    import itertools

    products = itertools.product(*sweep.values())
    return [_label(dict(zip(sweep, values, strict=True))) for values in products]
