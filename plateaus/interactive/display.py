"""How experiments and results look at a prompt and in a notebook."""

from __future__ import annotations

import html as markup
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.config.values import shown
from plateaus.report.kept_runs import value_text

WIDTH = 100
_SCROLLED = "overflow-x: auto; white-space: pre; font-family: monospace; line-height: 1.25"


def text(title: str, facts: Mapping[str, str]) -> str:
    """Return a title and facts below one another; empty ones are left out.

    >>> print(text("a run", {"steps": "400", "notes": "", "folder": "runs/a"}))
    a run
      steps   400
      folder  runs/a
    """
    wide = max((len(name) for name, fact in facts.items() if fact), default=0) + 4
    lines = textwrap.wrap(title, WIDTH, subsequent_indent="  ")
    for name, fact in facts.items():
        if fact:
            folded = textwrap.wrap(fact, WIDTH - wide, break_on_hyphens=False)
            lines += textwrap.indent("\n".join(folded), " " * wide).split("\n")
            lines[-len(folded)] = f"  {name:<{wide - 2}}{folded[0]}"
    return "\n".join(lines)


def html(title: str, facts: Mapping[str, str], below: str = "") -> str:
    """Return the same for a notebook, with markup below it."""
    style = 'style="text-align: left"'
    rows = [
        f"<tr><th {style}>{markup.escape(name)}</th><td {style}>{markup.escape(fact)}</td></tr>"
        for name, fact in facts.items()
        if fact
    ]
    return f"<b>{markup.escape(title)}</b><table>{''.join(rows)}</table>{below}"


def scrolled(lines: str) -> str:
    """Return lines of text for a notebook, which scroll where they are too wide."""
    return f'<div style="{_SCROLLED}">{markup.escape(lines)}</div>'


def as_option(value: Any) -> str:
    """Return a value, or those of a sweep, as an option of the command has it.

    >>> as_option(True), as_option([1, 0.1]), as_option([(1e-3, 0), (1e-2, 1)])
    ('true', '1,0.1', '0.001:0,0.01:1')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) or not hasattr(value, "__iter__") or not hasattr(value, "__len__"):
        return value_text(value)
    pairs = [isinstance(part, tuple | list) for part in value]
    return ",".join(
        ":".join(map(as_option, part)) if pair else as_option(part)
        for pair, part in zip(pairs, value, strict=True)
    )


def facts(plan: Plan, changed: Mapping[str, Any]) -> dict[str, str]:
    """Return what a plan is, and what it costs, in words."""
    from plateaus.jobs import identities, sweep

    settings = [
        f"{name} = {_few([_brief(value) for value in values])}"
        for name, values in plan.sweep.items()
    ]
    runs = sweep.members(plan)
    steps, batch = plan.config["steps"], plan.config["batch"]
    try:
        count = len(sweep.programs(plan, runs))
        programs = f"{count} program{'s' * (count != 1)}, "
    except ConfigError:  # said when it runs
        programs = ""
    in_all = len(runs) * steps
    place = identities.locate(plan, None, lambda line: None)
    there = "there already: only what is missing runs" if place.exists() else "not there yet"
    return {
        "settings": " x ".join(settings) or "one",
        "seeds": _few([str(seed) for seed in plan.seeds]),
        "task": f"{plan.config['task.name']}, {plan.config['model.name']}",
        "steps": f"{steps:,} of {batch} examples",
        "cost": f"{programs}{len(runs)} runs, {in_all:,} steps and {in_all * batch:.2g} examples",
        "folder": f"{place} ({there})",
        "changed": ", ".join(f"{name} = {shown(plan.config[name])}" for name in changed),
    }


def _brief(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else value_text(value)


def _few(values: Sequence[str], most: int = 12) -> str:
    """Return a list of values, those in the middle left out of a long one.

    >>> _few("abcde", most=4)
    'a, b, ..., e (5)'
    """
    if len(values) <= most:
        return ", ".join(values)
    return f"{', '.join(values[: most - 2])}, ..., {values[-1]} ({len(values)})"
