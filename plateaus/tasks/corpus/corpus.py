"""The fields of a config for real text, and what follows from the files that it names."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from numpy.typing import NDArray

from plateaus.fields import Field
from plateaus.tasks.corpus import folders as text_folders
from plateaus.tasks.corpus import streams as corpus_files
from plateaus.tasks.corpus import windows as text_windows
from plateaus.tasks.corpus.folders import Refused
from plateaus.tasks.corpus.windows import Windows
from plateaus.tasks.shared.embeddings import ngrams, sentences
from plateaus.tasks.shared.mixtures import NoKnobs

BORROWS = {"folder": "data.folder", "contents": "data.contents"}  # field -> its name in a config
GROUPS_FROM = "data.folder"  # the field that the groups follow from
DIRECTIONS = 64  # of the embeddings
NGRAMS, SENTENCES = "ngrams", "sentences:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """A corpus, and how it is cut."""

    folder: Annotated[
        str,
        Field(
            help="UTF-8 files, one sub-folder a domain; '': a sample corpus, made here",
            sweepable=False,
        ),
    ] = ""
    contents: Annotated[str, Field(help="digest of what the folder holds", derived=True)] = ""
    tokenizer: Annotated[
        str, Field(help="a file of the package tokenizers; '': bytes", sweepable=False)
    ] = ""
    context: Annotated[
        int, Field(help="tokens predicted in a window", low=1, high=2**16, units="tokens")
    ] = 64
    windows: Annotated[
        int,
        Field(
            help="training windows of each domain; 0: all that do not overlap in the shortest",
            low=0,
            high=2**24,
        ),
    ] = 0
    target_share: Annotated[
        float,
        Field(
            help="part of a domain that adaptive mixing may test on", low=0, low_open=True, high=1
        ),
    ] = 0.1
    test_share: Annotated[
        float, Field(help="part of a domain that is tested on", low=0, low_open=True, high=1)
    ] = 0.1
    grouping: Annotated[
        str,
        Field(
            help="what makes a group: a sub-folder, similarity, chance",
            choices=("original", "similar", "random"),
        ),
    ] = "original"
    clusters: Annotated[
        str,
        Field(
            help="numbers of groups to choose from, with commas; '': not grouped anew",
            sweepable=False,
        ),
    ] = ""
    embedding: Annotated[
        str,
        Field(help="what makes windows alike: ngrams, or sentences:MODEL of sentence-transformers"),
    ] = NGRAMS


Knobs = NoKnobs  # what is varied is which domain and which window are drawn


def derive(spec: Spec) -> dict[str, str]:
    """Return the fields that follow from the files: what makes a changed folder another corpus."""
    return {"contents": corpus_files.contents(text_folders.where(spec.folder), spec.tokenizer)}


def says(spec: Spec) -> Iterator[str]:
    """Yield lines to print before a run: where the sample corpus is, if it is used."""
    if not spec.folder:
        yield f"data.folder: the sample corpus in {text_folders.where('')}"


def groups(spec: Spec) -> tuple[str, ...]:
    """Return the names of the domains; raise ValueError for a folder without."""
    folder = text_folders.where(spec.folder)
    if corpus_files.kept(spec.contents):  # the folder may have changed since
        return corpus_files.corpus(folder, spec.tokenizer, spec.contents).names
    return tuple(text_folders.domains(folder))


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for shares and windows that the domains have no room for."""
    named = values["embedding"].startswith(SENTENCES) and len(values["embedding"]) > len(SENTENCES)
    if values["embedding"] != NGRAMS and not named:
        yield "embedding", f"must be {NGRAMS}, or {SENTENCES}MODEL"
        return
    if values["target_share"] + values["test_share"] >= 1:
        yield "test_share", "leaves nothing to train on: with target_share it must be below 1"
        return
    fields = {f.name: values[f.name] for f in dataclasses.fields(Spec)}
    try:
        windows_of(Spec(**fields))
    except text_windows.NoRoom as error:
        yield error.field, str(error)
    except Refused as error:
        yield "folder", str(error)


def windows_of(spec: Spec) -> Windows:
    """Return the windows of a spec's corpus: of its contents, or of what the folder holds now."""
    return _cut(
        spec if spec.contents else dataclasses.replace(spec, contents=derive(spec)["contents"])
    )


@functools.lru_cache(4)
def _cut(spec: Spec) -> Windows:
    folder = text_folders.where(spec.folder)
    corpus = corpus_files.corpus(folder, spec.tokenizer, spec.contents)
    shares = (spec.target_share, spec.test_share)
    return text_windows.windows(corpus, spec.context, spec.windows, shares)


def items(spec: Spec) -> tuple[list[str], list[str]]:
    """Return the windows as texts: those trained on, and those held out.

    Held out are first the windows of the target split, then those of the test split; a `Grouping`
    labels them in these orders.
    """
    windows = windows_of(spec)

    def texts(*rows: Any) -> list[str]:
        return [
            corpus_files.decoded(row, spec.tokenizer, windows.vocabulary)
            for part in rows
            for row in part
        ]

    return texts(windows.train.rows), texts(windows.target.rows, windows.test.rows)


def embeddings(spec: Spec) -> tuple[NDArray, NDArray]:
    """Return the windows as points, [N, D] and [M, D], in the order of `items`."""
    train, test = items(spec)
    if spec.embedding.startswith(SENTENCES):
        return sentences(train, test, spec.embedding.removeprefix(SENTENCES))
    return ngrams(train, test, min(DIRECTIONS, len(train)))
