"""In-context linear regression as Garg et al. do it: beside plain learners, out of distribution.

Noiseless prompts, all with a new task. `--scale small` (default): d = 3, 8 points, 2 layers of
width 32, Adam 3e-3, where the plateau ends after some 1,500 of 10,000 steps. `--scale paper` is
Garg et al.'s: d = 20, 41 points, 12 layers of width 256, Adam 1e-4, batch 64, for a GPU or a TPU,
without their curriculum over dimensions and points. `--scale medium`: d = 10, 20 points, the middle
one of their three models (6 layers of width 128), Adam 3e-4 (docs/scales.md; not run).

    python experiments/run.py --config=configs/garg.py:PRESET [--scale medium|paper]

Paper scale, estimated and not measured: half of a step of configs/linear_regression.py, five times
as many: 50 minutes a run at 60 TFLOP/s.
"""

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.fields import INFINITE


def get_config() -> ConfigDict:
    return page(
        steps=10_000,
        batch=16,
        seeds=5,
        eval_every=500,
        log_every=50,
        eval_points=512,
        task={
            "name": "linear_regression",
            "dimension": 3,
            "points": 8,
            "noise": 0.0,
            "dmmse_tasks": 64,
            "baselines": True,
        },
        model={
            "name": "transformer",
            "width": 32,
            "depth": 2,
            "heads": 4,
            "max_positions": 16,
            "initialisation": "lecun_normal",
        },
        data={"items": INFINITE},
        optim={"name": "adam", "learning_rate": 3e-3},
    )


def paper(config: ConfigDict) -> None:
    """The sizes of Garg et al.; the prompts have full length from the first step."""
    config.update({"steps": 500_000, "batch": 64, "eval_every": 5_000, "log_every": 500})
    config.eval_points = 1280
    config.task.update({"dimension": 20, "points": 41})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 202})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 1e-4


def medium(config: ConfigDict) -> None:
    """Half of Garg et al.'s dimensions and points, and the middle one of their models."""
    config.update({"steps": 50_000, "batch": 64, "eval_every": 500, "log_every": 50})
    config.task.update({"dimension": 10, "points": 20})
    config.model.update({"width": 128, "depth": 6, "heads": 4, "max_positions": 40})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 3e-4


def robustness(config: ConfigDict) -> None:
    """Does a model that has learned in context hold on prompts of other laws, like least squares?

    Fifteen laws (plateaus.tasks.shared.out_of_distribution): points in half a subspace, skewed,
    scaled; y scaled, noisy; queries in another orthant, orthogonal to the points, equal to one of
    them. With all tasks in training, and with few. figures/robustness.png has a panel for each law.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.2 and figure 4.
    Command: python experiments/run.py --config=configs/garg.py:robustness
    Expected: 10 runs in 5 minutes on one core, 1 of them to compile the laws.
    Reached (5 seeds): squared error over that of zero at the last point, all tasks: 0.15 +- .03 on
      the training law; half subspace 0.05, skewed 0.12, y halved 0.15, doubled 0.22, tripled 0.34;
      x doubled 0.22, tripled 0.38; queries: opposite orthant 0.17, another orthant 0.28, orthogonal
      1.04, repeated 0.09 (least squares: 0 but there 1.0). Noise: 0.64 +- .09, least squares 0.51.
      64 tasks: none told apart after correction (y tripled 0.44, p .03 of 16).
    """
    config.task.out_of_distribution = True
    config.task.dmmse_tasks = 64
    config.sweep = {"data.items": (INFINITE, 64)}


def baselines(config: ConfigDict) -> None:
    """By prefix, is the model near least squares, and far from neighbours and averaging?

    figures/baselines.png has the loss by prefix of all.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.1 and figure 2.
    Command: python experiments/run.py --config=configs/garg.py:baselines
    Expected: 5 runs in 2 minutes on one core.
    Reached (5 seeds): with 1, 2, 3, 7 points before it 2.07 +- .20, 1.46 +- .23, 1.09 +- .09, 0.43
      +- .10 (least squares 1.95, 1.00, 0, 0; neighbours 6.0, 4.4, 4.1, 1.9; averaging 11.6, 7.0,
      4.7, 1.8): between them, nearer to least squares, but not on it at this size.
    """
    config.task.baselines = True


def smoke(config: ConfigDict) -> None:
    """Shrink to two dimensions, 800 steps and 2 seeds."""
    config.update({"steps": 800, "seeds": 2, "eval_every": 100, "eval_points": 64})
    config.log_every = 50
    config.task.update({"dimension": 2, "points": 4})
    config.model.update({"width": 16, "depth": 2, "heads": 2, "max_positions": 8})


PRESETS = (robustness, baselines)
SCALES = {"small": None, "medium": medium, "paper": paper}
