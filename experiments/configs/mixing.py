"""Adaptive data mixing: R&B and what it is compared with, on families, skills, text and images.

A mixer sets the shares of the groups once a round (`data.mixer`, `data.round_steps`). Run a preset
with

    python experiments/run.py --config=configs/mixing.py:PRESET
"""

from ml_collections import ConfigDict

FAMILIES = ("linear", "relu", "quadratic", "sparse_linear")


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "steps": 2_000,
            "batch": 24,
            "seeds": 5,
            "eval_every": 100,
            "log_every": 20,
            "eval_points": 256,
            "task": ConfigDict(
                {
                    "name": "in_context",
                    "families": ",".join(FAMILIES),
                    "dimension": 3,
                    "points": 8,
                    "sparse": 2,
                }
            ),
            "data": ConfigDict({"mixer": "r_and_b", "round_steps": 100}),
            "model": ConfigDict(
                {
                    "name": "transformer",
                    "width": 32,
                    "depth": 2,
                    "heads": 4,
                    "max_positions": 16,
                    "initialisation": "lecun_normal",
                }
            ),
            "optim": ConfigDict({"name": "adam", "learning_rate": 3e-3}),
        },
        convert_dict=False,  # a sweep stays a plain dict: dotted names, in their order
    )


def paper(config: ConfigDict) -> None:
    """Paper 2's sizes of the families; paper 4's rounds: 10 of 200 steps."""
    config.update({"steps": 2_000, "batch": 64, "eval_every": 200, "log_every": 50})
    config.data.round_steps = 200
    config.task.update({"dimension": 10, "points": 120, "sparse": 3})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 240})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 1e-4


def _at_paper_scale(config: ConfigDict) -> bool:
    return config.model.width == 256


def lambda_(config: ConfigDict) -> None:
    """How sharp should R&B's softmax be?

    lambda from 0, uniform whatever the gradients, to 30, nearly the one group of the largest gain;
    all in one program.

    Source: paper 4, Balance (lambda is stated once: 3).
    Command: python experiments/run.py --config=configs/mixing.py:lambda
    Expected: 25 runs in 3 minutes on 2 cores.
    Reached (0 seeds): not run yet.
    """
    config.sweep = {"data.r_and_b_lambda": (0.0, 1.0, 3.0, 10.0, 30.0)}


lambda_.__name__ = "lambda"  # the preset's name; a Python function cannot be defined as that


def smoke(config: ConfigDict) -> None:
    """Shrink to 100 steps of 2 seeds."""
    config.update({"steps": 100, "seeds": 2, "eval_every": 50, "log_every": 10, "eval_points": 32})
    config.data.round_steps = 10
    config.model.update({"width": 16, "depth": 1})
    config.task.update({"dimension": 3, "points": 6, "sparse": 2})


PRESETS = (lambda_,)
SCALES = {"small": None, "paper": paper}
