"""Paths as users write them; names that every system takes."""

import os
from pathlib import Path

import pytest

from plateaus import paths
from plateaus.measures.figures import FIGURES, TABLES


def test_the_home_is_expanded_where_there_is_one(monkeypatch):
    monkeypatch.setenv("HOME", "/there")
    assert paths.expanded("~/a") == Path("/there/a") and paths.expanded("~") == Path("/there")
    assert paths.expanded("a~/~b") == Path("a~/~b")
    assert paths.expanded("~nobody-of-this-name/a") == Path("~nobody-of-this-name/a")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""),
        ("file", ""),
        ("link", ""),
        ("ring", ""),
        ("file/below", ": Not a directory"),
        ("a" * 300, ": File name too long"),
        ("a\0b", ": embedded null byte"),
        ("new/ring/../ring/x", ": Too many levels of symbolic links"),
    ],
)
def test_what_is_no_folder_and_cannot_be_one(text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "new" / "ring").symlink_to("ring")
    with pytest.raises(ValueError) as refused:
        paths.folder(text)
    found = str(refused.value).removeprefix("lstat: ").replace(" character in path", " byte")
    assert found == f"must be a folder or a new name{reason}"


def test_folders_and_new_names(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("", "new", "new/below", "link", "link/new", "a b\nü:*"):
        assert paths.folder(str(tmp_path / name)) == tmp_path / name


def test_names_are_such_that_every_system_takes_them():
    labels = ["data.subset=0.1,optim.name=sgd", "a:b", "A:B", "a/b\\c", "x" * 300, "x" * 299 + "y"]
    labels += ["λ" * 90, "aux.txt", "COM1", "console", ".", "a. ", "\udcff", "e\u0301", "é"]
    names = paths.portable(labels)
    assert names[0] == labels[0] and names[1:4] == ["a_b", "A_B-2", "a_b_c"]
    assert names[7:] == ["aux_.txt", "COM1_", "console", "_", "a", "_-2", "e\u0301", "é-2"]
    assert len({name.casefold() for name in names}) == len(labels)
    assert all(0 < len(name.encode()) <= 130 for name in names)


def test_names_under_a_locale_of_ascii(monkeypatch):
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("ascii"))
    assert paths.portable(["λ", "a"]) == ["_u03bb", "a"]


def test_files_of_results_have_such_names():
    names = [*FIGURES, *TABLES]
    assert paths.portable(names) == names
