"""The sizes of a transformer's step: what it computes, and the products it cannot do without."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

BATCHES = 4  # that training goes round


@dataclasses.dataclass(frozen=True)
class Job:
    """A step to time: the model, the batch, how many runs are mapped in one program."""

    batch: int
    tokens: int
    width: int
    depth: int
    heads: int
    steps: int  # of a timed slice; all of their losses must agree
    seeds: int = 1
    compute: str = "float32"
    dimension: int = 20  # of a token
    max_positions: int = 202

    @property
    def name(self) -> str:
        """The job in words."""
        shape = f"batch {self.batch}, {self.tokens} tokens, width {self.width}, {self.depth} layers"
        return f"{shape}, {self.seeds} seed{'s' * (self.seeds > 1)}, {self.compute}"


def flops(job: Job) -> int:
    r"""Return the model's operations of one run-step, two for each multiply-add.

    $6 N B T + 12 L T^2 W B$, with $N = 12 L W^2$ parameters of matrices (qkv 3 W^2, attention_out
    W^2, mlp_up and mlp_down 4 W^2 each): 2 operations a token and parameter forward, 4 backward;
    scores and values 2 T^2 W each forward, twice that backward. Not counted: the read-in and
    read-out (under 1%), norms, softmax, activations, the loss, the update. Attention counts in
    full: the half above the diagonal is computed too.

    >>> flops(Job(batch=2, tokens=4, width=8, depth=1, heads=1, steps=1))
    39936
    """
    matrices = 12 * job.depth * job.width**2
    attention = 12 * job.depth * job.tokens**2 * job.width
    return job.batch * (6 * matrices * job.tokens + attention)


def products(job: Job) -> Iterator[tuple[str, str, tuple[int, ...], tuple[int, ...]]]:
    """Yield (name, einsum, shape, shape) of each product of one block, forward and backward.

    Letters: n tokens of the batch, i and o a layer's inputs and outputs; z heads of the batch, t
    and s positions, e a head's coordinates.

    >>> len(list(products(Job(batch=2, tokens=4, width=8, depth=1, heads=1, steps=1))))
    18
    """
    n, w = job.batch * job.tokens, job.width
    layers = {"qkv": (w, 3 * w), "attention_out": (w, w), "mlp_up": (w, 4 * w)}
    for name, (i, o) in (layers | {"mlp_down": (4 * w, w)}).items():
        yield name, "ni,io->no", (n, i), (i, o)
        yield f"{name}, input's gradient", "no,io->ni", (n, o), (i, o)
        yield f"{name}, weights' gradient", "ni,no->io", (n, i), (n, o)
    z, t, e = job.batch * job.heads, job.tokens, job.width // job.heads
    square, long = (z, t, t), (z, t, e)
    yield "scores", "zte,zse->zts", long, long
    yield "scores, queries' gradient", "zts,zse->zte", square, long
    yield "scores, keys' gradient", "zts,zte->zse", square, long
    yield "values", "zts,zse->zte", square, long
    yield "values, weights' gradient", "zte,zse->zts", long, long
    yield "values, values' gradient", "zts,zte->zse", square, long


def ceiling(job: Job, repeats: int, device: jax.Device) -> Callable[[], float]:
    """Return () -> seconds that a step's products take, of `job.seeds` runs: each one's, summed.

    Each is timed by itself, `repeats` times in one scan, mapped over the runs; the next repetition
    needs a number of the last one's result, so that none is left out.
    """
    generator = np.random.default_rng(0)
    programs = []
    for _, spec, *shapes in products(job):
        first, second = (
            jax.device_put(generator.normal(size=(job.seeds, *shape)).astype(np.float32), device)
            for shape in shapes
        )
        programs.append(_repeated(spec, first, second, job.compute, repeats))

    def measure() -> float:
        total = 0.0
        for program in programs:
            began = time.perf_counter()
            jax.block_until_ready(program())
            total += (time.perf_counter() - began) / repeats
        return job.depth * total

    for program in programs:
        jax.block_until_ready(program())  # compiles
    return measure


def _repeated(spec: str, first: jax.Array, second: jax.Array, dtype: str, repeats: int):
    left, right = spec.split(",")
    mapped = f"r{left},r{right.replace('->', '->r')}"

    def scan(first, second):
        def once(carry, _):
            first, _ = carry
            product = jnp.einsum(mapped, first, second)
            corner = (0,) * first.ndim
            return (first.at[corner].set(product[(0,) * product.ndim] * 1e-3), product), None

        product = jax.eval_shape(lambda: jnp.einsum(mapped, first, second))
        empty = jnp.zeros(product.shape, product.dtype)
        return jax.lax.scan(once, (first, empty), None, length=repeats)[0]

    program = jax.jit(scan)
    arguments = first.astype(dtype), second.astype(dtype)
    return lambda: program(*arguments)
