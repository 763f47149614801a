"""The chart of comparisons: paired ratios (or differences) with their intervals and their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from plateaus.report.page.series import Record
from plateaus.report.page.vega import SEED_IS_SHOWN, SETTING_IS_SHOWN, Looks, Spec, compiled

BLACK, GREY, SHADE = "#111111", "#555555", "#dbe5db"
LINE = 15  # pixels, of words in a chart
MARKS = 44  # pixels, of a row's marks below its words
SHAPES = {"": "circle", ">": "triangle-right", "<": "triangle-left"}


class Axis(NamedTuple):
    """What is compared.

    title: of the axis. nothing: where there is no effect, if there is such a place.
    is_ratio: whether the axis is logarithmic. least: what it has to hold in any case.
    """

    title: str
    nothing: float | None = 1.0
    is_ratio: bool = True
    least: tuple[float, ...] = (0.8, 1.25)


STEPS = Axis("steps to escape, relative to the baseline")


def chart(
    records: Sequence[Record], looks: Looks, seeds: Sequence[int], axis: Axis = STEPS
) -> Spec:
    """Return a row for each record of `series.ratios`: interval, mean, seeds as faint dots.

    A record may have `shade`, the ends of the effect that counts; None where it goes on for ever.
    Words stand on white, so that no line runs through them.
    """
    import altair as alt

    low, high = _ends(records, axis)
    x: dict[str, Any] = {
        "title": axis.title,
        "scale": alt.Scale(type="log" if axis.is_ratio else "linear", domain=[low, high]),
        "axis": alt.Axis(format="~g", tickCount=6, labelOverlap=True, labelSeparation=6),
    }
    x["scale"].nice, x["scale"].zero = False, alt.Undefined if axis.is_ratio else False
    y = alt.Y("s:O", title=None, axis=None)
    lines = max(len(record["name"]) for record in records)
    words = LINE * (lines + 1) + 6  # pixels of a row, from above: its name, its numbers, its marks
    step = words + MARKS
    middle = words + 13 - step / 2
    base = alt.Chart(alt.NamedData("comparisons")).transform_filter(SETTING_IS_SHOWN)
    thick: dict[str, Any] = {"aria": False, "strokeCap": "butt", "clip": True}
    layers: dict[str, Any] = {}
    if any("shade" in record for record in records):
        shade = base.transform_filter("isDefined(datum.shade)").transform_calculate(
            begin=f"isValid(datum.shade[0]) ? max(datum.shade[0], {low}) : {low}",
            end=f"isValid(datum.shade[1]) ? min(datum.shade[1], {high}) : {high}",
        )
        layers["shade"] = shade.mark_rule(
            color=SHADE, strokeWidth=MARKS - 6, yOffset=middle + 6, **thick
        ).encode(x=alt.X("begin:Q", **x), x2="end:Q", y=y)
    if axis.nothing is not None:
        rule = alt.Chart(alt.NamedData("nothing")).mark_rule(color=GREY, strokeDash=[3, 3])
        layers["nothing"] = rule.encode(x=alt.X("x:Q", **x))
    layers["paper"] = base.mark_rule(
        color="white", strokeWidth=words, yOffset=(words - step) / 2, **thick
    ).encode(y=y)
    shape = alt.Scale(domain=[*SHAPES], range=[*SHAPES.values()])
    layers["seeds"] = (
        base.transform_flatten(["d", "r", "c"])
        .transform_filter(SEED_IS_SHOWN)
        .mark_point(filled=True, size=36, opacity=0.5, aria=False, yOffset=middle + 14)
        .encode(
            x=alt.X("d:Q", **x),
            y=y,
            color=looks.color,
            shape=alt.Shape("c:N", scale=shape, legend=None),
        )
    )
    layers["intervals"] = (
        base.transform_filter("isValid(datum.low) || isValid(datum.high)")
        .transform_calculate(
            begin=f"isValid(datum.low) ? datum.low : {low}",
            end=f"isValid(datum.high) ? datum.high : {high}",
        )
        .mark_rule(strokeWidth=2.5, aria=False, yOffset=middle)
        .encode(x=alt.X("begin:Q", **x), x2="end:Q", y=y, color=looks.color)
    )
    for name, (bound, of_bound) in zip(("means", "least", "most"), SHAPES.items(), strict=True):
        mark: dict[str, Any] = {"shape": of_bound, "size": 130, "filled": True, "opacity": 1}
        of_kind = base.transform_filter(f"datum.b === '{bound}'")
        layers[name] = of_kind.mark_point(**mark, yOffset=middle, stroke="white").encode(
            x=alt.X("x:Q", **x),
            y=y,
            color=looks.color,
            description=alt.Description("told:N"),
            tooltip=alt.Tooltip("told:N"),
        )
    for field, line, color in (("name", 0, BLACK), ("told", lines, GREY)):
        text: dict[str, Any] = {"align": "left", "baseline": "top", "color": color, "x": 2}
        text |= {"dy": LINE * line + 4 - step / 2, "fontSize": 12, "lineHeight": LINE}
        layers[field] = base.mark_text(**text).encode(y=y, text=f"{field}:N")
    params = {"settings": looks.settings, "seeds": [*seeds]}
    data = {"comparisons": records, "nothing": [{"x": axis.nothing}]}
    return compiled(layers, params, alt.Step(step), data)


def _ends(records: Sequence[Record], axis: Axis) -> tuple[float, float]:
    """Return the ends of the axis: all that is drawn, and some room beside it."""
    values = [v for r in records for v in (r["x"], r["low"], r["high"], *r["d"]) if v is not None]
    values += [v for r in records for v in r.get("shade", ()) if v is not None]
    low, high = min([*values, *axis.least]), max([*values, *axis.least])
    if axis.is_ratio:
        room = math.exp(0.04 * math.log(high / low))
        return low / room, high * room
    room = 0.04 * (high - low)
    return low - room, high + room
