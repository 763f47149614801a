"""The charts over optimiser steps: learning curves, and how long runs stay on the plateau.

Each is a function of the numbers in `series`. Both are of the settings and seeds that are switched
on: medians, quartiles and the Kaplan-Meier estimate are computed where the page is read.
`zoom_t`, and `zoom_v` or `zoom_f`, are the range that is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plateaus.report.page.series import Measure, Record
from plateaus.report.page.vega import (
    SEED_IS_SHOWN,
    SETTING_IS_SHOWN,
    TITLE,
    Looks,
    Spec,
    compiled,
)
from plateaus.report.survival import FEWEST_RUNS

# Dragging is for a mouse, and a wheel alone scrolls the page: so do fingers on a telephone.
DRAG = "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!"
WHEEL = "wheel![event.ctrlKey || event.metaKey]"
TWO_SIDED_95 = 1.959964  # standard deviations


def curves(
    records: Sequence[Record],
    found: Sequence[Measure],
    looks: Looks,
    seeds: Sequence[int],
    grid: Sequence[int],
    span: tuple[int, int],
) -> Spec:
    """Return the chart of learning curves: runs, median, and middle half of 8 and more."""
    import altair as alt

    params: dict[str, Any] = {"settings": looks.settings, "seeds": [*seeds], "measure": 0}
    params["limits"] = [[measure.low, measure.high] for measure in found]
    params["grid"] = [*grid]
    params["names"] = [measure.name for measure in found]
    shown = [alt.ExprRef(f"limits[measure][{end}]") for end in (0, 1)]
    y = alt.Y("v:Q", title=TITLE, scale=alt.Scale(domain=shown, nice=False, zero=False))
    base = (
        alt.Chart(alt.NamedData("curves"))
        .transform_filter(f"{SETTING_IS_SHOWN} && {SEED_IS_SHOWN}")
        .transform_filter("datum.m === measure")
        .transform_calculate(t="isValid(datum.t) ? datum.t : grid")
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
    enough = summary.transform_filter(f"datum.n >= {FEWEST_RUNS}")
    half = enough.mark_area(clip=True, opacity=0.15, aria=False).encode(
        x=_steps(span), y=alt.Y("low:Q", title=TITLE), y2="high:Q", color=looks.color
    )
    median = summary.mark_line(clip=True, strokeWidth=2.5, aria=False).encode(
        x=_steps(span), y=alt.Y("median:Q", title=TITLE), color=looks.color, strokeDash=looks.dash
    )
    layers = {"half": half, "runs": runs, "median": median}
    return compiled(layers, params, 320, {"curves": records})


def survival(
    records: Sequence[Record], looks: Looks, seeds: Sequence[int], span: tuple[int, int]
) -> Spec:
    """Return the chart of Kaplan-Meier curves with their bands, a tick where runs were censored.

    The band is the pointwise 95% log-log one; there is none where the curve is 0, nor for runs too
    few for an interval.
    """
    import altair as alt

    scale = alt.Scale(domain=[-0.02, 1.02], nice=False)
    title = "fraction still on the plateau"
    turn = f"{TWO_SIDED_95} * sqrt(datum.spread) / log(datum.f)"
    enough = f"datum.all >= {FEWEST_RUNS} && datum.events > 0 && datum.f > 0"
    ends = {
        end: f"{enough} ? (datum.f < 1 ? pow(datum.f, exp({sign}{turn})) : 1) : null"
        for end, sign in (("l", "-"), ("h", ""))
    }
    in_time: dict[str, Any] = {"sort": [alt.SortField("t")], "groupby": ["s"]}
    base = (
        alt.Chart(alt.NamedData("survival"))
        .transform_filter(f"{SETTING_IS_SHOWN} && (datum.w === 0 || {SEED_IS_SHOWN})")
        .transform_joinaggregate(all="sum(w)", events="sum(e)", groupby=["s"])
        .transform_filter("datum.all > 0")
        .transform_aggregate(
            escaped="sum(e)",
            ended="sum(w)",
            all="max(all)",
            events="max(events)",
            groupby=["s", "t"],
        )
        .transform_window(gone="sum(ended)", frame=[None, 0], **in_time)
        .transform_calculate(n="datum.all - datum.gone + datum.ended")
        .transform_calculate(
            kept="1 - datum.escaped / datum.n",
            added="datum.escaped / (datum.n * max(datum.n - datum.escaped, 1))",
        )
        .transform_window(f="product(kept)", spread="sum(added)", frame=[None, 0], **in_time)
        .transform_calculate(**ends)
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
        base.transform_filter("datum.ended > datum.escaped")
        .mark_tick(orient="vertical", size=14, thickness=2, aria=False)
        .encode(x=_steps(span), y=alt.Y("f:Q", title=title), color=looks.color)
    )
    params = {"settings": looks.settings, "seeds": [*seeds]}
    layers = {"band": area, "fraction": line, "ticks": tick}
    return compiled(layers, params, 260, {"survival": records})


def _steps(span: tuple[int, int]) -> Any:
    import altair as alt

    return alt.X(
        "t:Q",
        title="optimiser steps",
        scale=alt.Scale(type="log", domain=[*span], nice=False),
        axis=alt.Axis(format="~s", tickCount=7, labelOverlap=True, labelSeparation=6),
    )


def _zoom() -> Any:
    import altair as alt

    return alt.selection_interval(name="zoom", bind="scales", translate=DRAG, zoom=WHEEL)
