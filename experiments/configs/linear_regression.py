"""In-context linear regression: a transformer learns to fit w from a prompt, after a plateau.

The test law is always a fresh Gaussian w. `--scale small` (default) is a regime found by a search
(BUILD_NOTES.md): 2 layers of width 32, d = 5, 10 points. Its plateau is long because its learning
rate, 2e-3, is high for infinitely many tasks: at 8e-4, the best of three, 32 tasks are not sooner
by a fifth (preset `rates`, claim 1.01); what few tasks do above it is claim 1.04, not run yet.
`--scale paper` is the paper's: d = 20, 41 points, 12 layers of width 256, Adam 1e-4, batch 128
(section 2.1, appendix B.1), for a GPU or a TPU. `--scale medium` is half of that, d = 10, 20
points, 6 layers of width 128, batch 64, at Adam 3e-4: a GPU's in minutes, with seeds
(docs/scales.md; not run). One preset is a page of the lab book; run one with

    python experiments/run.py --config=configs/linear_regression.py:PRESET [--scale medium|paper]

Paper scale, estimated and not measured: 0.7 TFLOP a step, so 70 PFLOP a run of 100,000 steps: 20
minutes at 60 TFLOP/s; 27 runs in 9 hours. About 4 GiB a run at once, and twice that is asked for.
"""

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.fields import INFINITE

# The baseline's median escape step at the small scale, [4700, more than the horizon] at 95%, 5
# seeds (`--sweep data.items=inf`); at the paper's, read off its figures, in units of 100 steps; at
# the medium one a guess.
PLATEAU_STEPS = {"small": 8_700, "medium": 6_000, "paper": 45_000}
FEW = {"small": 32, "medium": 128, "paper": 512}  # tasks that may shorten the plateau


def get_config() -> ConfigDict:
    return page(
        steps=10_000,
        batch=16,
        seeds=5,
        eval_every=100,
        log_every=50,
        eval_points=128,
        pool_points=64,
        task={"name": "linear_regression", "dimension": 5, "points": 10, "noise": 0.1},
        data={"plateau_steps": PLATEAU_STEPS["small"]},
        model={
            "name": "transformer",
            "width": 32,
            "depth": 2,
            "heads": 4,
            "max_positions": 20,
            "initialisation": "lecun_normal",
            "initialisation_scale": 0.3,
        },
        optim={"name": "adam", "learning_rate": 2e-3},
    )


def paper(config: ConfigDict) -> None:
    """The paper's sizes; the number of steps covers its figures if their unit is 100 steps."""
    config.update({"steps": 100_000, "batch": 128, "seeds": 3, "eval_every": 500, "log_every": 100})
    config.update({"eval_points": 1024, "pool_points": 512})
    config.task.update({"dimension": 20, "points": 41, "noise": 1.0})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 202})
    config.model.update({"initialisation": "icl", "initialisation_scale": 1.0})
    config.optim.learning_rate = 1e-4
    config.data.plateau_steps = PLATEAU_STEPS["paper"]


def medium(config: ConfigDict) -> None:
    """Half of the paper's sizes; the noise keeps its ratio of signal to noise."""
    config.update({"steps": 20_000, "batch": 64, "eval_every": 200, "log_every": 50})
    config.update({"eval_points": 512, "pool_points": 256})
    config.task.update({"dimension": 10, "points": 20, "noise": 0.7})
    config.model.update({"width": 128, "depth": 6, "heads": 4, "max_positions": 40})
    config.model.update({"initialisation": "icl", "initialisation_scale": 1.0})
    config.optim.learning_rate = 3e-4
    config.data.plateau_steps = PLATEAU_STEPS["medium"]


def tasks(config: ConfigDict, scale: str) -> None:
    """Is the plateau shorter with an intermediate number of tasks, and are they memorised then?

    w is uniform over k tasks, fixed for a run; inf draws a new one for every prompt. One program.

    Source: paper 1, section 4.1 and figures 1 and 4.
    Command: python experiments/run.py --config=configs/linear_regression.py:tasks
    Expected: 25 runs in 4 to 5 minutes on 2 cores.
    Reached (5 seeds, at 2e-3, above the best rate): 0.26 [0.16, 0.46] of the baseline at 32 tasks,
      0.40 [0.25, 0.50] at 256; 16 end at the highest loss of the four. At rates up to 1.2e-3
      nothing is told apart (log-rank).
    Claim 1.15: contradicted, 1.98 [1.73, 2.27], 16 pairs.
    """
    few = {
        "small": (16, 32, 64, 256),
        "medium": (32, 64, 128, 256, 1024),
        "paper": tuple(2**i for i in range(5, 13)),
    }
    config.sweep = {"data.items": (*few[scale], INFINITE)}


def zipf(config: ConfigDict, scale: str) -> None:
    """Is the plateau shorter where many tasks are drawn by a Zipf law of exponent near 1?

    Source: paper 1, section 4.2 and figure 5.
    Command: python experiments/run.py --config=configs/linear_regression.py:zipf
    Expected: 25 runs in 5 to 7 minutes on 2 cores.
    Reached (5 seeds, at 2e-3): 0.42 [0.24, 0.64] of the baseline at 1, 0.25 [0.18, 0.75] at 1.5; 1
      ends at the lowest loss; 0.5 and 2 are not told from the baseline. At the best rate: `rates`.
    """
    config.task.dmmse_tasks = {"small": 4096, "medium": 2**13, "paper": 2**15}[scale]
    config.data["items"] = config.task.dmmse_tasks
    config.sweep = {"data.zipf_exponent": (0.0, 0.5, 1.0, 1.5, 2.0)}


def covariance(config: ConfigDict) -> None:
    """Are tasks that are correlated along one direction learned from sooner?

    w ~ N(0, (1 - beta) I + beta v v^T), v uniform on the sphere, one to a run.

    Source: paper 1, section 4.3 and figure 6.
    Command: python experiments/run.py --config=configs/linear_regression.py:covariance
    Expected: 25 runs in 5 minutes on 2 cores.
    Reached (5 seeds, at 2e-3): ratios from 0.85 [0.33, 1.31] (at 0.75) to 1.11, all p = 1. At the
      best rate: `rates`.
    """
    config.sweep = {"task.covariance_bias": (0.0, 0.25, 0.5, 0.75, 0.9)}


def curriculum(config: ConfigDict) -> None:
    """Is starting with few tasks and doubling them fast early and right at the end?

    32 tasks for a multiple of the baseline's plateau, then doubled every 2/3 of that, all kept; 0
    is the baseline, all tasks from the start. (The paper: 32 tasks for 30 "steps", doubled every
    20, where its baseline leaves the plateau at 450: a multiple of 1/15.)

    Source: paper 1, appendix A and figure 7.
    Command: python experiments/run.py --config=configs/linear_regression.py:curriculum
    Expected: 25 runs in 5 to 8 minutes on 2 cores.
    Reached (5 seeds, at 2e-3, above the best rate): 0.26 to 0.31 of the baseline at every multiple,
      as 32 tasks have, and a lower final loss (2.54 to 2.65; not tested) than any fixed
      number of tasks. By step 10,000 the multiples have 10^9, 262,144, 2,048 and 128 tasks in play.
    """
    config.data.curriculum_start = 32
    config.data.curriculum_doubling = 2 / 3
    config.sweep = {"data.curriculum_multiple": (0.0, 1 / 15, 1 / 8, 1 / 4, 1 / 2)}


def every_step(config: ConfigDict, scale: str) -> None:
    """Is the curriculum at every number of steps at least as good as any fixed number of tasks?

    As the preset `curriculum`, at a rate at which all tasks leave their plateau, from a quarter of
    it on, or, in "literal curriculum", from the paper's 30 on, as optimiser steps; beside fixed
    numbers. figures/loss_ratios.png has the loss of each beside the curriculum's, step by step.

    Source: paper 1, appendix A and figure 7.
    Command: python experiments/run.py --config=configs/linear_regression.py:every_step
    Expected: 56 runs in 6 minutes on 2 cores, by the pace of `tasks`.
    Reached (8 seeds): not run yet.
    """
    config.seeds = 8
    if scale == "small":
        config.steps = 6_000
        config.optim.learning_rate = 6e-4
        config.data.plateau_steps = 2_000
    few = FEW[scale]
    grows = {"data.curriculum_start": few, "data.curriculum_doubling": 2 / 3}
    config.variants = {
        "curriculum": {**grows, "data.curriculum_multiple": 1 / 4},
        "literal curriculum": {**grows, "data.curriculum_step": 30},
        "all tasks": {},
        **{f"{k} tasks": {"data.items": k} for k in (few // 2, few, 2 * few, 8 * few)},
    }


def batch_scaling(config: ConfigDict, scale: str) -> None:
    """With the batch scaled with the number of tasks, k/B fixed, does a smaller k see less data?

    One program to each batch size; figures/examples.png is the loss against the prompts seen, by
    which the two are compared, each at its own best learning rate of three.

    Source: paper 1, appendix C.2 and figure 9.
    Command: python experiments/run.py --config=configs/linear_regression.py:batch_scaling
    Expected: 96 runs in 20 minutes on 2 cores, by the pace of `tasks` and the batches.
    Reached (8 seeds): not run yet. At a rate of 2e-3 (5 seeds) no: the median escape is after
      34,000 prompts at 32 tasks, 30,000 at 64, 26,000 at 128, 51,000 at 256.
    """
    most, share = {"small": (256, 1 / 4), "medium": (1024, 1 / 8), "paper": (4096, 1 / 16)}[scale]
    config.batch_per_item = share
    middle = {"small": 8e-4, "medium": 3e-4, "paper": 1e-4}[scale]
    if scale == "small":
        config.update({"seeds": 8, "steps": 6_000, "eval_every": 50})
    config.sweep = {
        "optim.learning_rate": (middle / 2, middle, 2 * middle),
        "data.items": (most, most // 2, most // 4, most // 8),
    }


def frozen_readout(config: ConfigDict) -> None:
    """Does a read-out frozen at its first weights shorten the plateau?

    Source: paper 1, appendix C.5 and figure 12.
    Command: python experiments/run.py --config=configs/linear_regression.py:frozen_readout
    Expected: 15 runs in 3 minutes on 2 cores.
    Reached (5 seeds): 0.90 [0.38, 1.12] at 0, 2 of 5 escape against 1 of 5: not told apart.
    """
    config.sweep = {"optim.rate_readout": (1.0, 0.3, 0.0)}


def layer_rates(config: ConfigDict) -> None:
    """Other learning rates at the two ends: does a slower read-out or a faster read-in help?

    Source: paper 1, the text around figure 12 ("different layers with different learning rates").
    Command: python experiments/run.py --config=configs/linear_regression.py:layer_rates
    Expected: 30 runs in 5 minutes on 2 cores.
    Reached (5 seeds): no: every other pair of rates looks slower, none told apart (all p >= .066).
    """
    config.sweep = {"optim.rate_read_in": (1.0, 10.0), "optim.rate_readout": (1.0, 0.1, 10.0)}


def noise(config: ConfigDict, scale: str) -> None:
    """Do few tasks and Zipf's law shorten the plateau where targets are as noisy as in the paper?

    Noise of a standard deviation of 1, where other presets have .1 at the small scale; with 5
    dimensions for the paper's 20, that is more of a target than there. Each setting at three
    learning rates; the preset `rates` has the same settings at .1.

    Source: paper 1, sections 2.1, 4.1 and 4.2.
    Command: python experiments/run.py --config=configs/linear_regression.py:noise
    Expected: 96 runs in 7 minutes on 2 cores, by the pace of `tasks`.
    Reached (8 seeds): not run yet.
    """
    many, few = {"small": 4096, "medium": 2**13, "paper": 2**15}[scale], FEW[scale]
    config.seeds, config.task.dmmse_tasks = 8, many
    if scale == "small":
        config.update({"steps": 4_000, "eval_every": 50})
        config.task.noise = 1.0
    config.variants = {
        "all tasks": {},
        f"{few} tasks": {"data.items": few},
        f"{many} tasks": {"data.items": many},
        "Zipf 1": {"data.items": many, "data.zipf_exponent": 1.0},
    }
    middle = {"small": 8e-4, "medium": 3e-4, "paper": 1e-4}[scale]
    config.sweep = {
        "optim.learning_rate": (middle / 2, middle, 2 * middle),
        "variant": tuple(config.variants),
    }


def gradient_bias(config: ConfigDict) -> None:
    """Does leaning on a gradient stored every 100 steps shorten the plateau?

    Updates are Adam's of g_t + gamma b, b the batch gradient stored last.

    Source: paper 1, section 3 and figure 2.
    Command: python experiments/run.py --config=configs/linear_regression.py:gradient_bias
    Expected: 25 runs in 5 minutes on 2 cores.
    Reached (5 seeds): 1.06 [0.70, 2.63] at 0.03: not told apart; from 0.1 on no run escapes.
    """
    config.optim.gradient_bias_every = 100
    config.sweep = {"optim.gradient_bias": (0.0, 0.03, 0.1, 0.3, 1.0)}


def rates(config: ConfigDict, scale: str) -> None:
    """What shortens the plateau where each setting has its own best learning rate?

    Each intervention at three rates, the middle one near the best of all tasks: the pilot in which
    the rates of the claims were chosen, on seeds 0 to 7. Zipf's law is over 4,096 tasks.

    Source: paper 1, sections 3 and 4 and appendix C.4, carried over.
    Command: python experiments/run.py --config=configs/linear_regression.py:rates
    Expected: 192 runs in 17 minutes on 2 cores.
    Reached (8 seeds): geometric means of the steps to escape, at 8e-4, the best rate of all five:
      1,658 with all tasks, 1,530 with 4,096, 1,592 with 32, 1,607 by a Zipf law, 1,911 correlated;
      at 1.6e-3 two in eight escape by step 3,000 with all tasks, seven with 32. The last three are
      not run yet.
    Claim 1.01: not supported, 0.95 [0.80, 1.13], 32 pairs.
    Claim 1.03: supported, 1.01 [0.85, 1.19], 32 pairs.
    Claim 1.04: not yet rerun.
    Claim 1.21a: not supported, 0.98 [0.82, 1.19], 24 pairs.
    Claim 1.23: not supported, 1.13 [0.88, 1.46], 16 pairs.
    """
    many, few = {"small": 4096, "medium": 2**13, "paper": 2**15}[scale], FEW[scale]
    config.seeds, config.task.dmmse_tasks = 8, many
    if scale == "small":
        config.update({"steps": 3_000, "eval_every": 50})
        config.data.plateau_steps = 2_000
    config.data["items"] = INFINITE
    config.optim.gradient_bias_every = 100
    config.variants = {
        "all tasks": {},
        f"{few} tasks": {"data.items": few},
        f"{many} tasks": {"data.items": many},
        "Zipf 1": {"data.items": many, "data.zipf_exponent": 1.0},
        "covariance 0.75": {"task.covariance_bias": 0.75},
        "bias 0.03": {"optim.gradient_bias": 0.03},
        "curriculum": {
            "data.curriculum_start": few,
            "data.curriculum_multiple": 1 / 4,
            "data.curriculum_doubling": 2 / 3,
        },
        "frozen read-out": {"optim.rate_readout": 0.0},
    }
    middle = {"small": 8e-4, "medium": 3e-4, "paper": 1e-4}[scale]
    config.sweep = {
        "optim.learning_rate": (middle / 2, middle, 2 * middle),
        "variant": tuple(config.variants),
    }


def pcgrad(config: ConfigDict, scale: str) -> None:
    """Does PCGrad over 32 prompts leave the plateau in fewer steps than the mean over 128?

    Each at three learning rates (PCGrad at 3e-4 by --sweep, too). figures/examples.png is the
    loss against the prompts seen, example_gradients.png what the prompts' gradients tell.

    Source: paper 1, section 3 and figure 3.
    Command: python experiments/run.py --config=configs/linear_regression.py:pcgrad
    Expected: 72 runs in 17 minutes on 2 cores, by the pace at 16 and 64 prompts.
    Reached (8 seeds): the mean of 128 takes 362 steps (geometric mean) at 1.2e-3, its best rate of
      three, PCGrad of 32 takes 731 at 6e-4, its best of four; the mean of 32 is not run. At 16
      prompts and 6e-4 (5 seeds) PCGrad has 0.90 [0.61, 1.14] of the mean's steps, on conflicts or
      always; the mean of 64 has 0.41 [0.31, 0.50]. In prompts seen the three are level.
    Claim 1.15: contradicted, 1.98 [1.73, 2.27], 16 pairs.
    """
    config.seeds = 8
    if scale == "small":
        config.update({"steps": 3_000, "eval_every": 25, "log_every": 25})
    config.batch = 32
    config.variants = {
        "mean of 32": {},
        "mean of 128": {"batch": 128},
        "pcgrad of 32": {"optim.aggregator": "pcgrad"},
    }
    middle = {"small": 1.2e-3, "medium": 3e-4, "paper": 1e-4}[scale]
    config.sweep = {
        "optim.learning_rate": (middle / 2, middle, 2 * middle),
        "variant": tuple(config.variants),
    }


def gradient_cosine(config: ConfigDict) -> None:
    """Do the gradients of two random batches agree less with more tasks?

    Four batches are drawn at every evaluation; gradient_cosine.png is the cosine of their
    gradients, gradient_layers.png what each layer adds to it and its share of the noise.

    Source: paper 1, appendix C.1 and figure 8.
    Command: python experiments/run.py --config=configs/linear_regression.py:gradient_cosine
    Expected: 20 runs in 5 to 7 minutes on 2 cores.
    Reached (5 seeds, mean over training): cosines of 0.105 (+- .016) at 32 tasks, 0.089 (.016) at
      256, 0.034 (.027) at 4096, 0.044 (.028) at inf; paired with inf p = .013 and .007 for the
      first two. While on the plateau they are not told apart. The read-out's share of the noise is
      .14 to .50 over training, .82 to .93 in the first 500 steps.
    """
    config.gradient_batches = 4
    few = (32, 256, 4096)
    config.sweep = {"data.items": (*few, INFINITE)}


def optimisers(config: ConfigDict, scale: str) -> None:
    """Gradient bias, momentum, Nesterov's, SAM, warm-up: does any beat plain Adam?

    Every method has four trials: two values of its own at two learning rates, 6e-4 and half of it,
    where the plateau is short; plain Adam has four rates. All are Adam (.9) but for what is named.
    figures/plateau.png has them all.

    Source: the reviewers of paper 1 (digest of the paper); its section 3.
    Command: python experiments/run.py --config=configs/linear_regression.py:optimisers
    Expected: 120 runs in 7 minutes on 2 cores.
    Reached (5 seeds; the best of four trials each, as a ratio to plain Adam's best): Nesterov 0.98
      [0.95, 1.00], warm-up 1.02, momentum 1.03, bias 1.04 [1.00, 1.08], SAM 1.33 [1.13, 2.31]; none
      is significantly faster. A bias of 0.1 (1.43) does not do what more momentum (1.03) does.
    """
    unit = {"small": 6e-4, "medium": 3e-4, "paper": 1e-4}[scale]
    rates = {"": unit, " at half rate": unit / 2}
    methods = {
        "bias": ("optim.gradient_bias", (0.01, 0.1), {}),
        "momentum": ("optim.beta1", (0.5, 0.95), {}),
        "Nesterov": ("optim.beta1", (0.9, 0.95), {"optim.name": "nadam"}),
        "SAM": ("optim.sam_radius", (0.01, 0.05), {}),
        "warm-up": ("optim.warmup_steps", (500, 2000), {}),
    }
    plain = {
        "plain": 1,
        "plain at half rate": 1 / 2,
        "plain at rate / 4": 1 / 4,
        "plain at rate x2": 2,
    }
    config.variants = {name: {"optim.learning_rate": unit * x} for name, x in plain.items()}
    config.variants |= {
        f"{method} {value}{name}": {field: value, "optim.learning_rate": rate, **more}
        for method, (field, values, more) in methods.items()
        for value in values
        for name, rate in rates.items()
    }
    if scale == "small":
        config.steps = 3_000
    if scale == "medium":
        config.update({"steps": 10_000, "seeds": 3})


def data_x_optimiser(config: ConfigDict, scale: str) -> None:
    """Few tasks and a changed optimiser: does the optimiser add to what few tasks do?

    If the two kinds added up, the ratio of both would be the product of the ratios of each.

    Source: the reviewers of paper 1 (digest of the paper).
    Command: python experiments/run.py --config=configs/linear_regression.py:data_x_optimiser
    Expected: 40 runs in 8 to 12 minutes on 2 cores.
    Reached (5 seeds, at 2e-3): 32 tasks have 0.26 [0.16, 0.46] of the baseline; with bias 0.31
      [0.22, 0.51], with PCGrad 0.28 [0.18, 0.80], with a slower read-out 0.23 [0.14, 0.35]. With
      all tasks none of the three helps (1.09, 1.16, 1.12; p = .77).
    """
    config.variants = {
        "plain": {},
        "bias 0.03": {"optim.gradient_bias": 0.03},
        "pcgrad": {"optim.aggregator": "pcgrad"},
        "readout x0.3": {"optim.rate_readout": 0.3},
    }
    config.sweep = {"data.items": (INFINITE, FEW[scale]), "variant": tuple(config.variants)}


def smoke(config: ConfigDict) -> None:
    """Shrink to two dimensions, 800 steps and 2 seeds."""
    config.update({"steps": 800, "seeds": 2, "batch": 16, "eval_points": 64, "pool_points": 16})
    config.update({"eval_every": 100, "log_every": 50})
    config.task.update({"dimension": 2, "points": 4})
    config.model.update({"width": 16, "depth": 2, "heads": 2, "max_positions": 8})
    config.data.plateau_steps = 200


PRESETS = (
    tasks,
    zipf,
    covariance,
    curriculum,
    every_step,
    batch_scaling,
    frozen_readout,
    layer_rates,
    noise,
    gradient_bias,
    rates,
    pcgrad,
    gradient_cosine,
    optimisers,
    data_x_optimiser,
)
SCALES = {"small": None, "medium": medium, "paper": paper}
