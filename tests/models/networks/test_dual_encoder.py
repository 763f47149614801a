"""The two towers against numpy, and what a caption's order and a pad mean to them."""

import jax
import numpy as np
import pytest

from plateaus.models.networks.dual_encoder import Spec, dual_encoder, layers

PIXELS, CAPTIONS = 7, (4, 5, 6)


def inputs(batch=9, seed=0):
    """Images, and captions of one to five characters."""
    rng = np.random.default_rng(seed)
    k, longest, alphabet = CAPTIONS
    letters = rng.integers(0, alphabet, (batch, k, longest))
    lengths = rng.integers(1, longest + 1, (batch, k))
    there = np.arange(longest) < lengths[..., None]
    one_hot = np.eye(alphabet, dtype=np.float32)[letters] * there[..., None]
    images = rng.standard_normal((batch, PIXELS)).astype(np.float32)
    return images, one_hot.astype(np.float32), letters, lengths


def parameters(model, scale=1.0):
    """Weights and biases drawn with numpy, and a scale."""
    rng = np.random.default_rng(1)

    def leaf(x):
        return rng.normal(0, x.shape[0] ** -0.5 if x.ndim > 1 else 0.1, x.shape).astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(leaf, shapes) | {"scale": np.float32(np.log(scale))}


def by_loops(params, images, letters, lengths, depth):
    """Logits in float64, one caption at a time, characters looked up by number."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)

    def tower(x, name):
        for layer in range(depth):
            own = p[f"{name}_hidden_{layer}"]
            x = np.maximum(x @ own["kernel"] + own["bias"], 0.0)
        x = x @ p["readout"][name]["kernel"] + p["readout"][name]["bias"]
        return x / np.sqrt(x @ x + 1e-6)

    table = p["characters"]["kernel"]
    logits = np.zeros(letters.shape[:2])
    for b, image in enumerate(images):
        for k in range(letters.shape[1]):
            rows = np.zeros((letters.shape[2], table.shape[1]))
            for place in range(lengths[b, k]):
                rows[place] = table[letters[b, k, place]]
            cosine = tower(np.float64(image), "image") @ tower(rows.ravel(), "text")
            logits[b, k] = np.exp(p["scale"]) * cosine
    return logits


@pytest.mark.parametrize("depth", (0, 1, 2))
def test_logits_by_loops(depth):
    spec = Spec(width=8, depth=depth, embedding=5, characters=3, scale=7.0)
    model = dual_encoder(spec, PIXELS, CAPTIONS)
    params = parameters(model, scale=6.5)
    images, one_hot, letters, lengths = inputs()
    logits, _ = jax.jit(model.apply)(params, (images, one_hot))
    wanted = by_loops(params, images, letters, lengths, depth)
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4)
    assert np.abs(wanted).max() <= np.exp(params["scale"])


def test_the_scale_multiplies_cosines_at_first():
    scales, names = (1.0, 30.0), ("image_embedding", "text_embedding")

    @jax.jit
    def said(images, captions):
        models = [dual_encoder(Spec(scale=scale), PIXELS, CAPTIONS) for scale in scales]
        keys = [jax.random.key(0) for _ in models]
        drawn = [model.init(key) for model, key in zip(models, keys, strict=True)]
        return [
            model.apply(params, (images, captions), capture=names)
            for model, params in zip(models, drawn, strict=True)
        ]

    for scale, (logits, seen) in zip(scales, said(*inputs()[:2]), strict=True):
        image, text = (np.asarray(seen[name], np.float64) for name in names)
        cosine = np.einsum("be,bke->bk", image, text)
        cosine /= np.linalg.norm(image, axis=-1)[:, None] * np.linalg.norm(text, axis=-1)
        np.testing.assert_allclose(logits, scale * cosine, rtol=1e-3, atol=1e-3 * scale)


def test_the_order_of_characters_is_read():
    """An anagram is another caption."""
    model = dual_encoder(Spec(), PIXELS, CAPTIONS)
    images, one_hot, *_ = inputs()
    one_hot[:, 0], one_hot[:, 1] = np.eye(6)[:5], np.eye(6)[[1, 0, 2, 3, 4]]
    logits = np.asarray(jax.jit(model.apply)(parameters(model), (images, one_hot))[0])
    assert np.all(np.abs(logits[:, 0] - logits[:, 1]) > 1e-5)


def test_both_towers_read_out_in_one_layer_which_is_the_last():
    spec = Spec(width=8, depth=2, embedding=5)
    params = jax.eval_shape(dual_encoder(spec, PIXELS, CAPTIONS).init, jax.random.key(0))
    assert layers(spec)[-1] == "readout" and set(layers(spec)) == set(params)
    shapes = jax.tree.map(lambda x: x.shape, params["readout"])
    one = {"kernel": (8, 5), "bias": (5,)}
    assert shapes == {"image": one, "text": one}
