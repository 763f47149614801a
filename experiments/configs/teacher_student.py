"""Teacher and student: do heads of different laws shorten the plateau of a shared feature layer?

The supervised toy of paper 2: a teacher U sigma(A x) with k heads, and a wider student that is
trained on all heads at once. The paper states neither sigma nor any size, rate or law: all are
ours.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "steps": 6_000,
            "batch": 16,
            "seeds": 32,
            "eval_every": 50,
            "log_every": 50,
            "eval_points": 256,
            "task": ConfigDict(
                {
                    "name": "teacher_student",
                    "dimension": 10,
                    "teacher_width": 4,
                    "heads": 8,
                    "activation": "hermite3",
                    "head_law": "gaussian",
                    "reduction": "sum",
                }
            ),
            "data": ConfigDict(),
            "model": ConfigDict({"name": "mlp", "width": 32, "depth": 1}),
            "optim": ConfigDict({"name": "sgd", "learning_rate": 0.02}),
        },
        convert_dict=False,  # a sweep stays a plain dict: dotted names, in their order
    )


def heads(config: ConfigDict) -> None:
    """Do heads of different laws shorten the plateau more than as many heads of one law?

    Teacher of cubic Hermite features, so that nothing is learned before its features are found.
    "8 heads" is trained on their sum: its gradient is larger. "8 heads at rate/8" is the control,
    trained on their mean at the rate of one head. Laws: gaussian alone, shifted alone (heads that
    are nearly parallel), or five in turn. With one head, different is gaussian.
    """
    config.variants = {
        "1 head": {"task.heads": 1},
        "8 heads": {},
        "8 heads at rate/8": {"optim.learning_rate": 0.02 / 8},
    }
    config.sweep = {
        "task.head_law": ("gaussian", "shifted", "different"),
        "variant": tuple(config.variants),
    }


def smoke(config: ConfigDict) -> None:
    """Shrink."""
    config.update({"steps": 2_000, "seeds": 2, "eval_points": 256})


PRESETS = (heads,)
SCALES = {"small": None, "paper": None}
