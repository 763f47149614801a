"""Two towers, of images and of texts, and the cosines of their embeddings."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models.networks.mlp import ACTIVATIONS, linear
from plateaus.models.taps import Tap, direct
from plateaus.types import EXACT, Array, Model

SMALLEST = 1e-6  # of the square of a norm that is divided by


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The shape of both towers and how their weights start."""

    width: Annotated[int, Field(help="hidden width of each tower", low=1, high=65536)] = 64
    depth: Annotated[int, Field(help="hidden layers of each tower", low=0, high=64)] = 1
    embedding: Annotated[int, Field(help="size of what is compared", low=2, high=65536)] = 32
    characters: Annotated[
        int, Field(help="size of the vector of a character", low=1, high=65536)
    ] = 16
    scale: Annotated[
        float, Field(help="first factor of cosines, which learns", low=0, low_open=True, high=100)
    ] = 10.0
    activation: Annotated[str, Field(help="between layers", choices=tuple(ACTIVATIONS))] = "relu"
    initialisation: Annotated[
        str,
        Field(help="law of the first weights", choices=("uniform", "lecun_normal", "he_normal")),
    ] = "lecun_normal"


class Knobs(NamedTuple):
    """Two towers have no traced number of their own."""


def _hidden(spec: Spec) -> tuple[str, ...]:
    return tuple(f"hidden_{layer}" for layer in range(spec.depth))


def layers(spec: Spec) -> tuple[str, ...]:
    """Return the names of the layers: the keys of the parameters; the last is of both towers.

    >>> layers(Spec(depth=1))
    ('scale', 'image_hidden_0', 'characters', 'text_hidden_0', 'readout')
    """
    image, text = ([f"{tower}_{name}" for name in _hidden(spec)] for tower in ("image", "text"))
    return ("scale", *image, "characters", *text, "readout")


def activations(spec: Spec) -> tuple[str, ...]:
    """Return the names of all that can be captured or edited, in the order of computation.

    >>> activations(Spec(depth=1))[:3]
    ('image_hidden_0', 'image_embedding', 'characters')
    """
    image, text = ([f"{tower}_{name}" for name in _hidden(spec)] for tower in ("image", "text"))
    return (*image, "image_embedding", "characters", *text, "text_embedding", "logits")


class _Readout(nn.Module):
    """The last layer of both towers: one layer, as a mixer sees it."""

    spec: Spec
    from_image: int
    from_text: int

    def setup(self) -> None:
        size, law = self.spec.embedding, self.spec.initialisation
        self.image = linear(size, self.from_image, law, None)
        self.text = linear(size, self.from_text, law, None)


class _DualEncoder(nn.Module):
    spec: Spec

    @nn.compact
    def __call__(self, inputs: tuple[Array, Array], tap: Tap) -> Array:
        image, captions = inputs
        spec, activation = self.spec, ACTIVATIONS[self.spec.activation]

        def tower(x: Array, name: str) -> Array:
            for layer in _hidden(spec):
                dense = linear(spec.width, x.shape[-1], spec.initialisation, f"{name}_{layer}")
                x = tap(f"{name}_{layer}", activation(dense(x)))
            return x

        letters = nn.Dense(spec.characters, use_bias=False, name="characters")
        wide = spec.width if spec.depth else None
        words = captions.shape[-2] * spec.characters
        readout = _Readout(spec, wide or image.shape[-1], wide or words, name="readout")
        f = tap("image_embedding", readout.image(tower(image, "image")))
        vectors = tap("characters", letters(captions)).reshape(*captions.shape[:-2], words)
        g = tap("text_embedding", readout.text(tower(vectors, "text")))
        log_scale = self.param("scale", lambda key: jnp.float32(math.log(spec.scale)))
        cosines = jnp.einsum("be,bke->bk", _unit(f), _unit(g), precision=EXACT)
        return tap("logits", jnp.exp(log_scale) * cosines)


def _unit(x: Array) -> Array:
    """Return x / |x| of vectors [..., E]; a tiny one becomes shorter than 1."""
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + SMALLEST)


def dual_encoder(spec: Spec, pixels: int, captions: tuple[int, int, int]) -> Model:
    r"""Build $\mathrm{logit}_k = e^s \cos(f(\mathrm{image}), g(\mathrm{caption}_k))$.

    Inputs are a pair: images [B, P], `pixels` numbers each, and captions [B, K, L, A], K of L
    characters, rows of an alphabet of A that are one-hot, or zero beyond the word's end; `captions`
    is (K, L, A). Predictions are logits [B, K]. f is an MLP on the pixels; g an MLP on the vectors
    of a caption's characters, one after another. s learns, too.

    Activations: image_hidden_0, .. and text_hidden_0, .. after the nonlinearity, characters [B, K,
    L, C], image_embedding [B, E] and text_embedding [B, K, E] before they are divided by their
    norms, logits. The layer `readout` holds the last linear map of both towers.

    Source: the loss's logits are those of Radford et al. 2021 (CLIP); the towers are ours.

    >>> model = dual_encoder(Spec(), 64, (5, 6, 20))
    >>> params = jax.jit(model.init)(jax.random.key(0))
    >>> jax.jit(model.apply)(params, (jnp.ones((7, 64)), jnp.ones((7, 5, 6, 20))))[0].shape
    (7, 5)
    """
    shapes = tuple(jax.ShapeDtypeStruct((1, *of), jnp.float32) for of in ((pixels,), captions))
    return direct(_DualEncoder(spec), activations(spec), shapes)
