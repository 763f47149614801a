"""How large the weights are, layer by layer: what grows over a plateau where the loss stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from plateaus.fields import Field
from plateaus.measures.instrument import Instrument, Parts, Probe, Values
from plateaus.trees import norm
from plateaus.types import Array, Task
from plateaus.variables import Variable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """Whether they are recorded."""

    weight_norms: Annotated[
        bool, Field(help="record the norm of each layer's weights at each evaluation")
    ] = False


def layer_norms(params: Mapping[str, Any]) -> dict[str, Array]:
    r"""Return `weight_norm_<layer>`, $\lVert W_l \rVert_2$ over all weights and biases of a layer.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> params = {"readout": {"kernel": jnp.array([[3.0], [4.0]]), "bias": jnp.zeros(1)}}
    >>> jax.jit(layer_norms)(params)
    {'weight_norm_readout': Array(5., dtype=float32)}
    """
    return {f"weight_norm_{layer}": norm(part) for layer, part in params.items()}


def _variables(task: Task, layers: Sequence[str]) -> dict[str, Variable]:
    return {
        f"weight_norm_{layer}": Variable(f"norm of the weights of {layer}").of(
            family="weight_norm", layer=layer
        )
        for layer in layers
    }


def _probe(values: Values, parts: Parts) -> Probe | None:
    if not values["weight_norms"]:
        return None
    return lambda key, params, laws, losses: layer_norms(params)


INSTRUMENT = Instrument(Spec, _variables, _probe)
