"""Images and captions whose languages may be exchanged for domains of similar images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from plateaus import option_strings
from plateaus.fields import Field
from plateaus.tasks.laws import image_text
from plateaus.tasks.laws.image_text import Knobs, groups
from plateaus.tasks.shared import embeddings as embedders
from plateaus.tasks.shared import regrouped
from plateaus.tasks.shared.regrouped import Items
from plateaus.types import Grouping, Task

__all__ = ["Knobs", "Spec", "check", "embeddings", "groups", "image_text_domains", "items"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(image_text.Spec, regrouped.Spec):
    """The languages of a mixture, the captions, and how images with a language are grouped."""

    components: Annotated[
        int, Field(help="principal components of pixels that similarity is of", low=1, high=64)
    ] = 16


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for languages that are not there, and for tests of some items only."""
    yield from image_text.check(values)
    if values["clusters"].strip() and "eval_points" in values:
        tests = len(image_text.images("test")[1]) * len(option_strings.parts(values["families"]))
        if values["eval_points"] % tests:
            yield (
                "eval_points",
                f"must be a multiple of {tests}, the test images in every language, for a mean "
                "over them that does not depend on their groups",
            )


def items(spec: Spec) -> tuple[Items, Items]:
    """Return the items trained on and tested on: every image of the part in every language.

    >>> [len(part.index) for part in items(Spec(families="german,french"))]
    [2320, 580]
    """
    number, first = len(groups(spec)), 0
    found = {}
    for part in image_text.PARTS:
        size = len(image_text.images(part)[1])
        index = np.arange(first, first + size)
        found[part] = Items(np.tile(np.arange(number), size), np.repeat(index, number))
        first += size
    return found["train"], found["test"]


def image_text_domains(spec: Spec, grouping: Grouping | None = None) -> Task:
    """Return `image_text`; with `clusters`, its items in the groups given, or in its languages.

    >>> image_text_domains(Spec(families="german,french", clusters="2")).groups.target
    (0.5, 0.5)
    """
    task = image_text.image_text(spec)
    if not spec.clusters.strip():
        return task
    train, test = items(spec)
    own = Grouping(groups(spec), train.group, test.group) if grouping is None else grouping
    return regrouped.regrouped(task, own, train, test, Knobs(), spec.pool_seed)


def embeddings(spec: Spec) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the principal components of each item's image, [N, C] and [M, C].

    Of the image alone: the same in every language, so that domains are of digits that look alike.

    >>> embeddings(Spec(families="german,french", components=3))[1].shape
    (580, 3)
    """
    train, test = (image_text.images(part)[0] for part in ("train", "test"))
    found = embedders.pixels(train, test, spec.components)
    known, other = (np.repeat(part, len(groups(spec)), axis=0) for part in found)
    return known, other
