"""The results of a run folder: labelled arrays, tables, figures to restyle."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from plateaus import names
from plateaus.config.schema import ConfigError
from plateaus.information import failure
from plateaus.interactive import display, notebook
from plateaus.interactive.names import plain
from plateaus.measures.figures import FIGURES, SUMMARY, TABLES, kept_files, summaries
from plateaus.report import kept_curves, kept_runs, statistics, store
from plateaus.report.kept_files import from_csv
from plateaus.report.page.folders import DAMAGE

RESULTS = "results.nc"
_TEXTS = ("task", "baseline", "notes", "diverged_seeds", "pair_ratios")  # if only of digits


class Result:
    """The results of a run folder.

    Args:
      folder: where they were found.
      dataset: labelled results.

    Attributes:
      folder: where they were found.
      data: every array, labelled, as in results.nc; `data.plateaus.plain` has names without dots.
      table: a row for each setting, as in summary.csv, with names without dots.
      tables: by name, every table there is.
      runs: a row for each run, as in runs.csv.
      figures: by name, every figure there is, drawn when it is asked for.
    """

    def __init__(self, folder: Path, dataset: xr.Dataset) -> None:
        self.folder = folder
        self._dataset = store.arranged(dataset)  # tables and figures go in the order of the sweep

    @classmethod
    def of(cls, place: Path) -> Result:
        """Return what stands in a run folder, a kept one, or a results.nc; raises ConfigError."""
        return cls(place if place.is_dir() else place.parent, _read(place))

    @property
    def title(self) -> str:
        """The claim of the preset."""
        return str(self._dataset.attrs.get("title", ""))

    @cached_property
    def data(self) -> xr.Dataset:
        """Every array, labelled; infinity is `inf`, and the values of a swept field ascend."""
        return store.readable(self._dataset)

    @cached_property
    def rows(self) -> list[statistics.Row]:
        """The rows of the table, as `plateaus.report` takes them."""
        return statistics.summarise(self._dataset)

    @cached_property
    def _summaries(self) -> dict[str, Any]:
        return summaries(self._dataset, self.rows)

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table there is, by its name: "summary", "tasks", ..."""
        return {
            Path(file).stem: frame(TABLES[file].csv(rows))
            for file, rows in self._summaries.items()
            if rows
        }

    @property
    def table(self) -> pd.DataFrame:
        """A row for each setting: how many runs escaped, when, and the ratio to the baseline."""
        return self.tables[Path(SUMMARY).stem]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row for each run, and for each task of it: escapes, losses, ..."""
        path = self.folder / kept_runs.FILE
        if path.exists():  # with seconds, which results.nc leaves out
            return frame(path.read_text(encoding="utf-8"))
        return frame(kept_files(self._dataset, self.rows)[kept_runs.FILE].decode())

    @cached_property
    def figures(self) -> Figures:
        """Every figure there is, by its name, as a Matplotlib figure."""
        return Figures(self._dataset, self.rows, self._summaries)

    def plot(self, name: str = "plateau") -> Figure:
        """Return a figure, the main one by default; once for all, so that it can be restyled.

        Raises KeyError where there is none of that name.
        """
        return self.figures[name]

    def __repr__(self) -> str:
        """Return the tables as the command prints them."""
        return f"{display.text(self.title, self._facts())}\n{self._printed()}"

    def _repr_html_(self) -> str:
        picture = base64.b64encode(notebook.png(self.plot())).decode()
        shown = f'<img alt="{escape(self.title)}" src="data:image/png;base64,{picture}">'
        return display.html(self.title, self._facts(), display.scrolled(self._printed()) + shown)

    def _facts(self) -> dict[str, str]:
        return {"folder": str(self.folder)}

    def _printed(self) -> str:
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            for file, rows in self._summaries.items():
                if rows and (show := TABLES[file].show):
                    show(rows)
        return stream.getvalue().rstrip()


class Figures(Mapping[str, Figure]):
    """The figures of results, by name; each is drawn once, when it is first asked for."""

    def __init__(
        self, dataset: xr.Dataset, rows: list[statistics.Row], tables: Mapping[str, Any]
    ) -> None:
        self._dataset, self._rows, self._tables = dataset, rows, tables
        self._drawn: dict[str, Figure | None] = {}

    def __getitem__(self, name: str) -> Figure:
        """Return a figure; raises KeyError for a name that is none, or has nothing to show."""
        if name not in FIGURES:
            raise KeyError(names.missing("figure", name, self))
        if (figure := self._draw(name)) is None:
            raise KeyError(f"these results have nothing to show in {name}; there are {[*self]}")
        return figure

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the figures that have something to show; draws them."""
        return (name for name in FIGURES if self._draw(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        """Return the names of the figures."""
        return f"figures: {', '.join(self)}"

    def _draw(self, name: str) -> Figure | None:
        if name not in self._drawn:
            needed = [self._tables[file] for file in FIGURES[name].needs]
            arguments = self._dataset, self._rows, *needed
            self._drawn[name] = FIGURES[name].draw(*arguments) if all(needed) else None
        return self._drawn[name]


def frame(csv: str) -> pd.DataFrame:
    r"""Return a table of CSV with names without dots; no text is missing, or a number.

    >>> frame("data.subset,variant,p\n0.5,None,\n").to_dict("records")
    [{'data_subset': 0.5, 'variant': 'None', 'p': nan}]
    """
    texts = dict.fromkeys(_TEXTS, str)
    table = pd.read_csv(io.StringIO(csv), keep_default_na=False, na_values=[""], dtype=texts)
    for name in table:
        if name in texts or not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].fillna("")
    return table.rename(columns=lambda name: plain(str(name)))


def _read(place: Path) -> xr.Dataset:
    """Return the results of a place; raises ConfigError."""
    if place.is_dir() and not (place / RESULTS).exists():
        kept = (kept_runs.FILE, kept_curves.FILE)
        if all((place / file).exists() for file in kept):
            return _undamaged(place, from_csv)
        begun = " yet: its runs are under way" * (place / "config.json").exists()
        raise ConfigError(f"{place}: no {RESULTS} or {' and '.join(kept)} there{begun}")
    path = place / RESULTS if place.is_dir() else place
    if not path.exists():
        near = names.nearest(path.name, [p.name for p in path.parent.glob("*") if p.is_dir()])
        hint = f"; did you mean {path.parent / near}?" if near else ""
        raise ConfigError(f"{path}: no such folder{hint}")
    return _undamaged(path, store.load)


def _undamaged(place: Path, read: Callable[[Path], xr.Dataset]) -> xr.Dataset:
    try:
        dataset = read(place)
    except (OSError, *DAMAGE) as error:
        raise ConfigError(f"{place}: damaged: {failure(error, places=False)}") from None
    if "swept" not in dataset.attrs:
        raise ConfigError(f"{place}: holds no results of a run folder")
    return dataset
