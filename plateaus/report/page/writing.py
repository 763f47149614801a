"""The page as one file: the text of each run folder, its charts, the library, style and script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plateaus.report.page import charts, comparisons, series, tables, telling, vega
from plateaus.report.page.folders import Folder

HERE = Path(__file__).parent


def page(folders: Sequence[Folder]) -> str:
    """Return report.html of run folders: one section each, with everything in it.

    Raises:
      ConfigError: the extra `html` is not installed.
    """
    library = vega.library()
    runs = [
        section(folder, name, f"run{number}")
        for number, (folder, name) in enumerate(zip(folders, names(folders), strict=True), 1)
    ]
    return rendered("page", library=library, runs=runs)


def rendered(name: str, **values: Any) -> str:
    """Return the page of a template, with the style and the script that belong to it."""
    import jinja2

    loader = jinja2.FileSystemLoader(HERE, encoding="utf-8")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,  # names may hold anything
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = _json
    style, *scripts = (
        (HERE / file).read_text(encoding="utf-8")
        for file in ("page.css", "charts.js", f"{name}.js")
    )
    template = environment.get_template(f"{name}.html")
    return template.render(css=style, js="\n".join(scripts), **values)


def names(folders: Sequence[Folder]) -> list[str]:
    """Return what each folder is called: its name, with the folder above where two are alike."""
    found = [folder.name for folder in folders]
    alike = [found.count(name) > 1 for name in found]
    found = [f"{f.above}/{f.name}" if a else f.name for f, a in zip(folders, alike, strict=True)]
    return [
        f"{name} ({found[:i].count(name) + 1})" if found.count(name) > 1 else name
        for i, name in enumerate(found)
    ]


def _json(value: Any) -> str:
    """Return JSON that no HTML ends early: "<" is written as an escape."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def section(folder: Folder, name: str, anchor: str) -> dict[str, Any]:
    """Return what the page's template says of one run folder."""
    dataset, rows = folder.results, folder.rows
    styles = telling.styles(rows)
    measures = series.measures(dataset, rows)
    shown = _charts(folder, styles, measures)
    return {
        "id": anchor,
        "name": name,
        "title": folder.config.get("title") or dataset.attrs.get("title", ""),
        "plan": telling.plan(folder),
        "settings": telling.settings(folder, styles),
        "seeds": dataset["seed"].values.tolist(),
        "measures": [measure.name for measure in measures],
        "charts": shown,
        "has_ratios": any(chart["kind"] == "ratios" for chart in shown),
        "tables": tables.tables(folder),
        "config": telling.config(folder),
        "sessions": telling.sessions(folder),
        "commands": telling.commands(folder),
    }


def _charts(
    folder: Folder, styles: Sequence[Mapping[str, Any]], measures: Sequence[series.Measure]
) -> list[dict[str, Any]]:
    """Return the charts that there is something for: heading, caption, alternative text, Vega."""
    dataset, rows = folder.results, folder.rows
    looks, seeds = vega.Looks(styles), dataset["seed"].values.tolist()
    grid, horizon = series.grid(dataset), int(dataset.attrs["horizon"])
    span = min(grid, default=horizon), max(horizon, 2)
    found = []
    if records := series.curves(dataset, rows, measures):
        found.append(("curves", charts.curves(records, measures, looks, seeds, grid, span)))
    if records := series.times(dataset, rows, span[0]):
        found.append(("survival", charts.survival(records, looks, seeds, span)))
    if records := series.ratios(dataset, rows):
        found.append(("ratios", comparisons.chart(records, looks, seeds)))
    made = []
    for kind, spec in found:
        heading, caption, alternative = telling.of_chart(kind, folder, measures)
        spec["description"] = alternative
        made.append({"kind": kind, "heading": heading, "caption": caption, "spec": spec})
    return made
