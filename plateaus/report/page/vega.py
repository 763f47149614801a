"""What the page's charts share: the library that draws them, their colours, and how Vega is made.

Charts are written in Altair and compiled to Vega, so that the page needs no compiler. What a reader
switches on and off are signals of the charts: `settings` and `seeds`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from plateaus.config.schema import ConfigError
from plateaus.report.page.series import Record

TITLE = "the measure shown"  # of an axis whose title is a signal, which Vega-Lite has no word for
MISSING = (
    "the page needs Altair, vl-convert and Jinja: run `pip install 'plateaus[evidence]'`, "
    "or in a checkout `pip install -e '.[evidence]'`"
)
SETTING_IS_SHOWN = "indexof(settings, datum.s) >= 0"
SEED_IS_SHOWN = "indexof(seeds, datum.r) >= 0"
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

    def __init__(self, styles: Sequence[Mapping[str, Any]]):
        import altair as alt

        domain = list(range(len(styles)))
        dashes = [list(map(float, style["dash"])) for style in styles]
        colors = [style["color"] for style in styles]
        self.color = alt.Color("s:N", scale=alt.Scale(domain=domain, range=colors), legend=None)
        self.dash = alt.StrokeDash("s:N", scale=alt.Scale(domain=domain, range=dashes), legend=None)
        self.settings = domain


def param(name: str, value: Any) -> Any:
    """Return a signal with its first value."""
    import altair as alt

    return alt.param(name=name, value=value)


def compiled(
    layers: Mapping[str, Any],
    params: Mapping[str, Any],
    height: Any,
    data: Mapping[str, Sequence[Record]],
) -> Spec:
    """Return layers, by the names of their marks, as one chart in Vega, with its data in it."""
    import altair as alt
    import vl_convert

    chart = alt.layer(*(layer.properties(name=name) for name, layer in layers.items()))
    chart = chart.add_params(*(param(*each) for each in params.items())).properties(
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
