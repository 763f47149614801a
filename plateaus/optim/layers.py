"""Learning rates by layer: multipliers of the updates, traced, so that they can be swept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import optax

from plateaus.names import missing
from plateaus.types import Scalar


def layer_rates(rates: Mapping[str, Scalar]) -> optax.GradientTransformation:
    """Multiply the updates of some layers, each by its own factor; 0 freezes a layer.

    A layer is a key at the top of the parameters. Put it last in a chain: what Adam makes of a
    gradient hardly depends on the gradient's scale. Factors may be traced.
    Neutral at a factor of 1: the updates come out bit for bit.

    Raises ValueError, naming the nearest, for a layer that is not there.

    Source: paper 1, appendix C.5 and figure 12 (a frozen read-out, different rates by layer).

    >>> optimiser = optax.chain(optax.sgd(1.0), layer_rates({"readout": 0.0}))
    >>> weights = {"hidden": 1.0, "readout": 1.0}
    >>> updates, _ = optimiser.update(weights, optimiser.init(weights))
    >>> float(updates["hidden"]), float(updates["readout"])
    (-1.0, -0.0)
    """

    def init(params):
        _refuse_unknown(rates, params)
        return optax.EmptyState()

    def update(updates: Mapping[str, Any], state, params=None):
        del params
        scaled = {
            layer: jax.tree.map(lambda u, layer=layer: (rates[layer] * u).astype(u.dtype), part)
            if layer in rates
            else part
            for layer, part in jax.tree.map(jax.numpy.asarray, dict(updates)).items()
        }
        return scaled, state

    return optax.GradientTransformation(init, update)


def _refuse_unknown(rates: Mapping[str, Scalar], layers: Mapping[str, Any]) -> None:
    for layer in rates:
        if layer not in layers:
            raise ValueError(missing("layer", layer, layers))
