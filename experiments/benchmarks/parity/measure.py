"""What the benchmark measures, in order; see `table` for how it reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from experiments.benchmarks import timing
from experiments.benchmarks.parity import ceiling, constant, ours, peers, problem
from experiments.benchmarks.parity.compilations import counted
from experiments.benchmarks.timing import Contender, Sample

Say = Callable[[str], None]
EVALUATION = {"none": ours.BARE, "preset": ()}
PRODUCTS = "a program a device"
FEWER = "the same, without the first layer's input gradient"
_EPOCHS = ("--config.data.order=epochs", "--sweep", "optim.learning_rate=0.1")
_CURRICULUM = (
    "--config.data.curriculum_start=20000",
    "--config.data.plateau_steps=4000",
    "--sweep",
    "data.curriculum_multiple=0,0.25,0.5,1,2",
)
_BIAS = ("--sweep", "optim.gradient_bias=0,0.1,0.2,0.5,1,2")
PROFILE = {  # what each adds is told by subtracting the one it is built on
    "uniform": (ours.UNIFORM, "constant batch"),
    "zipf": (ours.ZIPF, "constant batch"),
    "curriculum": (_CURRICULUM, "constant batch"),
    "epochs": (_EPOCHS, "constant batch"),
    "gradient bias": (_BIAS, "uniform"),
}


def everything(sizes, say: Say) -> dict[str, Any]:
    """Measure all there is to measure, with sizes `Sizes`; `say` is told of progress."""
    began = time.monotonic()
    counts = sorted(sizes.steps)
    seeds = ("--seeds", str(max(*counts, sizes.profile_slice[0])))
    config = ours.plan([*ours.UNIFORM, *seeds])[1].config
    shape = (config["task.dimension"], *[config["model.width"]] * config["model.depth"], 1)
    job = {name: config[name] for name in ("batch", "eval_every", "log_every", "eval_points")}
    job |= {"layers": shape, "flops_per_run_step": ceiling.flops(config["batch"], shape)}
    job["flops_without_first_input_gradient"] = ceiling.flops(config["batch"], shape, False)

    say("compiling")
    with counted() as cold:
        groups = {
            (sampling, evaluation): ours.ensemble(
                *PROFILE[sampling][0], *seeds, *EVALUATION[evaluation]
            )
            for sampling in sizes.sampling
            for evaluation in sizes.evaluation
        }
        table = {
            (*key, runs): ours.contender(f"{runs} runs, {key}", group, runs, sizes.steps[runs])
            for key, group in groups.items()
            for runs in counts
        }
    compiling = _compiling(sizes, seeds)

    say("timing our ensembles")
    samples = timing.in_turn(list(table.values()), sizes.rounds)
    ensembles = []
    for (sampling, evaluation, runs), one in table.items():
        measured = timing.microseconds(samples[one.name], one.run_steps)
        key = {"runs": runs, "sampling": sampling, "evaluation": evaluation}
        ensembles.append({**key, **measured, **_rates(job, measured)})
    memory = timing.peak_mib()

    most = max(n for n in counts if n <= 96)
    width = groups[sizes.sampling[0], sizes.evaluation[0]].width
    say("timing the batched matrix products")
    products = _ceilings(sizes, job, width, most)
    base = table[sizes.sampling[0], sizes.evaluation[0], most]
    ceilings = _ceiling(sizes, job, products, base)
    still = constant.ensemble(*ours.UNIFORM, *ours.BARE, *seeds)
    beside = {  # to be compared with peers, which do not draw their batches
        "ours": base,
        "ours, a constant batch": ours.contender("constant", still, most, sizes.steps[most]),
        "ours, zipf, evaluated": table[sizes.sampling[-1], sizes.evaluation[-1], most],
        "the matrix products": products[PRODUCTS],
    }
    return {
        "job": job | {"width": width, "devices": len(jax.devices())},
        "seeds": list(range(max(counts))),
        "rounds": sizes.rounds,
        "ensembles": ensembles,
        "peak_mib": memory,
        "compiling": {"all_programs_seconds": cold["seconds"], **compiling},
        "ceiling": ceilings,
        "peers": _peers(sizes, beside, say),
        "sampling": _sampling(sizes, still, seeds, say),
        "seconds": time.monotonic() - began,
    }


def _rates(job: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, float]:
    return {"gflops": job["flops_per_run_step"] / measured["wall_us"] / 1e3}


def _compiling(sizes, seeds) -> dict[str, Any]:
    """Count compilations: of the first sweep, of one with other values, of a fresh process's."""
    words = (*seeds, "--config.eval_points=1000")  # nothing of this is compiled yet
    first, second = sizes.other_values
    runs = min(64, 2 * len(jax.devices()) * 16, max(sizes.steps))
    steps = ours.plan((*words, "--sweep", first))[1].config["eval_every"]

    def sweep(values: str, group=None):
        other = ours.ensemble(*words, "--sweep", values)
        if group is not None:
            same = other.program.address == group.program.address
            other = other._replace(compiled=group.compiled if same else other.compiled)
        ours.contender("", other, runs, steps).work()
        return other

    with counted() as cold:
        group = sweep(first)
    with counted() as again:
        sweep(second, group)
    with counted() as fresh:
        sweep(second)
    return {"first_sweep": cold, "other_values": again, "other_values_new_jit": fresh}


def _ceilings(sizes, job, width, runs) -> dict[str, Contender]:
    """Return the batched matrix products of a step, in programs like ours and in another."""
    common = (job["batch"], job["layers"])
    both, first = jax.devices(), jax.devices()[:1]
    steps, wide = sizes.ceiling_steps, max(1, sizes.ceiling_steps * width // runs)
    return {
        PRODUCTS: ceiling.contender("ceiling", width, steps, *common, both),
        FEWER: ceiling.contender("fewer", width, steps, *common, both, False),
        "one program over all cores": ceiling.contender("wide", runs, wide, *common, first),
    }


def _ceiling(sizes, job, contenders: Mapping[str, Contender], base: Contender) -> dict[str, Any]:
    """Time the batched matrix products in turn with ours."""
    samples = timing.in_turn([base, *contenders.values()], sizes.rounds)
    rows = {"ours": timing.microseconds(samples[base.name], base.run_steps)}
    rows["ours"] |= _rates(job, rows["ours"])
    for name, one in contenders.items():
        rows[name] = timing.microseconds(samples[one.name], one.run_steps)
        kind = "flops_without_first_input_gradient" if name == FEWER else "flops_per_run_step"
        rows[name]["gflops"] = job[kind] / rows[name]["wall_us"] / 1e3
        rows[name]["ours_over_this"] = timing.ratios(samples, base, one)
    return rows


def _peers(sizes, beside: Mapping[str, Contender], say: Say) -> list[dict[str, Any]]:
    """Check the peers' losses against ours, then time each in turn with those `beside` it."""
    say("our losses, for the peers to reproduce")
    task = problem.problem(sizes.peer_runs, sizes.peer_steps)
    skipped: dict[str, str] = {}

    def skip(name: str, reason: str) -> None:
        skipped[name] = reason
        say(f"skipped: {name}: {reason}")

    say("starting the peers, and checking their losses")
    rows = []
    with peers.started(list(peers.KINDS), task, skip) as agreed:
        for name, kind in peers.KINDS.items():
            row: dict[str, Any] = {"name": name, "title": kind.title, "aim": kind.aim}
            if name in skipped:
                rows.append(row | {"skipped": skipped[name]})
                continue
            say(f"timing {name}")
            peer, off = agreed[name]
            one = _slice(sizes, peer, kind)
            samples = timing.in_turn([one, *dict.fromkeys(beside.values())], sizes.rounds)
            row |= {"largest_difference": off, **timing.microseconds(samples[name], one.run_steps)}
            row["over"] = {n: timing.ratios(samples, one, other) for n, other in beside.items()}
            rows.append(row)
    return rows


def _slice(sizes, peer: peers.Peer, kind: peers.Kind) -> Contender:
    runs = 1 if kind.alone else sizes.peer_runs
    steps = max(1, round(kind.steps * sizes.peer_share))

    def work() -> Sample:
        answer = peer.train(runs, steps)
        return Sample(answer["wall"], answer["cpu"])

    return Contender(peer.name, runs * steps, work)


def _sampling(sizes, still: ours.Ensemble, seeds, say: Say) -> dict[str, Any]:
    """Time each kind of sampling in turn, and a constant batch: what sampling costs."""
    say("profiling the sampling")
    most, steps = sizes.profile_slice
    groups = {"constant batch": still}
    for name in sizes.profile:
        groups[name] = ours.ensemble(*PROFILE[name][0], *ours.BARE, *seeds)
    contenders = {n: ours.contender(n, group, most, steps) for n, group in groups.items()}
    samples = timing.in_turn(list(contenders.values()), sizes.rounds)
    threads = len(jax.devices())
    rows: dict[str, Any] = {}
    for name, one in contenders.items():
        rows[name] = timing.microseconds(samples[name], one.run_steps)
        under = PROFILE[name][1] if name in PROFILE else name
        if under in rows and under != name:
            rows[name] |= {"over": under}
            rows[name]["adds_us"] = (rows[name]["cpu_us"] - rows[under]["cpu_us"]) / threads
    return rows
