"""Where our step's time goes: programs of its parts, each with all that it needs before it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.gradient_geometry import in_jax as ways
from experiments.benchmarks.gradient_geometry.jobs import PCGRAD, PLAIN_JAX
from plateaus.gram.engine import combine, per_example_gram

REPEATS = 200  # of PCGrad in a scan


def parts(trainer: ways.Trainer) -> Callable[[], dict[str, float]]:
    """Return () -> seconds a step of each part, compiled here.

    In scans over the batches, at the first weights. The factors are what a forward and a backward
    pass leave, the Gram matrix comes from them, the gradient from both by PCGrad.
    """
    model, loss = trainer.setting.model, trainer.setting.loss
    engine, plain = per_example_gram(model, loss), ways.gradients(PLAIN_JAX, model, loss)

    def combined(params, batch):
        _, gram, captured = engine(params, batch)
        return combine(captured, ways.surgery(gram))

    compute = {
        "plain gradient": lambda *given: plain(*given)[1],
        "factors": lambda *given: engine(*given)[2].factors,
        "Gram": lambda *given: engine(*given)[1],
        "gradient": combined,
    }
    params = jax.tree.map(jnp.array, trainer.given[0])
    arguments: dict[str, tuple[Any, ...]] = {name: (params, trainer.batches) for name in compute}
    programs = {name: _scan(trainer, work) for name, work in compute.items()}
    count = {name: trainer.job.steps for name in programs}
    first = trainer.mapped(lambda params, batches: engine(params, trainer.batch(batches, 0))[1])
    gram = jax.jit(first)(params, trainer.batches)
    arguments[PCGRAD], count[PCGRAD] = (gram,), REPEATS
    programs[PCGRAD] = jax.jit(trainer.mapped(_surgery))
    for name, program in programs.items():
        jax.block_until_ready(program(*arguments[name]))  # compiles

    def measure() -> dict[str, float]:
        took = {}
        for name, program in programs.items():
            began = time.perf_counter()
            jax.block_until_ready(program(*arguments[name]))
            took[name] = (time.perf_counter() - began) / count[name]
        return took

    return measure


def _scan(trainer: ways.Trainer, work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a scan of `work` that keeps the last result, so that none is left out."""

    def scan(params, batches):
        shapes = jax.eval_shape(work, params, trainer.batch(batches, 0))
        empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

        def once(_, t):
            return work(params, trainer.batch(batches, t)), None

        return jax.lax.scan(once, empty, jnp.arange(trainer.job.steps))[0]

    return jax.jit(trainer.mapped(scan))


def _surgery(gram):
    def once(gram, _):  # the next needs a number of this one's result
        return gram.at[0, 0].add(1e-9 * ways.surgery(gram)[0]), None

    return jax.lax.scan(once, gram, None, length=REPEATS)[0]
