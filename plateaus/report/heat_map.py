"""A matrix as a map of colours, with its numbers written into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from numpy.typing import NDArray


def heat_map(
    axes: Axes,
    values: NDArray[np.float64],
    texts: Mapping[tuple[int, int], tuple[str, bool]],
    lines: Sequence[str] | None,
    columns: Sequence[str],
    colors: str,
    scale: Normalize,
) -> AxesImage:
    """Draw a matrix with a text (bold or not) in each cell; missing values are left white."""
    palette = matplotlib.colormaps[colors]
    image = axes.imshow(np.ma.masked_invalid(values), cmap=palette, norm=scale, aspect="auto")
    for (i, j), (text, bold) in texts.items():
        red, green, blue, _ = palette(scale(values[i, j]))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        weight = "bold" if bold else "normal"
        color = "white" if dark else "black"
        axes.text(j, i, text, ha="center", va="center", fontsize=6, color=color, weight=weight)
    labels = [name.replace("_", " ") for name in columns]
    axes.set_xticks(range(len(columns)), labels, rotation=40, ha="right")
    axes.set_yticks([] if lines is None else range(len(lines)))
    if lines is not None:
        axes.set_yticklabels([line.replace("_", " ") for line in lines], fontsize=7)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)
    return image
