"""The page as one file: the text of each run folder, its charts, the library, style and script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plateaus.report.page import charts, series, telling
from plateaus.report.page.folders import Folder
from plateaus.variables import EVALUATIONS

HERE = Path(__file__).parent


def page(folders: Sequence[Folder]) -> str:
    """Return report.html of run folders: one section each, with everything in it.

    Raises:
      ConfigError: the extra `html` is not installed.
    """
    library = charts.library()
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
    own = {name: (HERE / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    runs = [section(folder, f"run{number}") for number, folder in enumerate(folders, 1)]
    template = environment.get_template("page.html")
    return template.render(runs=runs, library=library, css=own["css"], js=own["js"])


def _json(value: Any) -> str:
    """Return JSON that no HTML ends early: "<" is written as an escape."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def section(folder: Folder, anchor: str) -> dict[str, Any]:
    """Return what the page's template says of one run folder."""
    dataset, rows = folder.results, folder.rows
    styles = telling.styles(len(rows))
    measures = series.measures(dataset)
    return {
        "id": anchor,
        "name": folder.name,
        "title": folder.config.get("title") or dataset.attrs.get("title", ""),
        "plan": telling.plan(folder),
        "settings": telling.settings(folder, styles),
        "seeds": dataset["seed"].values.tolist(),
        "measures": [measure.name for measure in measures],
        "charts": _charts(folder, styles, measures),
        "table": telling.table_of(rows),
        "config": telling.config(folder),
        "sessions": telling.sessions(folder),
        "commands": telling.commands(folder),
    }


def _charts(
    folder: Folder, styles: Sequence[Mapping[str, Any]], measures: Sequence[series.Measure]
) -> list[dict[str, Any]]:
    """Return the charts that there is something for: heading, caption, alternative text, Vega."""
    dataset, rows = folder.results, folder.rows
    looks = charts.Looks([s["color"] for s in styles], [s["dash"] for s in styles])
    steps = dataset[EVALUATIONS].values
    horizon = int(dataset.attrs["horizon"])
    span = int(steps[steps > 0].min(initial=horizon)), max(horizon, 2)
    found = []
    if records := series.curves(dataset, rows, measures):
        found.append(("curves", charts.curves(records, measures, looks, span)))
    if records := series.survivals(dataset, rows, span[0]):
        marks = [*series.censored(dataset, rows, span[0])]
        found.append(("survival", charts.survival(records, marks, looks, span)))
    if records := series.ratios(dataset, rows):
        found.append(("ratios", charts.ratios(records, looks)))
    made = []
    for kind, spec in found:
        heading, caption, alternative = telling.of_chart(kind, folder, measures)
        spec["description"] = alternative
        made.append({"kind": kind, "heading": heading, "caption": caption, "spec": spec})
    return made
