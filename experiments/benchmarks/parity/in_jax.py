"""A jitted JAX step in a Python loop: the usual way, by a user of JAX with its usual flags."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def _loss(params, x, y):
    last = len(params) // 2 - 1
    for layer in range(last):
        x = jax.nn.relu(x @ params[f"hidden_{layer}/kernel"] + params[f"hidden_{layer}/bias"])
    prediction = (x @ params["readout/kernel"] + params["readout/bias"])[:, 0]
    return jnp.mean((prediction - y) ** 2)


def _step(params, x, y, rate):
    loss, gradients = jax.value_and_grad(_loss)(params, x, y)
    return jax.tree.map(lambda p, g: p - rate * g, params, gradients), loss


def step_all(params, inputs, targets, rate):
    """Return train(runs, steps) -> losses [runs, steps]: jit(vmap(step)) over all runs."""
    step = jax.jit(jax.vmap(_step, (0, 0, 0, None)), donate_argnums=0)
    batches = [jax.device_put(batch) for batch in zip(inputs, targets, strict=True)]
    first = jax.device_put(params)

    def train(runs, steps):
        state, losses = jax.tree.map(jnp.copy, first), []
        for t in range(steps):
            state, loss = step(state, *batches[t % len(batches)], rate)
            losses.append(loss)
        jax.block_until_ready(state)
        return np.stack(losses, axis=1)

    return train


def step_one(params, inputs, targets, rate):
    """Return train(runs, steps) -> losses [runs, steps]: jit(step), one run after another."""
    step = jax.jit(_step, donate_argnums=0)
    batches = [
        [jax.device_put((x[run], y[run])) for x, y in zip(inputs, targets, strict=True)]
        for run in range(inputs.shape[1])
    ]

    def train(runs, steps):
        rows = []
        for run in range(runs):
            state = jax.device_put({name: value[run] for name, value in params.items()})
            losses = []
            for t in range(steps):
                state, loss = step(state, *batches[run][t % len(batches[run])], rate)
                losses.append(loss)
            jax.block_until_ready(state)
            rows.append(losses)
        return np.array(jax.device_get(rows))

    return train


PEERS = {"jax_step": step_one, "jax_vmap_step": step_all}
