"""Folders of files as streams: what is read, refused, and kept under which digest."""

import os
import subprocess
import sys

import numpy as np
import pytest

from plateaus.tasks.corpus import folders as text_folders
from plateaus.tasks.corpus import sample_corpus
from plateaus.tasks.corpus import streams as corpus_files
from plateaus.tasks.corpus.folders import Refused, domains
from plateaus.tasks.corpus.streams import contents, corpus

WORDS = "déjà vu, 漢字 and 🙂 emoji. "


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path, cache):
    return write(tmp_path / "texts", {"b/2.txt": "two", "b/1.txt": "one", "a/x/y.txt": WORDS})


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def read(folder):
    return corpus(folder, "", contents(folder))


def test_streams_are_the_files_in_sorted_order(folder):
    write(folder, {"b/.hidden": "no", ".git/config": "no", "README": "no", "b/3.txt": ""})
    found = read(folder)
    assert found.names == ("a", "b") and found.vocabulary == 256
    assert [bytes(stream) for stream in found.streams] == [WORDS.encode(), b"one\xfftwo"]
    assert all(isinstance(stream, np.memmap) for stream in found.streams)
    texts = [corpus_files.decoded(stream, "", 256) for stream in found.streams]
    assert texts == [WORDS, "one\ntwo"]


def test_linked_folders_are_read_unless_they_lead_back(folder, tmp_path):
    write(tmp_path / "else", {"1.txt": "linked"})
    os.symlink(tmp_path / "else", folder / "b" / "linked")
    assert bytes(read(folder).streams[1]) == b"one\xfftwo\xfflinked"
    os.symlink(folder / "b", folder / "b" / "linked" / "back")
    with pytest.raises(Refused, match=r"back leads back to a folder that it is in$"):
        contents(folder)


def test_what_is_no_file_is_refused_before_it_is_waited_for(folder):
    os.mkfifo(folder / "b" / "pipe")
    with pytest.raises(Refused, match=r"pipe is no file$"):
        text_folders.texts(folder / "b")


def test_large_files_are_the_same_in_parts(folder, monkeypatch):
    """A character may lie across two parts."""
    whole = read(folder)
    monkeypatch.setattr(text_folders, "_CHUNK", 3)
    digest = contents(folder)
    assert digest == contents(folder)
    parts = corpus(folder, "", digest)
    for one, other in zip(whole.streams, parts.streams, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_digest_is_of_what_is_read(folder):
    before = contents(folder)
    write(folder, {"README": "not of a domain"})
    (folder / "b" / "1.txt").rename(folder / "b" / "0.txt")
    assert contents(folder) == before
    seen = {before}
    for change in ({"b/2.txt": "twO"}, {"b/9.txt": "two"}, {"c/1.txt": "three"}):
        write(folder, change)
        seen.add(contents(folder))
    (folder / "c").rename(folder / "d")
    (folder / "b" / "0.txt").write_text("one\n")
    seen.add(contents(folder))
    assert len(seen) == 5


def test_a_cached_corpus_outlives_its_folder(folder, cache):
    digest = contents(folder)
    corpus(folder, "", digest)
    corpus.cache_clear()
    write(folder, {"b/1.txt": "changed"})
    assert bytes(corpus(folder, "", digest).streams[1]) == b"one\xfftwo"
    assert [path.name for path in (cache / "plateaus" / "text").iterdir()] == [digest]


def test_a_folder_that_changed_before_it_was_read_leaves_nothing(folder, cache):
    digest = contents(folder)
    write(folder, {"b/1.txt": "changed"})
    with pytest.raises(Refused, match="changed while it was read"):
        corpus(folder, "", digest)
    assert not list((cache / "plateaus" / "text").iterdir())


def test_names_of_domains(tmp_path, cache):
    folder = write(tmp_path / "texts", {"C++ code/a": "x", "été 2/a": "x", "9-to-5/a": "x"})
    assert list(domains(folder)) == ["9_to_5", "C_code", "été_2"]
    assert all(f"weight_{name}".isidentifier() for name in domains(folder))


@pytest.mark.parametrize("chunk", [2**22, 4])
def test_the_first_byte_that_is_not_utf8_is_named(folder, chunk, monkeypatch):
    monkeypatch.setattr(text_folders, "_CHUNK", chunk)
    for bad, offset in (
        (b"caf\xc3\xa9 caf\xe9!", 9),
        (b"1234\xc3", 4),
        (b"\xff", 0),
        (b"123\xc3(", 3),
    ):
        write(folder, {"b/bad.txt": bad})
        with pytest.raises(Refused, match=rf"bad\.txt is not UTF-8: byte {offset} \("):
            contents(folder)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": "x"}, "has no sub-folders, one for each domain: "),
        ({"---/a": "x"}, "--- needs a letter or a digit"),
        ({"a b/1": "x", "a-b/1": "x"}, "'a b' and 'a-b' would both be called a_b"),
        ({"a/1": "", "b/1": ""}, "holds no text: "),
    ],
)
def test_folders_that_are_refused(tmp_path, cache, files, message):
    folder = write(tmp_path / "texts", files)
    with pytest.raises(Refused, match="^[^\n]*" + message):
        read(folder)


def test_what_is_not_there_or_cannot_be_read(tmp_path, folder):
    with pytest.raises(Refused, match=r"^no such folder: .*nowhere$"):
        domains(tmp_path / "nowhere")
    with pytest.raises(Refused, match=r"^is no folder: "):
        domains(folder / "b" / "1.txt")
    os.symlink(tmp_path / "gone", folder / "b" / "0.txt")
    with pytest.raises(Refused, match=r"0\.txt cannot be read or written: No such file"):
        contents(folder)


def test_tokenizers(folder, tmp_path):
    """A file of words by hand; the separator of files is one more token."""
    pytest.importorskip("tokenizers")
    path = tmp_path / "words.json"
    vocabulary = {word: i for i, word in enumerate(["[UNK]", "one", "two"])}
    path.write_text(
        '{"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": '
        '{"type": "WordLevel", "unk_token": "[UNK]", "vocab": '
        + str(vocabulary).replace("'", '"')
        + "}}"
    )
    write(folder, {"b/2.txt": "two one"})
    digest = contents(folder, str(path))
    assert digest != contents(folder)
    found = corpus(folder, str(path), digest)
    assert found.vocabulary == 4 and found.streams[1].tolist() == [1, 3, 2, 1]
    assert corpus_files.decoded(found.streams[1], str(path), 4) == "one\ntwo one"
    path.write_text(path.read_text().replace('"two"', '"three"'))
    assert contents(folder, str(path)) != digest


@pytest.mark.parametrize("name", ["gone.json", "bad.json"])
def test_a_tokenizer_that_is_missing_or_bad(folder, tmp_path, name, monkeypatch):
    if name == "bad.json":
        pytest.importorskip("tokenizers")
        (tmp_path / name).write_text("{}")
    with pytest.raises(
        Refused, match=rf"^[^\n]*{name} (cannot be read|is no file of a tok)[^\n]*$"
    ):
        contents(folder, str(tmp_path / name))


def test_without_the_package_a_tokenizer_says_what_to_install(folder, tmp_path, monkeypatch):
    (tmp_path / "any.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(Refused, match=r"pip install 'plateaus\[text\]'"):
        contents(folder, str(tmp_path / "any.json"))


def test_the_sample_corpus_is_always_the_same(tmp_path, cache):
    folders = tmp_path / "one", tmp_path / "other"
    for folder in folders:
        sample_corpus.make(folder)
    one, other = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*.*")} for f in folders)
    assert one == other and contents(folders[0]) == contents(folders[1])
    assert contents(sample_corpus.cached()) == contents(folders[0])
    sizes = [stream.size for stream in read(folders[0]).streams]
    assert 4 <= len(sizes) <= 6 and all(100_000 < size < 300_000 for size in sizes)
    assert len(set(one.values())) == len(one)  # no text twice, in training and in tests


def test_the_sample_corpus_by_its_command(tmp_path):
    def run(*words):
        command = [sys.executable, "-m", "plateaus.tasks.corpus.sample_corpus", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True)

    done = run(tmp_path / "new")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == len(domains(tmp_path / "new"))
    for again in (run(tmp_path / "new"), run(), run("-h")):
        assert again.returncode == 2 and len(again.stderr.splitlines()) == 1
