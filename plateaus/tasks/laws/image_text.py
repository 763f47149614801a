"""Images of digits and words for them in several languages: which caption is right?"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from plateaus import option_strings
from plateaus.fields import Field
from plateaus.signatures import EmitNumber
from plateaus.tasks.shared import embeddings as embedders
from plateaus.tasks.shared import regrouped
from plateaus.tasks.shared.mixtures import NoKnobs
from plateaus.tasks.shared.questions import IMPOSSIBLE, cross_entropy, squared_distances, wrong
from plateaus.tasks.shared.regrouped import Items
from plateaus.types import Grouping, Groups, Learned, Reads, Task
from plateaus.values import Array, Draw, Example, Float, Key, Number

DIGITS = 10
FAMILIES = {  # language -> its words for 0 to 9
    "english": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "german": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    "french": ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
    "spanish": ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
}
ALPHABET = "".join(sorted({c for words in FAMILIES.values() for word in words for c in word}))
LONGEST = max(len(word) for words in FAMILIES.values() for word in words)
EACH = 174  # images of every digit that are used: no digit has fewer
PARTS = {"train": (0, 1, 2, 3), "target": (4,), "test": (5,)}  # of every six images of a digit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(regrouped.Spec):
    """The languages of a mixture, the captions, and how images with a language are grouped."""

    families: Annotated[str, Field(help="names of languages, with commas", sweepable=False)] = (
        ",".join(FAMILIES)
    )
    captions: Annotated[
        int, Field(help="captions K of an image, one of them right", low=2, high=DIGITS)
    ] = 5
    components: Annotated[
        int, Field(help="principal components of pixels that similarity is of", low=1, high=64)
    ] = 16


Knobs = NoKnobs  # what is varied is which image and which language are drawn


class Targets(NamedTuple):
    """What an example is judged by."""

    right: Array  # number of the right caption
    digit: Array
    group: Array  # number of the language


def groups(spec: Spec) -> tuple[str, ...]:
    """Return the languages there are, each once.

    >>> groups(Spec(families="german, english"))
    ('german', 'english')
    """
    return option_strings.known_names(spec.families, FAMILIES)


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for languages that are not there, and for tests of some items only."""
    for message in option_strings.name_problems(values["families"], FAMILIES):
        yield "families", message
    if values["clusters"].strip() and "eval_points" in values:
        tests = len(images("test")[1]) * len(option_strings.parts(values["families"]))
        if values["eval_points"] % tests:
            yield (
                "eval_points",
                f"must be a multiple of {tests}, the test images in every language, for a mean "
                "over them that does not depend on their groups",
            )


def images(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels [N, 64], in [0, 1], and the digits [N] of a part, "train" say.

    Parts are fixed: of every digit the first 174 images in the order of the data set, so that all
    digits are as frequent, in turns of six: four to train on, one to aim at, one to test on.

    >>> {part: len(images(part)[1]) for part in PARTS}
    {'train': 1160, 'target': 290, 'test': 290}
    """
    pixels, digits = _data()
    rank = np.array([np.sum(digits[:i] == digit) for i, digit in enumerate(digits)])
    chosen = (rank < EACH) & np.isin(rank % 6, PARTS[part])
    return (pixels[chosen] / 16).astype(np.float32), digits[chosen].astype(np.int32)


@functools.cache
def _data() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("needs scikit-learn: pip install 'plateaus[sklearn]'") from error
    return load_digits(return_X_y=True)


def places() -> dict[str, range]:
    """Return the numbers of the images of each part, one part after the other."""
    sizes = [len(images(part)[1]) for part in PARTS]
    ends = itertools.accumulate(sizes)
    return {p: range(end - size, end) for p, size, end in zip(PARTS, sizes, ends, strict=True)}


def spelled(word: str) -> np.ndarray:
    """Return the characters of a word, [L, A]: one-hot, zero beyond its end.

    >>> spelled("un").sum(axis=1).tolist()
    [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    rows = np.zeros((LONGEST, len(ALPHABET)), np.float32)
    rows[np.arange(len(word)), [ALPHABET.index(c) for c in word]] = 1.0
    return rows


def items(spec: Spec) -> tuple[Items, Items]:
    """Return the items trained on and tested on: every image of the part in every language.

    >>> [len(part.index) for part in items(Spec(families="german,french"))]
    [2320, 580]
    """
    number = len(groups(spec))
    train, test = (
        Items(np.tile(np.arange(number), len(part)), np.repeat(np.array(part), number))
        for part in (places()["train"], places()["test"])
    )
    return train, test


def embeddings(spec: Spec) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the principal components of each item's image, [N, C] and [M, C].

    Of the image alone: the same in every language, so that domains are of digits that look alike.

    >>> embeddings(Spec(families="german,french", components=3))[1].shape
    (580, 3)
    """
    train, test = (images(part)[0] for part in ("train", "test"))
    components = embedders.pixels(train, test, spec.components)
    of_train, of_test = (np.repeat(part, len(groups(spec)), axis=0) for part in components)
    return of_train, of_test


def image_text(spec: Spec, grouping: Grouping | None = None) -> Task:
    r"""Choose among K captions of an image: $-\log \mathrm{softmax}(\mathrm{logits})_r / \log K$.

    Images are scikit-learn's digits, 8 x 8; captions are words for K different digits, all in one
    language, the example's group, as characters; the right one is at a place r that is uniform on
    1..K. Image number `index` of those to train on (further ones are of the other parts, in the
    order of `PARTS`); the other captions, their order and r are fresh in every example. Test
    examples go through the test images, each in every language in turn. All digits are as
    frequent, so that log K is the best without the image: the plateau is at 1. With `clusters` the
    items are in the groups of `grouping`, or in their languages (`regrouped`).

    Shapes: inputs (image [64], captions [K, L, A], characters one-hot), predictions [K] logits.
    Predictors: "blind", all captions alike; "right", which knows. No model reaches the latter on
    test images but by reading digits without an error.

    Source: the loss of one image among K texts, of InfoNCE (van den Oord et al. 2018) and CLIP
    (Radford et al. 2021); the test-bed is ours, for paper 4's mixing of image and text.

    >>> task = image_text(Spec(captions=3))
    >>> emit, world = jax.jit(task.emit), task.init(jax.random.key(0))
    >>> example = emit(jax.random.key(0), world, Draw(0, 1), Knobs())
    >>> [x.shape for x in example.inputs], int(example.targets.digit)
    ([(64,), (3, 6, 24)], 0)
    """
    chosen, parts = groups(spec), places()
    pixels, digits = (jnp.asarray(np.concatenate(x)) for x in zip(*map(images, PARTS), strict=True))
    words = jnp.asarray(
        np.array([[spelled(word) for word in FAMILIES[language]] for language in chosen])
    )

    def shown(key: Key, number: Number, group: Any) -> Example:
        key_others, key_place = jax.random.split(key)
        digit = digits[number]
        others = (digit + 1 + jax.random.permutation(key_others, DIGITS - 1)) % DIGITS
        captions = jnp.concatenate([digit[None], others[: spec.captions - 1]])
        captions = jax.random.permutation(key_place, captions)
        right = jnp.argmax(captions == digit).astype(jnp.int32)
        targets = Targets(right, digit, jnp.asarray(group, jnp.int32))
        return Example((pixels[number], words[group][captions]), targets)

    def emit(key: Key, world: object, draw: Draw, knobs: object) -> Example:
        return shown(key, draw.index, draw.group)

    def in_turn(part: range) -> EmitNumber:
        def emit(key: Key, world: object, number: Number) -> Example:
            image, group = jnp.divmod(jnp.asarray(number), len(chosen))
            return shown(key, part.start + image % len(part), group)

        return emit

    def loss(prediction: Float[Array, " K"], example: Example) -> Float[Array, ""]:
        return cross_entropy(prediction, example.targets.right) / math.log(spec.captions)

    def last_error(prediction: Array, example: Example) -> Array:
        return wrong(prediction, example.targets.right)

    def predict(example: Example) -> dict[str, Array]:
        right = jnp.arange(spec.captions) == example.targets.right
        return {"blind": jnp.zeros(spec.captions), "right": jnp.where(right, 0.0, IMPOSSIBLE)}

    task = Task(
        init=lambda key: (),
        emit=emit,
        emit_test=in_turn(parts["test"]),
        loss=loss,
        test_loss=loss,
        metrics={"last_error": last_error},
        predictors=lambda world, batch, knobs, log_prior: jax.vmap(predict)(batch),
        uninformed="blind",
        best="right",
        size=len(parts["train"]),
        distance=lambda prediction, other, example: squared_distances(prediction, other),
        reads=Reads(outputs=spec.captions),
        groups=Groups(
            chosen,
            of=lambda example: example.targets.group,
            learned=Learned(last_error, (0.1,) * len(chosen)),
            emit_target=in_turn(parts["target"]),
        ),
    )
    if not spec.clusters.strip():
        return task
    return regrouped.regrouped(task, grouping, *items(spec), spec.pool_seed)
