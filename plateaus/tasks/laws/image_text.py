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

from plateaus import option_strings
from plateaus.fields import Field
from plateaus.signatures import EmitNumber
from plateaus.tasks.shared.questions import IMPOSSIBLE
from plateaus.types import (
    Array,
    Draw,
    Example,
    Float,
    Groups,
    Key,
    Learned,
    Number,
    Reads,
    Task,
)

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
class Spec:
    """The languages of a mixture, and how many captions there are to choose from."""

    families: Annotated[str, Field(help="names of languages, with commas", sweepable=False)] = (
        ",".join(FAMILIES)
    )
    captions: Annotated[
        int, Field(help="captions K of an image, one of them right", low=2, high=DIGITS)
    ] = 5


class Knobs(NamedTuple):
    """None: what is varied is which image and which language are drawn."""


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
    """Yield (field, message) for languages that are not there, or none."""
    for message in option_strings.name_problems(values["families"], FAMILIES):
        yield "families", message


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
        raise ImportError("needs scikit-learn: pip install 'plateaus[baselines]'") from error
    return load_digits(return_X_y=True)


def spelled(word: str) -> np.ndarray:
    """Return the characters of a word, [L, A]: one-hot, zero beyond its end.

    >>> spelled("un").sum(axis=1).tolist()
    [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    rows = np.zeros((LONGEST, len(ALPHABET)), np.float32)
    rows[np.arange(len(word)), [ALPHABET.index(c) for c in word]] = 1.0
    return rows


def image_text(spec: Spec) -> Task:
    r"""Choose among K captions of an image: $-\log \mathrm{softmax}(\mathrm{logits})_r / \log K$.

    Images are scikit-learn's digits, 8 x 8; captions are words for K different digits, all in one
    language, the example's group, as characters; the right one is at a place r that is uniform on
    1..K. Image number `index` of those to train on (further ones are of the other parts, in the
    order of `PARTS`); the other captions, their order and r are fresh in every example. Test
    examples go through the test images, each in every language in turn. All digits are as
    frequent, so that log K is the best without the image: the plateau is at 1.

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
    chosen = groups(spec)
    sizes = {part: len(images(part)[1]) for part in PARTS}
    first = dict(zip(sizes, itertools.accumulate(sizes.values(), initial=0), strict=False))
    pixels, digits = (jnp.asarray(np.concatenate(x)) for x in zip(*map(images, PARTS), strict=True))
    words = jnp.asarray(
        np.array([[spelled(word) for word in FAMILIES[language]] for language in chosen])
    )

    def init(key: object) -> tuple[()]:
        return ()

    def shown(key: Key, number: Number, group: Any) -> Example:
        key_others, key_place = jax.random.split(key)
        digit = digits[number]
        others = (digit + 1 + jax.random.permutation(key_others, DIGITS - 1)) % DIGITS
        asked = jnp.concatenate([digit[None], others[: spec.captions - 1]])
        asked = jax.random.permutation(key_place, asked)
        right = jnp.argmax(asked == digit).astype(jnp.int32)
        targets = Targets(right, digit, jnp.asarray(group, jnp.int32))
        return Example((pixels[number], words[group][asked]), targets)

    def emit(key: Key, world: object, draw: Draw, knobs: object) -> Example:
        return shown(key, draw.index, draw.group)

    def in_turn(part: str) -> EmitNumber:
        def emit(key: Key, world: object, number: Number) -> Example:
            image, group = jnp.divmod(jnp.asarray(number), len(chosen))
            return shown(key, first[part] + image % sizes[part], group)

        return emit

    def loss(prediction: Float[Array, " K"], example: Example) -> Float[Array, ""]:
        nats = jax.nn.logsumexp(prediction) - prediction[example.targets.right]
        return nats / math.log(spec.captions)

    def last_error(prediction: Array, example: Example) -> Array:
        return (jnp.argmax(prediction) != example.targets.right).astype(jnp.float32)

    def says(example: Example) -> dict[str, Array]:
        right = jnp.arange(spec.captions) == example.targets.right
        return {"blind": jnp.zeros(spec.captions), "right": jnp.where(right, 0.0, IMPOSSIBLE)}

    def distance(prediction: Array, other: Array, example: Example) -> Array:
        return jnp.sum(jnp.square(jax.nn.softmax(prediction) - jax.nn.softmax(other)))

    return Task(
        init=init,
        emit=emit,
        emit_test=in_turn("test"),
        loss=loss,
        test_loss=loss,
        metrics={"last_error": last_error},
        predictors=lambda world, batch, knobs, log_prior: jax.vmap(says)(batch),
        uninformed="blind",
        best="right",
        size=sizes["train"],
        distance=distance,
        reads=Reads(outputs=spec.captions),
        groups=Groups(
            chosen,
            of=lambda example: example.targets.group,
            learned=Learned(last_error, (0.1,) * len(chosen)),
            emit_target=in_turn("target"),
        ),
    )
