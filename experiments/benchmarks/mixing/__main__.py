"""What R&B's domain gradients cost: steps with them beside the same steps at fixed shares.

    python -m experiments.benchmarks.mixing [--json FILE] [--quick] [--rounds N]

The small transformer of configs/mixing.py and a wider one, 1 run and 8 mapped in a program. Ways to
the sums of the groups' gradients, of the last layer or of all: from the pullback of the losses, one
row of weights a group, which is cut below the layers asked for; or from the factors of the
examples' gradients (`plateaus.gram.engine`). All in one process, slices of `plateaus.train.phase`
in turn, medians over the rounds; a way is timed only once its gradients agree with the first one's.
The operations are those that XLA counts in one compiled gradient of one run, beside the formula:

the sums of G groups of the last layer [i, o], read at T positions of B prompts, are dense products
of 2 G B T (i + 1) o; a step is about 6 B T' P, with T' tokens and P parameters. Of all layers, in
thirds of a step: 3 + 2 G from the pullback, 3 + G from factors. Every round G^2 inner products of
the tracked numbers follow, over a whole round next to nothing.

Predicted, before these sizes were timed: last layer from the pullback x1.005 the operations at
width 32 and x1.001 at 128, x1.02-1.10 and x1.00-1.05 the time; from factors x1.2-1.5 and x1.05-1.2
the time; all layers x3.0 from the pullback (wrong: the pass is 3 thirds, not 1) and x2.3 from
factors, in operations.
Found (2 cores, shared with other work; medians of 40 rounds, clock and processor time): width 32,
1 run: pullback x1.0009 the operations, x1.05 and x1.01 the time, factors x1.006, x1.34 and x1.25;
8 runs: x1.04 and x1.00, x1.48 and x1.46; width 128, 1 run: x1.0002, x0.98 and x1.00, factors
x1.002, x1.18 and x1.10. All layers, width 32: x3.60 the operations from the pullback, x2.15 from
factors. So it is capturing that costs, not the sums; 8 runs of width 128 were not timed.

"About 0.01% extra compute" (paper 4) counts the inner products alone. The sums come on top: with a
readout of one number they are as little, but of V tokens they are about G V i / (3 P) of a step,
G-fold what a product of each prompt with its own group only would be.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.benchmarks import timing
from experiments.benchmarks.mixing.table import lines
from experiments.benchmarks.timing import Contender, Sample
from plateaus.jobs import devices

FORMAT, OFF = 1, 1e-4
FIXED = "fixed shares"
WAYS = {  # name -> (layers, captured): how the groups' gradients are made
    FIXED: (None, False),
    "last, pulled": ("last", False),
    "last, captured": ("last", True),
    "all, pulled": ("all", False),
    "all, captured": ("all", True),
    "captured, no sums": (None, True),
}


class Job(NamedTuple):
    """A model, how many runs are mapped, and how many steps a slice takes."""

    width: int
    runs: int
    steps: int
    batch: int = 24

    @property
    def name(self) -> str:
        """The job in words."""
        return f"transformer, width {self.width}, batch {self.batch}, {self.runs} runs in a program"


JOBS = (Job(32, 1, 200), Job(32, 8, 50), Job(128, 1, 50), Job(128, 8, 10))
TINY = (Job(8, 2, 4, batch=8),)


class Trainer:
    """Training one way: a slice of `plateaus.train.phase`, compiled."""

    def __init__(self, job: Job, way: str) -> None:
        """Build the parts as run.py does."""
        from plateaus.build import gradients, recipes
        from plateaus.config import presets
        from plateaus.config.arguments import parse
        from plateaus.jobs import cli

        layers, captured = WAYS[way]
        file = presets.REPOSITORY / "experiments" / "configs" / "mixing.py"
        given = {
            "data.mixer": "r_and_b" if layers else "fixed",
            "data.mixer_layers": layers or "last",
            "data.round_steps": max(1, job.steps // 2),
            "model.width": job.width,
            "batch": job.batch,
            "eval_points": 4,
        } | dict.fromkeys(("steps", "eval_every", "log_every"), job.steps)
        words = [f"--config.{name}={value}" for name, value in given.items()]
        plan, _ = cli.planned(parse([f"--config={file}:lambda", *words]))
        config = plan.config
        used = recipes.used_knobs(plan.schema, config, ())
        recipe = recipes.make_recipe(plan.resolved, used)
        engine = gradients.gradients_of(recipe.model, recipe.task)
        self.job, self.recipe = job, recipe._replace(gradients=engine if captured else None)
        self.knobs = recipes.stack_knobs(plan.resolved, [config] * job.runs)

    def prepare(self) -> float:
        """Compile a slice, and train the first one; return the seconds of compiling it."""
        import jax
        import jax.numpy as jnp

        from plateaus import evaluation, train

        seeds = jnp.arange(self.job.runs, dtype=jnp.uint32)
        laws = jax.jit(jax.vmap(functools.partial(evaluation.laws, self.recipe)))
        self.given = (seeds, self.knobs, laws(seeds, self.knobs)[0], jnp.int32(0))
        start = jax.jit(jax.vmap(functools.partial(train.init, self.recipe)))
        self.first = jax.device_get(start(*self.given[:3])[0])
        phase = jax.vmap(functools.partial(train.phase, self.recipe), in_axes=(0, 0, 0, 0, None))
        began = time.perf_counter()
        self.program = jax.jit(phase).lower(self.first, *self.given).compile()
        took = time.perf_counter() - began
        self.slice()  # what is kept from a first run on is not a step's
        return took

    def arguments(self) -> tuple[Any, Any]:
        """Return first weights, and a batch in which all groups are."""
        import jax

        from plateaus.types import streams

        def made():
            keys, task = streams(0), self.recipe.task
            many = jax.random.split(keys.test, self.job.batch)
            world, number = task.init(keys.world), jax.numpy.arange(self.job.batch)
            batch = jax.vmap(task.emit_test, (0, None, 0))(many, world, number)
            return self.recipe.model.init(keys.params), batch

        return jax.jit(made)()

    def one_step(self) -> tuple[Any, Any, float]:
        """Return the gradient of a first step, the groups' sums, and the operations of both."""
        import jax

        from plateaus.gradient import gradient
        from plateaus.types import streams

        key, knobs = streams(0).order, jax.tree.map(lambda x: x[0], self.knobs)

        def step(params, batch):
            _, grads, _, told = gradient(
                self.recipe, params, batch, (), knobs, key, lambda batch, values: values
            )
            return grads, told.gradient

        given = self.arguments()
        program = jax.jit(step).lower(*given).compile()
        counted: Any = program.cost_analysis()
        return *program(*given), float(counted["flops"])

    def slice(self) -> Sample:
        """Train one slice from the first weights."""
        import jax

        state = jax.block_until_ready(jax.tree.map(jax.numpy.asarray, self.first))
        took = timing.stopwatch()
        jax.block_until_ready(self.program(state, *self.given))
        return took()


def formula(trainer: Trainer) -> float:
    """Return the operations of the last layer's group sums: 2 G B T (i o + o)."""
    import jax

    recipe, (params, batch) = trainer.recipe, trainer.arguments()
    said = jax.eval_shape(lambda: recipe.model.apply(params, batch.inputs)[0])
    positions = said.size // trainer.job.batch // (recipe.task.reads.outputs or 1)
    last = sum(leaf.size for leaf in jax.tree.leaves(params["readout"]))
    return float(2 * len(recipe.task.group_names) * trainer.job.batch * positions * last)


def compared(trainers: Mapping[str, Trainer]) -> dict[str, dict[str, Any]]:
    """Return each way's operations beside those at fixed shares; RuntimeError where one is off."""
    import jax
    import numpy as np

    rows: dict[str, dict[str, Any]] = {}
    first: dict[str | None, Any] = {}  # by the layers asked for
    for way, trainer in trainers.items():
        grads, sums, operations = trainer.one_step()
        off = 0.0
        for kind, found in (("step", grads), (WAYS[way][0], sums)):
            if found is None:
                continue
            known = first.setdefault(kind, found)
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(known), strict=True):
                off = float(np.maximum(off, np.abs(a - b).max() / (np.abs(b).max() + 1e-9)))
        if not off <= OFF:
            raise RuntimeError(f"{way}: gradients are {off:.1e} off: not timed")
        rows[way] = {"off": off, "operations": operations}
        rows[way]["over_fixed_operations"] = operations / rows[FIXED]["operations"]
    return rows


def measure(job: Job, rounds: int, ways: Sequence[str] = tuple(WAYS)) -> dict[str, Any]:
    """Time the ways at a job, in turn; the first is `FIXED`."""
    trainers = {way: Trainer(job, way) for way in ways}
    rows = compared(trainers)
    for way, trainer in trainers.items():
        rows[way]["compile_s"] = trainer.prepare()
    contenders = {
        way: Contender(way, job.runs * job.steps, one.slice) for way, one in trainers.items()
    }
    samples = timing.in_turn(list(contenders.values()), rounds)
    for way, one in contenders.items():
        rows[way] |= timing.microseconds(samples[way], one.run_steps)
        ratios = timing.ratios(samples, one, contenders[FIXED])
        rows[way] |= {f"over_fixed_{clock}": ratio for clock, ratio in ratios.items()}
    added, base = formula(trainers[FIXED]), rows[FIXED]["operations"]
    return {
        "job": job._asdict(),
        "name": job.name,
        "rows": rows,
        "last_formula_operations": added,
        "last_formula_over_fixed": 1 + added / base,
    }


def main(argv: Sequence[str]) -> int:
    """Time everything, print the table, write the JSON."""
    arguments = timing.parser(__doc__, "benchmark-mixing.json")
    arguments.add_argument("--rounds", type=int)
    options = arguments.parse_args(argv)
    load, rounds = timing.load(), options.rounds or (1 if options.quick else 15)
    results = []
    for job in TINY if options.quick else JOBS:
        timing.say(f"timing {job.name}")
        results.append(measure(job, rounds))
    timing.write(options, lines, load, format=FORMAT, rounds=rounds, jobs=results)
    return 0


if __name__ == "__main__":
    devices.configure()  # before anything else of JAX, as in run.py
    sys.exit(main(sys.argv[1:]))
