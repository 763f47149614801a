"""Diversity within a family and across families, crossed: the experiment neither paper ran.

Paper 1 shortens plateaus by fewer functions of one family, paper 2 by more families. Here the
number of functions of each family and the number of families are two axes of one program.

    python experiments/run.py --config=configs/diversity.py [--scale medium|paper]
"""

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.data.curricula import only
from plateaus.fields import INFINITE

SIX = ("linear", "relu", "quadratic", "sparse_linear", "sparse_parity_2", "conjunction")


def get_config() -> ConfigDict:
    return page(
        steps=1_500,
        batch=24,
        seeds=5,
        eval_every=100,
        log_every=20,
        eval_points=180,
        task={
            "name": "in_context",
            "families": ",".join(SIX),
            "dimension": 3,
            "points": 8,
            "sparse": 2,
        },
        data={"mixing": "split"},
        model={
            "name": "transformer",
            "width": 32,
            "depth": 2,
            "heads": 4,
            "max_positions": 16,
            "initialisation": "lecun_normal",
        },
        optim={"name": "adam", "learning_rate": 3e-3},
    )


def paper(config: ConfigDict) -> None:
    """Paper 2's sizes."""
    config.update({"steps": 100_000, "batch": 64, "eval_every": 1_000, "log_every": 50})
    config.update({"eval_points": 384})
    config.task.update({"dimension": 10, "points": 120, "sparse": 3})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 240})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 1e-4


def medium(config: ConfigDict) -> None:
    """Prompts of five points a dimension, so that a mixture is worth learning; half a model."""
    config.update({"steps": 8_000, "batch": 64, "seeds": 3, "eval_every": 100, "log_every": 20})
    config.eval_points = 360
    config.task.update({"dimension": 5, "points": 24})
    config.model.update({"width": 128, "depth": 6, "heads": 4, "max_positions": 48})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 3e-4


def within_x_across(config: ConfigDict) -> None:
    """Do fewer functions within families and more families shorten plateaus together?

    16, 128 or infinitely many functions of each family; each of six families alone, and all six.
    Escapes are of the training loss: with few functions it may fall by memory alone, so look at
    test losses (of fresh functions), too.

    Source: papers 1 (section 4.1) and 2 (its table); the crossing is ours.
    Command: python experiments/run.py --config=configs/diversity.py
    Expected: 105 runs in 6 minutes on 2 cores.
    Reached (5 seeds): neither helps. Linear alone escapes (test) at 540, 620, 640 steps with inf,
      128, 16 functions, (training) at 448, 512, 328; among six, a batch of 24 shared, (training) at
      920, 1,032, 1,004.
    """
    config.variants = {name: only([name], SIX) for name in SIX} | {"all six": only(SIX, SIX)}
    config.sweep = {"data.items": (INFINITE, 128, 16), "variant": tuple(config.variants)}


def smoke(config: ConfigDict) -> None:
    """Shrink to 100 steps of 2 seeds."""
    config.update({"steps": 100, "seeds": 2, "eval_every": 50, "log_every": 10, "eval_points": 36})
    config.model.update({"width": 16, "depth": 1})
    config.batch = min(config.batch, 24)
    config.task.update({"dimension": 3, "points": 6, "sparse": 2})


PRESETS = (within_x_across,)
SCALES = {"small": None, "medium": medium, "paper": paper}
