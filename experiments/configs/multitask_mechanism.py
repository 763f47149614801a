"""Why tasks help each other: no-context plateaus, transfer, retrieval, architectures. (Paper 2.)

As multitask.py, which has the question, the units and the scales. Run a preset with

    python experiments/run.py --config=configs/multitask_mechanism.py:PRESET [--scale medium|paper]
"""

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.data.curricula import only


def get_config() -> ConfigDict:
    return page(
        steps=4_000,
        batch=36,
        seeds=8,
        eval_every=100,
        log_every=20,
        eval_points=180,
        task={
            "name": "in_context",
            "families": "linear",
            "dimension": 5,
            "points": 24,
            "sparse": 2,
        },
        data={"mixing": "split", "batch_split": "total"},
        model={
            "name": "transformer",
            "width": 32,
            "depth": 2,
            "heads": 4,
            "max_positions": 49,
            "initialisation": "lecun_normal",
        },
        optim={"name": "adam", "learning_rate": 3e-3},
    )


def paper(config: ConfigDict) -> None:
    """The paper's sizes; a tenth of its million steps, enough for all but the parities alone."""
    config.update({"steps": 100_000, "batch": 64, "seeds": 3, "eval_every": 1_000, "log_every": 50})
    config.update({"eval_points": 576})
    config.task.update({"dimension": 10, "points": 120, "sparse": 3})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 241})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 1e-4


def medium(config: ConfigDict) -> None:
    """The small scale's prompts, and half of the paper's model."""
    config.update({"steps": 8_000, "batch": 64, "seeds": 3, "eval_points": 360})
    config.model.update({"width": 128, "depth": 6, "initialisation": "icl"})
    config.optim.learning_rate = 3e-4


def _families(config: ConfigDict, families, sets) -> None:
    """Train on each set of the families: a row of one program."""
    config.task.families = ",".join(families)
    config.variants = {" + ".join(chosen): only(chosen, families) for chosen in sets}


def no_context(config: ConfigDict, scale: str) -> None:
    """On the plateau a model says what is best without context; does teaching it that help?

    Figure task_mechanism: distance of the outputs to each task's no-context optimum. Controls: a
    task beside a teacher whose targets are a no-context optimum, its own or another's; 8 prompts of
    each to a step.

    Source: paper 2, mechanism, and its optimal no-context teachers.
    Command: python experiments/run.py --config=configs/multitask_mechanism.py:no_context
    Expected: 64 runs in 70 minutes on one core.
    Reached (0 seeds): not run yet. At d = 4, n = 10, 36 prompts shared (5 seeds): distances of
      0.002 to 0.02 on the plateau; beside a teacher relu needs 2.35 [1.94, 3.04] times its steps
      alone, linear 2.71 and 2.53; beside relu itself linear needs 1.26.
    """
    families = (
        "linear",
        "relu",
        "sparse_parity_2",
        "no_context_relu",
        "no_context_sparse_parity_2",
    )
    linear, relu, parity, relu_teacher, parity_teacher = families
    sets = [(linear,), (relu,), (parity,), (relu, relu_teacher), (linear, relu_teacher)]
    sets += [(parity, parity_teacher), (linear, parity_teacher), (linear, relu)]
    _families(config, families, sets)
    config.data.batch_split = "per_task"
    if scale == "small":
        config.update({"batch": 8, "steps": 6_000})
    if scale == "medium":
        config.batch = 16


def _in_turn(config: ConfigDict, families, turns) -> None:
    """Train on the first of each two until it escapes, then on the second."""
    config.task.families = ",".join(families)
    config.data.switch = "escape"
    config.variants = {
        first if first == second else f"{first} then {second}": {
            **only([first], families),
            f"data.then_{second}": 1.0,
        }
        for first, second in turns
    }


def _slow(config: ConfigDict, scale: str) -> None:
    """Plateaus of which a third can still be measured: few prompts, and a third of the rate."""
    if scale == "small":
        config.update({"batch": 8, "steps": 8_000})
        config.optim.learning_rate = 1e-3


def transfer(config: ConfigDict, scale: str) -> None:
    """Does having just escaped another task's plateau shorten a task's own?

    Train on A until the mean loss of 100 steps is below .8, go on with B (`data.switch = escape`;
    Adam's moments are kept); the ratio of B's steps to those from scratch, six pairs: figure
    transfer. Sparse parity 2, as A, does not escape here: claim 2.17d has 3 dimensions.

    Source: paper 2, mechanism and ablations, 2.
    Command: python experiments/run.py --config=configs/multitask_mechanism.py:transfer
    Expected: 80 runs in 100 minutes on one core.
    Reached (0 seeds): not run yet. At d = 3, n = 8, 24 prompts, 3e-3 (5 seeds): ratios of 0.20 to
      0.88 in 16 of 20 pairs (14 intervals below 1); after the parity all others take 1.67 to 2.44
      times as long.
    """
    _slow(config, scale)
    families = ("linear", "relu", "conjunction", "sparse_parity_2")
    linear, relu, conjunction, parity = families
    turns = [(linear, relu), (relu, linear), (conjunction, linear), (parity, linear)]
    turns += [(conjunction, parity), (linear, parity)]
    _in_turn(config, families, [*((f, f) for f in families), *turns])


def retrieval_control(config: ConfigDict, scale: str) -> None:
    """Does having learned to retrieve a repeated key shorten a plateau?

    As `transfer`, from key-value retrieval, with another in-context task as the positive control. 6
    dimensions and 4 blocks: in 2 blocks looking up may be most of what a task needs.

    Source: paper 2, mechanism and ablations, 3.
    Command: python experiments/run.py --config=configs/multitask_mechanism.py:retrieval_control
    Expected: 64 runs in 150 minutes on one core.
    Reached (0 seeds): not run yet. At d = 3, n = 8, 2 blocks (5 seeds) it does shorten them: linear
      after it 0.35 [0.21, 0.44] (after sparse_linear 0.22), the parity 0.30 [0.21, 0.36] (after
      conjunction 0.81 [0.44, 1.42]).
    """
    _slow(config, scale)
    families = ("linear", "sparse_linear", "sparse_parity_2", "conjunction")
    gaussian, boolean = "retrieval_gaussian", "retrieval_boolean"
    linear, sparse, parity, conjunction = families
    turns = [(linear, linear), (parity, parity), (gaussian, gaussian), (boolean, boolean)]
    turns += [(gaussian, linear), (sparse, linear), (boolean, parity), (conjunction, parity)]
    _in_turn(config, (*families, gaussian, boolean), turns)
    if scale != "paper":
        config.task.dimension = 6
    if scale == "small":
        config.model.depth = 4


def _parity(config: ConfigDict) -> None:
    """Sparse parity 2 alone, and beside conjunction."""
    parity, conjunction = "sparse_parity_2", "conjunction"
    _families(config, (parity, conjunction), [(parity,), (parity, conjunction)])


def mamba(config: ConfigDict, scale: str) -> None:
    """With Mamba, too, does sparse parity 2 leave its plateau sooner beside conjunction than alone?

    Selective state spaces of size 4; the transformer's are in multitask.py:hard.

    Source: paper 2, mechanism and ablations, 5; its sizes are not known.
    Command: python experiments/run.py --config=configs/multitask_mechanism.py:mamba
    Expected: 16 runs in 30 minutes on one core (an estimate).
    Reached (0 seeds): not run yet. At d = 3, n = 8 (5 seeds): 176, 304, 188 steps for linear, relu
      and sparse_linear alone; among six, a batch of 24 shared, 1.75 [1.40, 2.16], 2.17 and 2.13
      times as many.
    """
    _parity(config)
    sizes = {
        "small": {"width": 32, "depth": 2, "state_size": 4},
        "medium": {"width": 128, "depth": 12, "state_size": 8, "rematerialise": True},
        "paper": {"width": 256, "depth": 24, "state_size": 16, "rematerialise": True},  # 35 GiB
    }
    config.model = ConfigDict({"name": "mamba", **sizes[scale]})
    if scale == "small":
        config.steps = 2_000


def hyena(config: ConfigDict, scale: str) -> None:
    """With Hyena, too, does sparse parity 2 leave its plateau sooner beside conjunction than alone?

    Gated long convolutions; the transformer's are in multitask.py:hard.

    Source: paper 2, mechanism and ablations, 5; its sizes are not known.
    Command: python experiments/run.py --config=configs/multitask_mechanism.py:hyena
    Expected: 16 runs in 25 minutes on one core (an estimate).
    Reached (0 seeds): not run yet. At d = 3, n = 8 (5 seeds): linear 484, sparse_linear 384 steps
      alone, relu never; among six, a batch of 24 shared, 2.48 [2.08, 3.33] and 3.03 times as many.
    """
    _parity(config)
    sizes = {
        "small": {"width": 32, "depth": 2, "max_positions": 48},
        "medium": {"width": 128, "depth": 6, "max_positions": 48},
        "paper": {"width": 256, "depth": 12, "max_positions": 240},
    }
    config.model = ConfigDict({"name": "hyena", **sizes[scale]})


def smoke(config: ConfigDict) -> None:
    """Shrink to 100 steps of 2 seeds."""
    config.update({"steps": 100, "seeds": 2, "eval_every": 50, "log_every": 10, "eval_points": 36})
    config.model.update({"width": 16, "depth": 1})
    config.batch = min(config.batch, 18)
    config.task.update({"dimension": 4, "points": 6, "sparse": 2})


PRESETS = (transfer, no_context, retrieval_control, mamba, hyena)
SCALES = {"small": None, "medium": medium, "paper": paper}
