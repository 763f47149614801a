"""How large the weights are, layer by layer: what grows over a plateau where the loss stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plateaus.trees import norm
from plateaus.types import Array


def layer_norms(params: Mapping[str, Any]) -> dict[str, Array]:
    r"""Return `weight_norm_<layer>`, $\lVert W_l \rVert_2$ over all weights and biases of a layer.

    A layer is a key at the top of the parameters. Norms are scalars, of a pure number.

    >>> import jax.numpy as jnp
    >>> layer_norms({"readout": {"kernel": jnp.float32([3.0]), "bias": jnp.float32([4.0])}})
    {'weight_norm_readout': Array(5., dtype=float32)}
    """
    return {f"weight_norm_{layer}": norm(part) for layer, part in params.items()}
