"""What the gradient-geometry benchmark times: jobs, contenders, how long a slice of each is."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from experiments.benchmarks.transformer.shapes import Job

PCGRAD = "PCGrad alone"  # of the parts of our step


class Kind(NamedTuple):
    """A contender: where it is, what it needs, and what it computes."""

    module: str  # of this room
    packages: tuple[str, ...]
    surgery: bool  # combines by PCGrad; else it is a plain step


PLAIN_TORCH, TORCHJD, PASSES = "torch, plain", "torch, TorchJD", "torch, B passes"
PLAIN_JAX, STACKED, OURS = "JAX, plain", "JAX, stacked", "ours"
KINDS = {
    PLAIN_JAX: Kind("in_jax", ("jax",), False),
    OURS: Kind("in_jax", ("jax",), True),
    STACKED: Kind("in_jax", ("jax",), True),
    PLAIN_TORCH: Kind("in_torch", ("torch",), False),
    TORCHJD: Kind("in_torch", ("torch", "torchjd"), True),
    PASSES: Kind("in_torch", ("torch",), True),
}


@dataclasses.dataclass(frozen=True)
class Shape(Job):
    """A transformer's step; one run."""

    aim: float | None = None  # times as fast as TorchJD

    runs = 1

    def check(self, kind: str) -> int:
        """Return how many steps' losses must agree."""
        return 1 if kind == PASSES else min(self.steps, 3)  # B^2 projections take half a minute

    def slice(self, kind: str) -> int:
        """Return the steps of a timed slice."""
        return 1 if kind == PASSES else self.steps


@dataclasses.dataclass(frozen=True)
class Parity:
    """The MLP of sparse parity, many runs mapped in one program of JAX; PyTorch trains one."""

    runs: int = 96
    batch: int = 20
    steps: int = 500  # of a timed slice in JAX
    alone: int = 100  # of a timed slice of one run in PyTorch
    dimension: int = 20
    width: int = 40
    aim: float | None = None

    @property
    def name(self) -> str:
        """The job in words."""
        layers = f"{self.dimension}-{self.width}-{self.width}-1"
        return f"MLP {layers} on parity, batch {self.batch}; JAX: {self.runs} runs in a program"

    def check(self, kind: str) -> int:
        """Return how many steps' losses must agree."""
        return min(self.slice(kind), 20)

    def slice(self, kind: str) -> int:
        """Return the steps of a timed slice."""
        return self.steps if KINDS[kind].module.endswith("jax") else self.alone


# Aims of issue 4: the step against TorchJD's, and against the faster plain one.
SHAPES: tuple[Shape | Parity, ...] = (
    Shape(batch=64, tokens=8, width=192, depth=6, heads=6, steps=12, aim=6.0),
    Shape(batch=32, tokens=82, width=64, depth=4, heads=2, steps=12, aim=2.2),
    Shape(batch=32, tokens=82, width=256, depth=12, heads=8, steps=3, aim=2.0),
    Parity(),
)
TINY: tuple[Shape | Parity, ...] = (
    Shape(batch=4, tokens=8, width=16, depth=1, heads=2, steps=3, max_positions=8),
    Parity(runs=3, batch=5, steps=4, alone=4, width=8),
)
OVER_PLAIN, MEMORY_OVER_PLAIN, SHARE = 1.4, 1.5, 0.01


def restored(name: str, fields: dict) -> Shape | Parity:
    """Return a job from its class's name and fields."""
    return {"Shape": Shape, "Parity": Parity}[name](**fields)
