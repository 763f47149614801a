"""The same training in PyTorch: run after run in eager mode, and all runs at once by torch.func."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap


def _network(params):
    """Build the MLP, and the names our weights have in it; kernels are transposed."""
    names = [name.removesuffix("/kernel") for name in params if name.endswith("/kernel")]
    names = [*sorted(name for name in names if name != "readout"), "readout"]
    layers: list[nn.Module] = []
    state = {}
    for name in names:
        kernel = params[f"{name}/kernel"]
        where = len(layers)
        state[f"{where}.weight"] = torch.tensor(np.ascontiguousarray(np.swapaxes(kernel, -1, -2)))
        state[f"{where}.bias"] = torch.tensor(params[f"{name}/bias"])
        layers += [nn.Linear(*kernel.shape[-2:]), nn.ReLU()]
    return nn.Sequential(*layers[:-1]), state


def _batches(inputs, targets):
    return [(torch.tensor(x), torch.tensor(y)) for x, y in zip(inputs, targets, strict=True)]


def eager(params, inputs, targets, rate):
    """Return train(runs, steps) -> losses [runs, steps]: a loop as in the tutorials."""
    network, state = _network(params)
    batches = [_batches(inputs[:, run], targets[:, run]) for run in range(inputs.shape[1])]

    def train(runs, steps):
        rows = []
        for run in range(runs):
            network.load_state_dict({name: value[run] for name, value in state.items()})
            optimiser = torch.optim.SGD(network.parameters(), lr=rate)
            losses = []
            for t in range(steps):
                x, y = batches[run][t % len(batches[run])]
                optimiser.zero_grad()
                loss = nn.functional.mse_loss(network(x)[:, 0], y)
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())
            rows.append(torch.stack(losses))
        return torch.stack(rows).numpy()

    return train


def _mapped(params, inputs, targets, rate, wrap):
    network, first = _network(params)
    batches = _batches(inputs, targets)

    def loss(state, x, y):
        return nn.functional.mse_loss(functional_call(network, state, (x,))[:, 0], y)

    def step(state, x, y):
        gradients, losses = vmap(grad_and_value(loss))(state, x, y)
        return {name: value - rate * gradients[name] for name, value in state.items()}, losses

    step = wrap(step)

    def train(runs, steps):
        state, losses = first, []
        with torch.no_grad():
            for t in range(steps):
                state, now = step(state, *batches[t % len(batches)])
                losses.append(now)
        return torch.stack(losses, dim=1).numpy()

    return train


def func(params, inputs, targets, rate):
    """Return train(runs, steps) -> losses [runs, steps]: vmap(grad_and_value) over all runs."""
    return _mapped(params, inputs, targets, rate, lambda step: step)


def compiled(params, inputs, targets, rate):
    """Return the same under torch.compile."""
    return _mapped(params, inputs, targets, rate, torch.compile)


PEERS = {"torch_eager": eager, "torch_func": func, "torch_func_compiled": compiled}
