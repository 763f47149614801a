"""The batched matrix products that a step of an MLP cannot do without, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import jax
import numpy as np

from experiments.benchmarks.timing import Contender, Sample, side_by_side


def flops(batch: int, sizes: Sequence[int], input_gradient: bool = True) -> int:
    """Return the floating-point operations of one run-step, two for each multiply-add.

    Three products a layer: forward, the gradient of the weights, the gradient of the layer's
    input. The last is not needed of the *first* layer, and only the ceiling computes it there; it
    is counted all the same, as is usual (6 operations an example and weight), unless
    `input_gradient` is False. Biases, ReLUs, the loss and the update are not counted.

    >>> flops(20, (20, 40, 40, 1)), flops(20, (20, 40, 40, 1), input_gradient=False)
    (292800, 260800)
    """
    layers = [a * b for a, b in pairwise(sizes)]
    return 6 * batch * sum(layers) - (0 if input_gradient else 2 * batch * layers[0])


def products(x: jax.Array, weights: Sequence[jax.Array], input_gradient: bool):
    """Return the products of one step: of the last input's gradient, and of each weight's.

    A linear network, whose output is taken for its own gradient, as there is nothing to compute
    between two products then.
    """
    inputs = [x]
    for w in weights:
        inputs.append(inputs[-1] @ w)
    delta, gradients = inputs.pop(), []
    for layer, w in reversed(list(enumerate(weights))):
        gradients.append(inputs[layer].mT @ delta)
        if layer or input_gradient:
            delta = delta @ w.mT
    return delta, gradients[::-1]


def contender(
    name: str,
    runs: int,
    steps: int,
    batch: int,
    sizes: Sequence[int],
    used: Sequence[jax.Device],
    input_gradient: bool = True,
) -> Contender:
    """Return as something to time: on each device, `steps` times the products of `runs` runs.

    One scan, one thread a device, no step before the one before it: the input's gradient is the
    next input (the weights are scaled so that it neither grows nor vanishes). Without
    `input_gradient` a few numbers of the hidden layer's take its place.
    """
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=(runs, a, b)) / a**0.5 for a, b in pairwise(sizes)]
    whole = weights[0]
    for w in weights[1:]:
        whole = whole @ w
    weights[-1] /= np.linalg.norm(whole, axis=(1, 2), keepdims=True)
    x = generator.choice([-1.0, 1.0], size=(runs, batch, sizes[0]))

    def scan(x, weights):
        def step(carry, _):
            delta, gradients = products(carry[0], weights, input_gradient)
            x = delta if input_gradient else carry[0].at[:, 0, 0].set(delta[:, 0, 0])
            return (x, gradients), None  # carried, the gradients are needed: none is left out

        return jax.lax.scan(step, (x, weights), None, length=steps)[0]

    program = jax.jit(scan)
    arguments = [jax.device_put(jax.tree.map(np.float32, (x, weights)), device) for device in used]
    for given in arguments:
        values = jax.device_get(program(*given))
        if not all(np.isfinite(a).all() for a in jax.tree.leaves(values)):
            raise FloatingPointError("the ceiling's products have left the finite numbers")

    def on(place: int) -> None:
        jax.block_until_ready(program(*arguments[place]))

    def work() -> Sample:
        return side_by_side(on, len(arguments))[0]

    return Contender(name, runs * steps * len(used), work)
