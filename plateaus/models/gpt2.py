"""Weights of a Hugging Face GPT-2 as parameters of this package's transformer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.models.networks.transformer import Spec, transformer

# Ours -> theirs. Their linear layers ("Conv1D") hold [inputs, outputs] as ours do.
LAYERS = {
    "attention_norm": "ln_1",
    "qkv": "attn.c_attn",
    "attention_out": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp_up": "mlp.c_fc",
    "mlp_down": "mlp.c_proj",
}
BUFFERS = re.compile(r"h\.\d+\.attn\.(masked_)?bias")  # causal masks of older versions


def from_gpt2(weights: Mapping[str, np.ndarray], heads: int) -> tuple[Spec, dict[str, Any]]:
    """Return the spec and the float32 parameters of the model that these weights make.

    `weights` is the state dict of a `GPT2Model` or a `GPT2LMHeadModel` as numpy arrays; the number
    of heads cannot be seen in it. Build the model with `transformer(spec, vocabulary=...)`: its
    activation "final_norm" is GPT2Model's last hidden state, its logits are the language model's.
    The config must have gelu_new and layer norms with 1e-5, which are its defaults.

    Raises ValueError for a weight that is missing, of the wrong shape, or unknown.

    >>> width, ones = 4, np.ones
    >>> linear = {"attn.c_attn": (4, 12), "attn.c_proj": (4, 4), "mlp.c_fc": (4, 8)}
    >>> linear |= {"mlp.c_proj": (8, 4), "ln_1": (4,), "ln_2": (4,)}
    >>> weights = {f"h.0.{name}.weight": ones(shape) for name, shape in linear.items()}
    >>> weights |= {f"h.0.{name}.bias": ones(shape[-1]) for name, shape in linear.items()}
    >>> weights |= {"ln_f.weight": ones(4), "ln_f.bias": ones(4)}
    >>> weights |= {"wte.weight": ones((9, 4)), "wpe.weight": ones((7, 4))}
    >>> spec, params = from_gpt2(weights, heads=2)
    >>> spec.width, spec.depth, spec.mlp_multiple, spec.max_positions
    (4, 1, 2, 7)
    """
    remaining = {name.removeprefix("transformer."): np.asarray(a) for name, a in weights.items()}

    def take(name: str) -> Any:
        if name not in remaining:
            raise ValueError(f"{name} is not among the weights")
        return jnp.asarray(remaining.pop(name), jnp.float32)

    def layer(name: str, kernel: str) -> dict[str, Any]:
        return {kernel: take(f"{name}.weight"), "bias": take(f"{name}.bias")}

    depth = len({name.split(".")[1] for name in remaining if name.startswith("h.")})
    embedding = take("wte.weight")
    head = take("lm_head.weight") if "lm_head.weight" in remaining else embedding
    params: dict[str, Any] = {
        "read_in": {"embedding": embedding},
        "positions": take("wpe.weight"),
        "final_norm": layer("ln_f", "scale"),
    }
    for block in range(depth):
        params[f"block_{block}"] = {
            ours: layer(f"h.{block}.{theirs}", "scale" if ours.endswith("norm") else "kernel")
            for ours, theirs in LAYERS.items()
        }
    tied = head.shape == embedding.shape and bool((head == embedding).all())
    if not tied:
        params["readout"] = {"kernel": head.T}
    unknown = sorted(name for name in remaining if not BUFFERS.fullmatch(name))
    if unknown or not depth:
        raise ValueError(f"not the weights of a GPT-2: {', '.join(unknown) or 'there is no block'}")

    vocabulary, width = embedding.shape
    spec = Spec(
        width=width,
        depth=depth,
        heads=heads,
        mlp_multiple=params["block_0"]["mlp_up"]["kernel"].shape[-1] // width,
        max_positions=params["positions"].shape[0],
        tied=tied,
    )
    _check_shapes(spec, vocabulary, params)
    return spec, params


def _check_shapes(spec: Spec, vocabulary: int, params: dict[str, Any]) -> None:
    if spec.width % spec.heads:
        raise ValueError(f"{spec.heads} heads do not divide the width, {spec.width}")
    model = transformer(spec, vocabulary=vocabulary)
    wanted = jax.tree.leaves_with_path(
        jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))
    )
    for (path, leaf), array in zip(wanted, jax.tree.leaves(params), strict=True):
        if leaf.shape != array.shape:
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ValueError(f"{name} is {array.shape}, not {leaf.shape}")
