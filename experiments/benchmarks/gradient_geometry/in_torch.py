"""Steps in PyTorch: plain, by TorchJD's engine, and by a backward pass for each example."""

from __future__ import annotations

import functools
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks.gradient_geometry.jobs import (
    PASSES,
    PLAIN_TORCH,
    TORCHJD,
    Parity,
    Shape,
)
from experiments.benchmarks.timing import Trained, stopwatch
from experiments.benchmarks.transformer import in_torch as transformer_torch
from experiments.benchmarks.transformer.shapes import BATCHES

DEVICE = transformer_torch.DEVICE
POSITIONS = "positions"
Backward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # fills .grad, returns losses [B]


class _Positions(nn.Module):
    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, width))

    def forward(self, x):
        return x + self.weight[: x.shape[1]]


class Transformer(transformer_torch.Transformer):
    """The same, its positions a module of their own.

    TorchJD asks for that: a module that has parameters and children it differentiates whole, here
    the whole model, for each example.
    """

    def __init__(self, job: Shape) -> None:
        super().__init__(job)
        del self.positions
        self.add_module(POSITIONS, _Positions(job.max_positions, job.width))

    def forward(self, tokens):
        """Map tokens [B, T, dimension] to [B, T / 2]."""
        x = self.get_submodule(POSITIONS)(self.read_in(tokens))
        for layer in range(self.depth):
            x = getattr(self, f"block_{layer}")(x)
        return self.readout(self.final_norm(x[:, ::2]))[..., 0]


class MLP(nn.Module):
    """ReLU layers, a scalar out."""

    def __init__(self, job: Parity) -> None:
        super().__init__()
        self.hidden_0 = nn.Linear(job.dimension, job.width)
        self.hidden_1, self.readout = nn.Linear(job.width, job.width), nn.Linear(job.width, 1)

    def forward(self, x):
        """Map points [B, dimension] to [B, 1]."""
        x = functional.relu(self.hidden_1(functional.relu(self.hidden_0(x))))
        return self.readout(x)


def _losses(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.mean((model(x) - y) ** 2, dim=1)


def plain(model: nn.Module) -> Backward:
    """Return the gradient of the mean loss."""

    def backward(x, y):
        losses = _losses(model, x, y)
        losses.mean().backward()
        return losses.detach()

    return backward


def torchjd(model: nn.Module) -> Backward:
    """Return TorchJD's way: Gram matrix, PCGrad's weights, a second backward pass.

    Its order of projections is random; here it is 1 ... B, so that results can be compared.
    """
    from torchjd.aggregation import PCGradWeighting
    from torchjd.autogram import Engine

    engine, weighting = Engine(model, batch_dim=0), PCGradWeighting()

    def backward(x, y):
        losses = _losses(model, x, y)
        gram = engine.compute_gramian(losses)
        with mock.patch("torch.randperm", torch.arange):
            weights = weighting(gram)
        losses.backward(weights / len(weights))
        return losses.detach()

    return backward


def passes(model: nn.Module) -> Backward:
    """Return the public implementations' way: B passes, then projections of long vectors."""
    parameters = list(model.parameters())

    def backward(x, y):
        losses, rows = [], []
        for one in range(len(x)):
            loss = _losses(model, x[one : one + 1], y[one : one + 1])[0]
            parts = torch.autograd.grad(loss, parameters)
            rows.append(torch.cat([part.reshape(-1) for part in parts]))
            losses.append(loss.detach())
        each = torch.stack(rows)
        squares = (each * each).sum(1)
        total = torch.zeros_like(each[0])
        for i in range(len(each)):
            left = each[i].clone()
            for j in range(len(each)):
                product = torch.dot(left, each[j])
                if j != i and product < 0:
                    left -= product / squares[j] * each[j]
            total += left
        pieces = (total / len(each)).split([p.numel() for p in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)
        return torch.stack(losses)

    return backward


WAYS = {PLAIN_TORCH: plain, TORCHJD: torchjd, PASSES: passes}


class Trainer:
    """Training one run one way."""

    def __init__(self, kind: str, job: Shape | Parity) -> None:
        """Have PyTorch load what it loads late."""
        self.kind, self.job = kind, job
        if isinstance(job, Parity):
            torch.set_num_threads(1)  # products this small are slower on two
        warm = nn.Linear(64, 64, device=DEVICE)
        WAYS[kind](warm)(torch.ones(8, 64, device=DEVICE), torch.ones(8, 64, device=DEVICE))
        for make in (torch.optim.Adam, torch.optim.SGD):
            make(warm.parameters(), lr=0.0).step()

    def prepare(self, place: str) -> None:
        """Read the first weights, by our names, and the batches."""
        self.weights = dict(np.load(place))
        inputs, targets = self.weights.pop("inputs"), self.weights.pop("targets")
        if isinstance(self.job, Parity):
            targets = targets[:, None]
        pairs = zip(np.split(inputs, BATCHES), np.split(targets, BATCHES), strict=True)
        self.batches = [tuple(torch.tensor(x, device=DEVICE) for x in pair) for pair in pairs]

    @functools.cached_property
    def _model(self) -> tuple[nn.Module, Backward]:
        made = Transformer(self.job) if isinstance(self.job, Shape) else MLP(self.job)
        made = made.to(DEVICE)
        return made, WAYS[self.kind](made)

    def _loaded(self) -> tuple[nn.Module, Backward]:
        weights = {_longer(name): value for name, value in self.weights.items()}
        transformer_torch.load(self._model[0], weights)
        return self._model

    def train(self, steps: int) -> Trained:
        """Train from the first weights; return the losses [1, steps]."""
        (model, backward), losses = self._loaded(), []
        updating: torch.optim.Optimizer
        if isinstance(self.job, Shape):
            updating = torch.optim.Adam(model.parameters(), lr=1e-4)
        else:
            updating = torch.optim.SGD(model.parameters(), lr=0.1)
        took = stopwatch()
        for t in range(steps):
            updating.zero_grad()
            losses.append(backward(*self.batches[t % BATCHES]).mean())
            updating.step()
        found = torch.stack(losses)[None].cpu().numpy()  # waits for the device
        return Trained(took(), found)

    def first(self) -> dict[str, np.ndarray]:
        """Return the gradient of the first step, by our names."""
        model, backward = self._loaded()
        model.zero_grad()
        backward(*self.batches[0])
        found, parameters = {}, dict(model.named_parameters())
        for name in self.weights:
            gradient = parameters[transformer_torch.named(_longer(name))].grad.cpu().numpy()
            found[name] = gradient.T if name.endswith("kernel") else gradient
        return found


def _longer(name: str) -> str:
    return f"{name}/weight" if name == POSITIONS else name
