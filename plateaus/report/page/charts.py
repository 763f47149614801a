"""The page's charts, written in Altair and compiled to Vega, so that the page needs no compiler.

Each is a function of the numbers in `series`. What a reader switches on and off are its signals:
`settings`, `seeds` and `measure`; `zoom_t` and `zoom_v` are the range that is looked at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from plateaus.config.schema import ConfigError
from plateaus.report.page.series import Measure, Record

TITLE = "the measure shown"  # of an axis whose title is a signal, which Vega-Lite has no word for
GREY = "#555555"
LINE = 15  # pixels, of words in a chart
# Dragging is for a mouse, and a wheel alone scrolls the page: so do fingers on a telephone.
DRAG = "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!"
WHEEL = "wheel![event.ctrlKey || event.metaKey]"
MISSING = (
    "the page needs Altair, vl-convert and Jinja: run `pip install 'plateaus[evidence]'`, "
    "or in a checkout `pip install -e '.[evidence]'`"
)
Spec = dict[str, Any]


def library() -> str:
    """Return Vega as one script, which sets `window.vegaEmbed`.

    Raises:
      ConfigError: the extra `html` is not installed.
    """
    try:
        import altair  # noqa: F401  all that the charts are made by, before any is
        import jinja2  # noqa: F401
        import vl_convert
    except ImportError:
        raise ConfigError(MISSING) from None
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


class Looks:
    """Colours and dashes of the settings, as scales over their places."""

    def __init__(self, colors: Sequence[str], dashes: Sequence[Sequence[float]]):
        import altair as alt

        domain = list(range(len(colors)))
        self.color = alt.Color("s:N", scale=alt.Scale(domain=domain, range=[*colors]), legend=None)
        self.dash = alt.StrokeDash(
            "s:N",
            scale=alt.Scale(domain=domain, range=[list(map(float, dash)) for dash in dashes]),
            legend=None,
        )


def curves(
    records: Sequence[Record], found: Sequence[Measure], looks: Looks, span: tuple[int, int]
) -> Spec:
    """Return the chart of learning curves: each run, their median and the middle half of them."""
    import altair as alt

    limits = [[measure.low, measure.high] for measure in found]
    params = [*_switches(records), _param("measure", 0), _param("limits", limits)]
    params.append(_param("names", [measure.name for measure in found]))
    shown = [alt.ExprRef(f"limits[measure][{end}]") for end in (0, 1)]
    y = alt.Y("v:Q", title=TITLE, scale=alt.Scale(domain=shown, nice=False, zero=False))
    base = (
        alt.Chart(alt.NamedData("curves"))
        .transform_filter("indexof(settings, datum.s) >= 0 && indexof(seeds, datum.r) >= 0")
        .transform_filter("datum.m === measure")
        .transform_flatten(["t", "v"])
    )
    runs = (
        base.mark_line(clip=True, strokeWidth=1, opacity=0.3, aria=False)
        .encode(x=_steps(span), y=y, color=looks.color, detail="r:N")
        .add_params(_zoom())
    )
    followed = base.transform_filter("datum.f && datum.t <= datum.e")
    summary = followed.transform_aggregate(
        median="median(v)", low="q1(v)", high="q3(v)", n="count(v)", groupby=["s", "t"]
    )
    half = summary.mark_area(clip=True, opacity=0.15, aria=False).encode(
        x=_steps(span), y=alt.Y("low:Q", title=TITLE), y2="high:Q", color=looks.color
    )
    median = summary.mark_line(clip=True, strokeWidth=2.5, aria=False).encode(
        x=_steps(span), y=alt.Y("median:Q", title=TITLE), color=looks.color, strokeDash=looks.dash
    )
    layers = {"half": half, "runs": runs, "median": median}
    return _vega(layers, params, 320, {"curves": records})


def survival(
    records: Sequence[Record], marks: Sequence[Record], looks: Looks, span: tuple[int, int]
) -> Spec:
    """Return the chart of Kaplan-Meier curves with their bands, a tick where runs were censored."""
    import altair as alt

    scale = alt.Scale(domain=[-0.02, 1.02], nice=False)
    title = "fraction still on the plateau"
    base = (
        alt.Chart(alt.NamedData("survival"))
        .transform_filter("indexof(settings, datum.s) >= 0")
        .transform_flatten(["t", "f", "l", "h", "n"])
    )
    known = base.transform_filter("isValid(datum.l)")
    area = known.mark_area(clip=True, interpolate="step-after", opacity=0.12, aria=False).encode(
        x=_steps(span), y=alt.Y("l:Q", title=title, scale=scale), y2="h:Q", color=looks.color
    )
    line = (
        base.mark_line(clip=True, interpolate="step-after", strokeWidth=2.2, aria=False)
        .encode(
            x=_steps(span),
            y=alt.Y("f:Q", title=title, scale=scale),
            color=looks.color,
            strokeDash=looks.dash,
        )
        .add_params(_zoom())
    )
    tick = (
        alt.Chart(alt.NamedData("censored"))
        .transform_filter("indexof(settings, datum.s) >= 0")
        .mark_tick(orient="vertical", size=14, thickness=2, aria=False)
        .encode(x=_steps(span), y=alt.Y("f:Q", title=title), color=looks.color)
    )
    data = {"survival": records, "censored": marks}
    layers = {"band": area, "fraction": line, "ticks": tick}
    return _vega(layers, [_switches(records)[0]], 260, data)


def ratios(records: Sequence[Record], looks: Looks) -> Spec:
    """Return the chart of paired ratios on a log axis: interval, geometric mean, seeds as dots."""
    import altair as alt

    known = [v for r in records for v in (r["x"], r["low"], r["high"], *r["d"]) if v]
    reach = 1.08 * math.exp(max(abs(math.log(v)) for v in [*known, 1.25]))
    ends = [max(1 / reach, 0.9 * min([*known, 0.8])), min(reach, 1.1 * max([*known, 1.25]))]
    x: dict[str, Any] = {
        "title": "steps to escape, relative to the baseline",
        "scale": alt.Scale(type="log", domain=ends, nice=False),
        "axis": alt.Axis(format="~g", tickCount=6, labelOverlap=True, labelSeparation=6),
    }
    y = alt.Y("s:O", title=None, axis=None)
    lines = max(len(record["name"]) for record in records)
    step = LINE * (lines + 1) + 38  # from above: its name, its numbers, its marks
    middle = LINE * (lines + 1) + 12 - step / 2
    base = alt.Chart(alt.NamedData("ratios")).transform_filter("indexof(settings, datum.s) >= 0")
    one = (
        alt.Chart(alt.NamedData("one"))
        .mark_rule(color=GREY, strokeDash=[3, 3], aria=False)
        .encode(x=alt.X("x:Q", **x))
    )
    dots = (
        base.transform_flatten(["d"])
        .mark_point(filled=True, size=36, opacity=0.35, aria=False, yOffset=middle + 11)
        .encode(x=alt.X("d:Q", **x), y=y, color=looks.color)
    )
    interval = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=2.5, aria=False, yOffset=middle)
        .encode(x=alt.X("low:Q", **x), x2="high:Q", y=y, color=looks.color)
    )
    layers = {"one": one, "seeds": dots, "intervals": interval}
    shapes = {"": "circle", ">": "triangle-right", "<": "triangle-left"}
    for name, (bound, shape) in zip(("means", "least", "most"), shapes.items(), strict=True):
        mark: dict[str, Any] = {"shape": shape, "size": 130, "filled": True, "opacity": 1}
        of_kind = base.transform_filter(f"datum.b === '{bound}'")
        layers[name] = of_kind.mark_point(**mark, yOffset=middle, stroke="white").encode(
            x=alt.X("x:Q", **x),
            y=y,
            color=looks.color,
            description=alt.Description("told:N"),
            tooltip=alt.Tooltip("told:N"),
        )
    for field, line, color in (("name", 0, "#111111"), ("told", lines, GREY)):
        text: dict[str, Any] = {"align": "left", "baseline": "top", "color": color, "x": 2}
        text |= {"dy": LINE * line + 4 - step / 2, "fontSize": 12, "lineHeight": LINE}
        layers[field] = base.mark_text(**text).encode(y=y, text=f"{field}:N")
    data = {"ratios": records, "one": [{"x": 1}]}
    return _vega(layers, [_switches(records)[0]], alt.Step(step), data)


def _steps(span: tuple[int, int]) -> Any:
    import altair as alt

    return alt.X(
        "t:Q",
        title="optimiser steps",
        scale=alt.Scale(type="log", domain=[*span], nice=False),
        axis=alt.Axis(format="~s", tickCount=7, labelOverlap=True, labelSeparation=6),
    )


def _switches(records: Sequence[Record]) -> list[Any]:
    """Return the signals of what is shown: all settings and, where there are some, all seeds."""
    settings = sorted({record["s"] for record in records})
    seeds = sorted({record["r"] for record in records if "r" in record})
    return [_param("settings", settings), *([_param("seeds", seeds)] if seeds else [])]


def _param(name: str, value: Any) -> Any:
    import altair as alt

    return alt.param(name=name, value=value)


def _zoom() -> Any:
    import altair as alt

    return alt.selection_interval(name="zoom", bind="scales", translate=DRAG, zoom=WHEEL)


def _vega(
    layers: Mapping[str, Any],
    params: Sequence[Any],
    height: Any,
    data: Mapping[str, Sequence[Record]],
) -> Spec:
    """Return layers, by the names of their marks, as one chart in Vega, with its data in it."""
    import altair as alt
    import vl_convert

    chart = alt.layer(*(layer.properties(name=name) for name, layer in layers.items()))
    chart = chart.add_params(*params).properties(
        width="container", height=height, autosize={"type": "fit-x", "contains": "padding"}
    )
    chart = chart.configure_view(stroke=None).configure_axis(
        labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridColor="#e8e8e8"
    )
    spec = vl_convert.vegalite_to_vega(chart.to_dict(), vl_version=_version())
    for source in spec["data"]:
        if source["name"] in data:
            source["values"] = [*data[source["name"]]]
    for axis in spec["axes"]:
        if axis.get("title") == TITLE:
            axis["title"] = {"signal": "names[measure]"}
    spec.pop("$schema", None)
    return json.loads(json.dumps(spec))


def _version() -> str:
    """Return the version of Vega-Lite that Altair writes, or the newest that vl-convert knows."""
    import altair
    import vl_convert

    written = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    known = vl_convert.get_vegalite_versions()
    return written if written in known else known[-1]
