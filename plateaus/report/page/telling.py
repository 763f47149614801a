"""What the page says in words and tables of one run folder."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plateaus.report import cells, paired, survival, table, trained_tasks
from plateaus.report.page.folders import Folder
from plateaus.report.page.series import Measure
from plateaus.report.statistics import Row
from plateaus.report.table import value_text

MOST = 200  # characters of the values of a swept field: the settings are listed below
_SCRIPT = re.compile(r"\s*(?!-)(?:\S*python\S*\s+)?(?:\S*?(experiments/\S+\.py)|\S+\.py)\s+")


def styles(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the colour and the dash of each setting, those of the figures, in pixels."""
    from plateaus.report import facets, style  # slow to import: they bring matplotlib

    one_field = len(rows[0].setting) == 1 if rows else False
    return _styles(facets.styles_of(rows) if one_field else style.looks(len(rows)))


def styles_of_arms(count: int) -> list[dict[str, Any]]:
    """Return the look of a treated setting and, black, of its baseline; or of the one alone."""
    from plateaus.report import style

    return _styles(style.looks(count, baseline=1 if count > 1 else None))


def _styles(looks: Sequence[Any]) -> list[dict[str, Any]]:
    from matplotlib.colors import to_hex

    dashes = [[] if look.dash == "-" else [2 * part for part in look.dash[1]] for look in looks]
    return [
        {"color": to_hex(look.color), "dash": dash or [1, 0]}
        for look, dash in zip(looks, dashes, strict=True)
    ]


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as one would type them, those in a row by their ends.

    >>> ranges([0, 1, 2, 7, 1000, 1001])
    '0 to 2, 7, 1000, 1001'
    """
    parts = []
    for _, group in itertools.groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(number) for number in run]
    return ", ".join(parts)


def plan(folder: Folder) -> list[tuple[str, str]]:
    """Return the plan as terms and what they are."""
    dataset, rows = folder.results, folder.rows
    seeds = dataset["seed"].values.tolist()
    runs = sum(row.runs for row in rows)
    counts = {
        "escaped": sum(row.escaped for row in rows),
        "diverged": sum(row.diverged for row in rows),
        "unfinished": sum(row.unfinished for row in rows),
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    batches = sorted({row.batch for row in rows if row.batch})
    swept = []
    for name, values in cells.swept_values(dataset).items():
        text = ", ".join(map(value_text, values))
        swept.append((f"swept: {name}", text if len(text) <= MOST else f"{len(values)} values"))
    return [
        *swept,
        ("settings", str(len(rows))),
        ("seeds", f"{len(seeds)}: {ranges(seeds)}"),
        ("steps", f"{int(dataset.attrs['horizon']):,}"),
        ("evaluated every", f"{cells.evaluated_every(dataset):,} steps"),
        *([("examples to a step", ", ".join(f"{n:,}" for n in batches))] if batches else []),
        ("runs", f"{runs} of {len(rows) * len(seeds)}" + f": {told}" * bool(told)),
    ]


def settings(folder: Folder, looks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each setting: its label, what a variant stands for, whether it is a baseline."""
    variants = folder.config.get("variants") or {}
    return [
        {
            "label": table.label(row.setting) or "all runs",
            "meaning": table.label(variants.get(row.setting.get("variant"), {})),
            "baseline": row.is_baseline and len(folder.rows) > 1,
            "outcome": f"{row.escaped} of {row.runs} escaped"
            + f", {row.diverged} diverged" * bool(row.diverged),
            **look,
        }
        for row, look in zip(folder.rows, looks, strict=True)
    ]


def config(folder: Folder) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Return the config by section: name, value as text, and whether it was swept."""
    recorded = folder.config.get("config") or json.loads(folder.results.attrs["config"])
    swept = cells.swept_values(folder.results)
    sections: dict[str, list[tuple[str, str, bool]]] = {}
    for name, value in {**recorded, **swept}.items():
        head = name.partition(".")[0] if "." in name else "run"
        values = value if name in swept else [value]
        text = ", ".join(_text(each) for each in values)
        sections.setdefault(head, []).append((name, text, name in swept))
    return list(sections.items())


def _text(value: Any) -> str:
    if isinstance(value, bool | None) or value == "":
        return json.dumps(value)
    return value_text(value) if isinstance(value, int | float | str) else json.dumps(value)


def sessions(folder: Folder) -> list[dict[str, Any]]:
    """Return each session that added runs: how many, when done, on what, from which commit."""
    found = []
    for session in folder.sessions:
        exactness = session.get("exactness") or []
        exactness = exactness if isinstance(exactness, list) else [exactness]
        devices = sorted({str(each.get("device", "")) for each in exactness} - {""})
        commit = str(session.get("commit") or "none recorded")
        versions = session.get("versions") or {}
        seconds = session.get("wall_seconds")
        found.append(
            {
                "runs": session.get("runs", ""),
                "wall": "" if seconds is None else f"{seconds:,.0f} s",
                "devices": f"{session.get('devices', 1)} x {', '.join(devices) or 'unknown'}",
                "commit": commit + " with changes" * bool(session.get("dirty")),
                "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
                "record": json.dumps(exactness, indent=1),
            }
        )
    return found


def commands(folder: Folder) -> list[str]:
    """Return the commands that make the folder's runs, each once, in their order."""
    found = (str(session["command"]) for session in folder.sessions if session.get("command"))
    return list(dict.fromkeys(map(command, found)))


def command(recorded: str) -> str:
    """Return a recorded command as one types it in a checkout.

    >>> command("--config=configs/a.py --seeds 3")
    'python experiments/run.py --config=configs/a.py --seeds 3'
    >>> command("python a/experiments/real_models.py --seeds 3")
    'python experiments/real_models.py --seeds 3'
    """
    found = _SCRIPT.match(recorded)
    script = (found and found[1]) or "experiments/run.py"
    return f"python {script} {recorded[found.end() :] if found else recorded.strip()}"


def of_chart(kind: str, folder: Folder, measures: Sequence[Measure]) -> tuple[str, str, str]:
    """Return a chart's heading, its caption, and its text for who does not see it."""
    rows = folder.rows
    runs = sum(row.runs for row in rows)
    if kind == "curves":
        caption = (
            "A thin line for each run; the thick line is the median over the seeds shown, the band "
            f"holds the middle half of them, from {survival.FEWEST_RUNS} runs on. "
            "The median rests on the runs that were followed equally far; diverged runs are no "
            "part of it. Where it begins, the axis shows nearly all that was recorded; zoom out "
            "for the rest."
        )
        names = ", or ".join(measure.name for measure in measures)
        start = f"Learning curves of {runs} runs on logarithmic optimiser steps: {names}."
        return "Learning curves", caption, f"{start} {_escapes(rows)}"
    if kind == "survival":
        caption = (
            "Kaplan-Meier estimate over the seeds shown: the fraction of a setting's runs that "
            f"have not escaped yet, with a pointwise 95% band from {survival.FEWEST_RUNS} runs on. "
            "A tick marks runs that were followed no further."
        )
        start = f"Survival curves of the plateau for {len(rows)} settings."
        return "Time on the plateau", caption, f"{start} {_escapes(rows)}"
    caption = (
        "Each setting beside its baseline on the same seeds: the geometric mean of the ratios of "
        f"the steps to escape, with its 95% interval from {paired.FEWEST_FOR_INTERVAL} pairs on. "
        "A faint dot is a seed, n the number of pairs, p that of the sign-flip test, adjusted over "
        "the table. Left of 1, the dashed line, the setting escapes sooner. A triangle points to "
        "where a ratio may lie: one of the two runs, or all of a setting's, never escaped."
    )
    apart = trained_tasks.other_tasks(folder.results, rows)
    lines = [
        f"{table.label(row.setting)}: {row.bound} {row.ratio.value:.2f} of the baseline"
        for row in rows
        if not row.is_baseline and row.pairs and row.index not in apart
    ]
    return "Paired ratios", caption, f"Ratios of steps to escape. {'; '.join(lines)}."


def _escapes(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        line = f"{table.label(row.setting) or 'all runs'}: {row.escaped} of {row.runs} escaped"
        if math.isfinite(row.escape.value):
            line += f", median step {row.escape.value:,.0f}"
        lines.append(line)
    return "; ".join(lines) + "."
