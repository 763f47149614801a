"""Compare what the presets come to, before and after a change that should change nothing.

  python experiments/golden.py before                     the smoke run of one preset a config file
  python experiments/golden.py after --against before     the same later, compared with the first
  python experiments/golden.py before --all               every preset
  python experiments/golden.py before --all --part 1/2    every other one, beside a second process
  python experiments/golden.py after --only mixing        presets whose name has this in it

Variables of results.nc must have the same names, dimensions, types and values, the tables the same
text, the figures the same names. Ends with code 1 if anything differs. Both folders must have been
made on the same machine, with the same packages. A folder that is there is gone on with.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from plateaus.report import store

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def presets(every: bool) -> list[str]:
    """Return FILE:PRESET of the first preset of each config file, or of every preset."""
    words = [sys.executable, str(HERE / "run.py"), "--list"]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=True)
    lines = done.stdout.splitlines()
    names: list[str] = []
    file = ""
    for line in lines:
        if preset := re.match(r"\s+:(\S+)", line):
            if every or not any(name.startswith(f"{file}:") for name in names):
                names.append(f"{file}:{preset[1]}")
        else:
            file = line.strip()
    return names


def place_of(folder: Path, name: str) -> Path:
    """Return the run folder of a preset.

    >>> place_of(Path("before"), "configs/facts.py:zipf").name
    'facts-zipf'
    """
    file, preset = name.split(":")
    return folder / f"{Path(file).stem}-{preset}"


def run(name: str, place: Path) -> int:
    """Run a preset at smoke scale in a folder; its words go to a log beside it."""
    from run import main

    words = io.StringIO()
    with contextlib.redirect_stdout(words):
        code = main([f"--config={name}", "--smoke", "--workdir", str(place)])
    place.with_suffix(".log").write_text(words.getvalue(), encoding="utf-8")
    return code


def differences(before: Path, after: Path) -> list[str]:
    """Return how the results of two run folders differ, a line each."""
    if not (before / "results.nc").exists():
        return ["there are no results to compare with"]
    a, b = (store.load(folder / "results.nc") for folder in (before, after))
    lines = [f"{n}: only before" for n in a.variables if n not in b.variables]
    lines += [f"{n}: only after" for n in b.variables if n not in a.variables]
    for name in set(map(str, a.variables)) & set(map(str, b.variables)):
        was, now = a[name], b[name]
        if was.dims != now.dims or was.dtype != now.dtype:
            lines.append(f"{name}: was {was.dims} {was.dtype}, is {now.dims} {now.dtype}")
        elif not np.array_equal(was, now, equal_nan=was.dtype.kind == "f"):
            lines.append(f"{name}: other values")
    tables = {path.name for folder in (before, after) for path in folder.glob("*.csv")}
    for name in sorted(tables - {"runs.csv"}):  # which says how long each run took
        texts = [(f / name).read_bytes() if (f / name).exists() else None for f in (before, after)]
        if texts[0] != texts[1]:
            lines.append(f"{name}: another table")
    figures = [{path.name for path in (f / "figures").iterdir()} for f in (before, after)]
    return lines + [f"figures/{name}: drawn in one only" for name in figures[0] ^ figures[1]]


def main() -> int:
    """Run presets into a folder, and compare them with those of another; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the run folders go")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="compare with these")
    parser.add_argument("--all", action="store_true", help="every preset")
    parser.add_argument("--only", default="", metavar="TEXT", help="presets with this in the name")
    parser.add_argument("--part", default="1/1", metavar="I/N", help="the I-th of N parts")
    given = parser.parse_args()
    first, parts = map(int, given.part.split("/"))
    failures = 0
    chosen = [name for name in presets(given.all or bool(given.only)) if given.only in name]
    for name in chosen[first - 1 :: parts]:
        began = time.monotonic()
        place = place_of(given.folder, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"ended with code {code}"] if (code := run(name, place)) else []
        if given.against and not lines:
            lines = differences(place_of(given.against, name), place)
        failures += bool(lines)
        verdict = "DIFFERS" if lines else "ok"
        words = [f"{name}: {verdict}, {time.monotonic() - began:.0f} s", *(f"  {x}" for x in lines)]
        print(*words, sep="\n", flush=True)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
