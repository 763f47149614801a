"""The same transformer and its training in PyTorch: eager, with its own fused attention."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks.timing import Trained, stopwatch
from experiments.benchmarks.transformer.shapes import BATCHES, Job

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), as in GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.attention_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp_up, self.mlp_down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        """Map the residual stream [B, T, width] to the next block's."""
        parts = self.qkv(self.attention_norm(x)).chunk(3, dim=-1)
        heads = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        gathered = functional.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.attention_out(gathered.transpose(1, 2).flatten(2))
        hidden = functional.gelu(self.mlp_up(self.mlp_norm(x)), approximate="tanh")
        return x + self.mlp_down(hidden)


class Transformer(nn.Module):
    """Continuous tokens in, a scalar out at every other position."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.read_in, self.readout = nn.Linear(job.dimension, job.width), nn.Linear(job.width, 1)
        self.positions = nn.Parameter(torch.zeros(job.max_positions, job.width))
        for layer in range(job.depth):
            self.add_module(f"block_{layer}", Block(job.width, job.heads))
        self.depth, self.final_norm = job.depth, nn.LayerNorm(job.width)

    def forward(self, tokens):
        """Map tokens [B, T, dimension] to [B, T / 2]."""
        x = self.read_in(tokens) + self.positions[: tokens.shape[1]]
        for layer in range(self.depth):
            x = getattr(self, f"block_{layer}")(x)
        return self.readout(self.final_norm(x[:, ::2]))[..., 0]


def load(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Give the model our weights; our kernels are [inputs, outputs]."""
    state = {}
    for name, value in weights.items():
        state[named(name)] = torch.tensor(value.T if name.endswith("kernel") else value)
    model.load_state_dict(state)


def named(name: str) -> str:
    """Return PyTorch's name of a parameter of ours.

    >>> named("block_0/qkv/kernel")
    'block_0.qkv.weight'
    """
    return name.replace("/", ".").replace("kernel", "weight").replace("scale", "weight")


def trainer(job: Job, problem: dict[str, np.ndarray]) -> Callable[[], Trained]:
    """Return the training of one run: `job.steps` steps from the problem's weights."""
    inputs, targets = (torch.tensor(problem.pop(n), device=DEVICE) for n in ("inputs", "targets"))
    batches = list(zip(inputs.chunk(BATCHES), targets.chunk(BATCHES), strict=True))
    model = Transformer(job).to(DEVICE)

    def mixed():
        if job.compute == "float32":
            return contextlib.nullcontext()
        return torch.autocast(DEVICE, dtype=torch.bfloat16)

    def train() -> Trained:
        load(model, problem)
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
        losses = []
        took = stopwatch()
        for t in range(job.steps):
            x, y = batches[t % BATCHES]
            optimiser.zero_grad()
            with mixed():
                loss = functional.mse_loss(model(x).float(), y)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        found = torch.stack(losses)[None].cpu().numpy()  # waits for the device
        return Trained(took(), found)

    return train
