"""Every registered figure on one picture, for the eye: `python tests/report/contact_sheet.py OUT`.

Of the made-up results that the tests draw, of several settings with long names; or, with run
folders after OUT, of their results. `--each DIR` also writes every figure to a file of its own.
"""

import argparse
from pathlib import Path

import everything
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plateaus.files import write_atomically
from plateaus.measures.figures import FIGURES, drawn, summaries
from plateaus.report import statistics, style
from plateaus.report.page import folders

WORLDS = ("regression", "learners", "points", "mixture", "facts")
WIDE, GAP, HEAD = 900, 24, 26  # pixels: a column, between figures, a name over each
STEM = "sparse_parity_2 + conjunction + linear + relu, rate per layer"


def made_up(settings, seeds):
    """All figures of the made-up results, the first world's of each name."""
    names = [f"{STEM[:56]} x{number:02d}" for number in range(settings)]
    found = {}
    for world in WORLDS:
        results = everything.results(world, names=names, seeds=seeds)
        results["parameters"][:] = 100 * (1 + np.arange(settings))[:, None]
        found = of_results(results) | found
    return {name: found[name] for name in FIGURES if name in found}


def of_results(results):
    """All figures that results have something for."""
    rows = statistics.summarise(results)
    return drawn(results, rows, summaries(results, rows))


def picture(figure, wide=WIDE):
    """The pixels of a figure, [height, width, 3], so wide."""
    figure.set_dpi(wide / figure.get_figwidth())
    canvas = FigureCanvasAgg(figure)
    with style.styled():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def sheet(figures, columns):
    """One figure with the pictures of all, each under its name, in columns of about one height."""
    pictures = {name: picture(figure) for name, figure in figures.items()}
    heights, places = [GAP] * columns, {}
    for name, pixels in pictures.items():
        column = int(np.argmin(heights))
        places[name] = GAP + column * (WIDE + GAP), heights[column]
        heights[column] += HEAD + pixels.shape[0] + GAP
    size = np.array([GAP + columns * (WIDE + GAP), max(heights)])
    whole = Figure(figsize=size / 100, dpi=100, facecolor="0.9")
    for name, pixels in pictures.items():
        left, top = places[name]
        foot = size[1] - top - HEAD - pixels.shape[0]
        whole.figimage(pixels, left, foot)
        place = left / size[0], 1 - (top + 0.5 * HEAD) / size[1]
        whole.text(*place, name, va="center", fontsize=12, weight="bold")
    return whole


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", metavar="OUT", type=Path, help="the picture, a PNG")
    parser.add_argument("runs", metavar="RUN", nargs="*", help="run folders, or kept ones")
    parser.add_argument("--settings", type=int, default=5, help="of the made-up results")
    parser.add_argument("--seeds", type=int, default=4, help="of the made-up results")
    parser.add_argument("--columns", type=int, default=4, help="of figures")
    parser.add_argument("--each", metavar="DIR", type=Path, help="also write each figure there")
    options = parser.parse_args()
    if options.runs:
        read = [folders.read(run) for run in options.runs]
        figures = {
            f"{f.name}: {n}": each for f in read for n, each in of_results(f.results).items()
        }
    else:
        figures = made_up(options.settings, options.seeds)
    if options.each:
        options.each.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            path = options.each / f"{name.replace(': ', '-')}.png"
            write_atomically(path, lambda file, figure=figure: save(figure, file))
    whole = sheet(figures, options.columns)
    write_atomically(options.out, lambda file: whole.savefig(file, format="png", dpi=100))
    print(f"written: {options.out}, {len(figures)} figures")


def save(figure, file):
    """Write one figure as the reports do."""
    with style.styled():
        figure.savefig(file, format="png", dpi=110)


if __name__ == "__main__":
    main()
