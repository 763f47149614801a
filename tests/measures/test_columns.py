"""Every column of every table is declared and on the page of all tables, and no other."""

from pathlib import Path

import pytest

from plateaus.measures import columns, tables_page
from plateaus.measures.figures import METRICS, TABLES, summaries
from plateaus.report import kept_columns, kept_curves, kept_runs, statistics

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


@pytest.fixture(scope="module")
def written(everything):
    """The names of the columns that each table writes, without those of the swept fields."""
    dataset = everything.results("mixture", steps=200)
    swept = len(dataset.attrs["swept"].split(","))
    found = summaries(dataset, statistics.summarise(dataset))
    items = everything.results("facts", steps=200)
    found[METRICS] = summaries(items, statistics.summarise(items))[METRICS]
    lines = {file: TABLES[file].csv(rows).splitlines() for file, rows in found.items()}
    return {file: several[0].split(",")[swept:] for file, several in lines.items()}


def test_every_table_has_its_columns_declared():
    assert [*columns.COLUMNS] == [*TABLES]


@pytest.mark.parametrize("file", TABLES)
def test_what_is_written_is_what_is_declared(written, file):
    assert written[file] == columns.names(file)


@pytest.mark.parametrize("file", TABLES)
def test_every_column_says_what_it_is(file):
    for name, column in columns.COLUMNS[file][1].items():
        assert column.meaning and "|" not in column.meaning + column.units, name
        assert column.meaning[0] == column.meaning[0].lower() or column.meaning.startswith(
            ("Kaplan", "P ")
        )


def test_the_page_is_the_declared_one():
    """python -m plateaus.measures.tables_page >docs/tables.md writes it again."""
    assert PAGE.read_text(encoding="utf-8") == tables_page.documented()


def test_the_page_has_every_file_of_a_run_folder():
    text = tables_page.documented()
    sections = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert sections == [*TABLES, kept_runs.FILE, kept_curves.FILE]
    assert all(f"`{name}" in text for name in kept_columns.COLUMNS if "_at_0" not in name)
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("|"))


def test_the_columns_of_the_curves_are_those_on_the_page(everything):
    import gzip

    dataset = everything.results("regression", steps=100)
    lines = gzip.decompress(kept_curves.content(dataset, set(), ())).decode().splitlines()
    assert lines[1].split(",")[1:] == ["seed", *tables_page.CURVES]
