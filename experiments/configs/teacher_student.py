"""Teacher and student: do heads of different laws shorten the plateau of a shared feature layer?

The supervised toy of paper 2: a teacher U sigma(A x) with k heads, and a wider student that is
trained on all heads at once. The paper states neither sigma nor any size, rate or law: all are
ours.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "steps": 20_000,
            "batch": 64,
            "seeds": 32,
            "eval_every": 100,
            "log_every": 100,
            "eval_points": 512,
            "task": ConfigDict(
                {
                    "name": "teacher_student",
                    "dimension": 16,
                    "teacher_width": 4,
                    "heads": 4,
                    "activation": "hermite3",
                    "head_law": "gaussian",
                    "reduction": "sum",
                }
            ),
            "data": ConfigDict(),
            "model": ConfigDict({"name": "mlp", "width": 64, "depth": 1}),
            "optim": ConfigDict({"name": "sgd", "learning_rate": 0.02}),
        },
        convert_dict=False,  # a sweep stays a plain dict: dotted names, in their order
    )


def heads(config: ConfigDict) -> None:
    """x."""
    config.sweep = {"task.head_law": ("gaussian", "different"), "task.heads": (1, 8)}


def smoke(config: ConfigDict) -> None:
    """Shrink."""
    config.update({"steps": 2_000, "seeds": 2, "eval_points": 256})


PRESETS = (heads,)
SCALES = {"small": None, "paper": None}
