"""Many in-context tasks at once: is each one's plateau shorter among others than alone? (Paper 2.)

A family is a law of functions; a prompt shows points of one function; nothing says which family.
Losses are in units of each family's exact no-context loss, so every plateau is at 1. Escape and
completion are the paper's, of the last 100 training steps: figures task_counts, task_escapes,
task_losses and tasks.csv. `--scale small` (default): 2 layers of width 32, 2 to 4 dimensions, 8 to
12 points. With `data.batch_split = total` (the released code) a batch is shared by its tasks, with
"per_task" (the paper's text) each has its own. `--scale paper`: d = 10, n = 120, 12 layers of width
256, Adam 1e-4, batch 64, for an accelerator. `--scale medium`: d = 5, n = 24, 6 layers of width
128, Adam 3e-4, batch 64, 8,000 steps (docs/scales.md; not run). "Claim 2.01: ..." is what was
decided on fresh seeds by rules set beforehand (docs/claims.md). Run a preset with

    python experiments/run.py --config=configs/multitask.py:PRESET [--scale medium|paper]
"""

import itertools

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.data.curricula import only

NINE = (
    "sparse_parity_2",
    "conjunction",
    "linear",
    "relu",
    "sparse_parity_3",
    "disjunction",
    "quadratic",
    "sparse_linear",
    "decision_tree",
)
SIX = ("linear", "relu", "quadratic", "sparse_linear", "sparse_parity_2", "conjunction")


def get_config() -> ConfigDict:
    return page(
        steps=1_400,
        batch=36,
        seeds=5,
        eval_every=100,
        log_every=20,
        eval_points=180,
        task={
            "name": "in_context",
            "families": ",".join(NINE),
            "dimension": 4,
            "points": 10,
            "sparse": 2,
            "tree_depth": 2,
        },
        data={"mixing": "split", "batch_split": "total"},
        model={
            "name": "transformer",
            "width": 32,
            "depth": 2,
            "heads": 4,
            "max_positions": 21,
            "initialisation": "lecun_normal",
        },
        optim={"name": "adam", "learning_rate": 3e-3},
    )


def paper(config: ConfigDict) -> None:
    """The paper's sizes; a tenth of its million steps, enough for all but the parities alone."""
    config.update({"steps": 100_000, "batch": 64, "seeds": 3, "eval_every": 1_000, "log_every": 50})
    config.update({"eval_points": 576})
    config.task.update({"dimension": 10, "points": 120, "sparse": 3, "tree_depth": 4})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 241})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 1e-4


def medium(config: ConfigDict) -> None:
    """Prompts long enough that a mixture is worth learning, and half of the paper's model.

    By Bayes' rule the parity's loss is 0.15 alone and 0.20 beside conjunction at d = 5, n = 24, but
    0.30 and 0.42 at the small scale's d = 4, n = 10.
    """
    config.update({"steps": 8_000, "batch": 64, "seeds": 3, "eval_every": 100, "log_every": 20})
    config.update({"eval_points": 360})
    config.task.update({"dimension": 5, "points": 24, "tree_depth": 3})
    config.model.update({"width": 128, "depth": 6, "heads": 4, "max_positions": 49})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 3e-4


def _families(config: ConfigDict, families, sets) -> None:
    """Train on each set of the families: a row of one program."""
    config.task.families = ",".join(families)
    config.variants = {" + ".join(chosen): only(chosen, families) for chosen in sets}


def _tiny(config: ConfigDict, scale: str) -> None:
    """3 dimensions and 8 points, where six families escape in a thousand steps."""
    if scale == "small":
        config.task.update({"dimension": 3, "points": 8})
        config.batch = 24


def table(config: ConfigDict, scale: str) -> None:
    """Trained together, tasks leave their plateaus sooner than alone, the more the more there are?

    Paper 2's nine tasks, a batch shared by k of them: each alone, 9 pairs, 5 sets of four, 3 of
    eight (round a circle), and all. At the paper's scale all circles have 9 sets.

    Source: paper 2, its table and abstract (plateaus 40% shorter, convergence 30%).
    Command: python experiments/run.py --config=configs/multitask.py:table
    Expected: 135 runs in 11 minutes on 2 cores.
    Reached (5 seeds): yes for claim 2.07a (d = 5, n = 24); else open. At d = 4, n = 10: mean ratio
      to the task alone 1.90, 2.52, 2.57, 2.70 at k = 2, 4, 8, 9, three of nine never escaping
      alone; in prompts of the task itself 0.95, 0.63, 0.32, 0.30. None is learned in time.
    Claim 2.06b: not yet rerun.
    Claim 2.07d: not yet rerun.
    Claim 2.13: not yet rerun.
    """
    starts = {1: 9, 2: 9, 4: 5, 8: 3, 9: 1}
    if scale == "paper":
        starts |= {4: 9, 8: 9}
    sets = [
        tuple(NINE[(i * 9 // count + j) % 9] for j in range(k))
        for k, count in starts.items()
        for i in range(count)
    ]
    _families(config, NINE, sets)
    config.variants["all nine"] = config.variants.pop(" + ".join(sets[-1]))


def pairs(config: ConfigDict, scale: str) -> None:
    """A second task shortens a plateau where each task keeps its own batch?

    Six families alone, in pairs (six round a circle; at the paper's scale all) and all together, 16
    prompts of each to a step (`per_task`): the paper's text. Compare steps at equal batches of each
    task, or sequences (tasks.csv).

    Source: paper 2, setup and table, k = 2.
    Command: python experiments/run.py --config=configs/multitask.py:pairs
    Expected: 65 runs in 4 minutes on 2 cores.
    Reached (5 seeds): yes for three of six: of the steps alone all six need 0.62 [0.53, 0.76]
      (linear), 0.60 (relu), 0.52 (sparse_linear); conjunction 2.06; quadratic and the parity never
      escape.
    """
    ring = [(SIX[i], SIX[(i + 1) % 6]) for i in range(6)]
    twos = itertools.combinations(SIX, 2) if scale == "paper" else ring
    sets = [*itertools.combinations(SIX, 1), *twos, SIX]
    _families(config, SIX, sets)
    config.variants["all six"] = config.variants.pop(" + ".join(SIX))
    config.data.batch_split = "per_task"
    if scale != "paper":
        config.batch = 16
    if scale == "small":
        config.steps = 1_200


def completion(config: ConfigDict, scale: str) -> None:
    """Trained together, tasks are also *learned* sooner, where each keeps its own batch?

    Three families alone and all together, 16 prompts of each to a step, where their last point's
    error falls below .1: 2 dimensions, 12 points, sparse_linear in 1 of 2 coordinates.

    Source: paper 2, abstract (convergence 30% sooner).
    Command: python experiments/run.py --config=configs/multitask.py:completion
    Expected: 20 runs in 5 minutes on one core.
    Reached (5 seeds): yes where they are learned in time: completion takes 0.60 [0.44, 0.91]
      (linear, 2,436 steps alone) and 0.53 [0.42, 0.70] (sparse_linear, 2,980) of the steps alone;
      relu, alone 0/5 by 3,300 steps, with the others 1/5. Escapes 0.86, 0.63 and 0.82
      (relu). The losses at the end are alike.
    """
    families = ("linear", "relu", "sparse_linear")
    _families(config, families, [*itertools.combinations(families, 1), families])
    config.variants["all three"] = config.variants.pop(" + ".join(families))
    config.data.batch_split = "per_task"
    if scale != "paper":
        config.batch = 16
    if scale == "small":
        config.task.update({"dimension": 2, "points": 12, "sparse": 1})
        config.model.max_positions = 24
        config.steps = 3_300


def subsets(config: ConfigDict, scale: str) -> None:
    """All 63 mixtures of six families, a batch shared by its tasks, as rows of one program.

    Source: paper 2, its table: a cell averages all combinations that hold the task.
    Command: python experiments/run.py --config=configs/multitask.py:subsets
    Expected: 315 runs in 10 minutes on 2 cores.
    Reached (5 seeds): yes for claim 2.07a (d = 5, n = 24); else open. At d = 3, n = 8: mean ratios
      to the task alone at k = 2 .. 6: 1.57, 1.97, 2.14, 2.22, 2.31; in prompts of the task itself
      0.79, 0.66, 0.53, 0.44, 0.39.
    Claim 2.01a: not yet rerun.
    Claim 2.01b: not yet rerun.
    Claim 2.01c: not yet rerun.
    Claim 2.02a: not yet rerun.
    Claim 2.02b: not yet rerun.
    Claim 2.06a: open, share 0.19 [0.04, 0.46], 16 runs.
    Claim 2.07: open.
    Claim 2.07a: supported, 0.32 [0.27, 0.40], 16 pairs.
    Claim 2.07b: not yet rerun.
    Claim 2.07c: not yet rerun.
    Claim 2.15a: not yet rerun.
    Claim 2.15b: not yet rerun.
    """
    _tiny(config, scale)
    sets = [c for k in range(1, 7) for c in itertools.combinations(SIX, k)]
    _families(config, SIX, sets)
    if scale == "small":
        config.steps = 1_000


def no_context(config: ConfigDict) -> None:
    """On the plateau a model says what is best without context; does teaching it that help?

    Figure task_mechanism: distance of the outputs to each task's no-context optimum. Controls: a
    task beside a teacher whose targets are a no-context optimum, its own or another's.

    Source: paper 2, mechanism, and its optimal no-context teachers.
    Command: python experiments/run.py --config=configs/multitask.py:no_context
    Expected: 40 runs in 4 minutes on 2 cores.
    Reached (5 seeds): distances of 0.002 to 0.02 on the plateau; beside a teacher relu needs 2.35
      [1.94, 3.04] times its steps alone, linear 2.71 and 2.53; beside relu itself linear needs
      1.26.
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


def transfer(config: ConfigDict, scale: str) -> None:
    """Having just escaped another task's plateau shortens a task's own?

    Train on A until the mean loss of 100 steps is below .8, go on with B (`data.switch = escape`;
    Adam's moments are kept); the ratio of B's steps to those from scratch, all pairs: figure
    transfer.

    Source: paper 2, mechanism and ablations, 2.
    Command: python experiments/run.py --config=configs/multitask.py:transfer
    Expected: 125 runs in 8 to 13 minutes on 2 cores.
    Reached (5 seeds): ratios of 0.20 to 0.88 in 16 of 20 pairs (14 intervals below 1); after the
      parity all others take 1.67 to 2.44 times as long.
    """
    _tiny(config, scale)
    families = ("linear", "relu", "sparse_linear", "sparse_parity_2", "conjunction")
    _in_turn(config, families, [*((f, f) for f in families), *itertools.permutations(families, 2)])
    if scale == "small":
        config.steps = 2_000


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


def retrieval_control(config: ConfigDict, scale: str) -> None:
    """Having learned to retrieve a repeated key shortens no plateau: more than induction is shared?

    As `transfer`, from key-value retrieval, with another in-context task as the positive control.

    Source: paper 2, mechanism and ablations, 3.
    Command: python experiments/run.py --config=configs/multitask.py:retrieval_control
    Expected: 40 runs in 3 minutes on 2 cores.
    Reached (5 seeds): it does shorten them: linear after it 0.35 [0.21, 0.44] (after sparse_linear
      0.22), the parity 0.30 [0.21, 0.36] (after conjunction 0.81 [0.44, 1.42]).
    """
    _tiny(config, scale)
    families = ("linear", "sparse_linear", "sparse_parity_2", "conjunction")
    gaussian, boolean = "retrieval_gaussian", "retrieval_boolean"
    linear, sparse, parity, conjunction = families
    turns = [(linear, linear), (parity, parity), (gaussian, gaussian), (boolean, boolean)]
    turns += [(gaussian, linear), (sparse, linear), (boolean, parity), (conjunction, parity)]
    _in_turn(config, (*families, gaussian, boolean), turns)
    if scale == "small":
        config.steps = 2_000


def architectures(config: ConfigDict, scale: str) -> None:
    """Other architectures show the same: the transformer; `mamba` and `hyena` are presets beside.

    Three families alone and six together.

    Source: paper 2, mechanism and ablations, 5.
    Command: python experiments/run.py --config=configs/multitask.py:architectures
    Expected: 20 runs in 1 minute on 2 cores.
    Reached (5 seeds): 448, 600, 476 steps alone; among six 2.05, 1.93, 1.82 times as many (shared
      batch).
    """
    _tiny(config, scale)
    _families(config, SIX, [("linear",), ("relu",), ("sparse_linear",), SIX])
    config.variants["all six"] = config.variants.pop(" + ".join(SIX))
    if scale == "small":
        config.steps = 1_200


def mamba(config: ConfigDict, scale: str) -> None:
    """`architectures` with Mamba: selective state spaces of size 4.

    Source: paper 2, mechanism and ablations, 5; its sizes are not known.
    Command: python experiments/run.py --config=configs/multitask.py:mamba
    Expected: 20 runs in 2 to 3 minutes on 2 cores.
    Reached (5 seeds): 176, 304, 188 steps alone; among six 1.75 [1.40, 2.16], 2.17 [1.71, 4.08],
      2.13 [1.24, 3.09] times as many.
    """
    architectures(config, scale)
    sizes = {
        "small": {"width": 32, "depth": 2, "state_size": 4},
        "medium": {"width": 128, "depth": 12, "state_size": 8, "rematerialise": True},
        "paper": {"width": 256, "depth": 24, "state_size": 16, "rematerialise": True},  # 35 GiB
    }
    config.model = ConfigDict({"name": "mamba", **sizes[scale]})


def hyena(config: ConfigDict, scale: str) -> None:
    """`architectures` with Hyena: gated long convolutions.

    Source: paper 2, mechanism and ablations, 5; its sizes are not known.
    Command: python experiments/run.py --config=configs/multitask.py:hyena
    Expected: 20 runs in 1 minute on 2 cores.
    Reached (5 seeds): linear 484, sparse_linear 384 steps alone, relu never; among six 2.48 [2.08,
      3.33] and 3.03 times as many.
    """
    architectures(config, scale)
    sizes = {
        "small": {"width": 32, "depth": 2, "max_positions": 16},
        "medium": {"width": 128, "depth": 6, "max_positions": 48},
        "paper": {"width": 256, "depth": 12, "max_positions": 240},
    }
    config.model = ConfigDict({"name": "hyena", **sizes[scale]})


def sharpness(config: ConfigDict, scale: str) -> None:
    """How sharp is the loss before, on and after the plateau, with one task and with six?

    The largest eigenvalue of the Hessian of the training loss (12 Lanczos steps on one batch) and
    the gradient's norm, every 60 steps: figure landscape.

    Source: paper 2 (its loss-landscape tracking).
    Command: python experiments/run.py --config=configs/multitask.py:sharpness
    Expected: 20 runs in 2 minutes on 2 cores.
    Reached (5 seeds): the eigenvalue falls in the first 60 steps (30 to 17, linear) and stays,
      through the escape and after; six tasks are within the range of one.
    """
    architectures(config, scale)
    config.sharpness_steps = 12
    config.eval_every = {"small": 60, "medium": 200, "paper": 1_000}[scale]


def smoke(config: ConfigDict) -> None:
    """Shrink to 100 steps of 2 seeds."""
    config.update({"steps": 100, "seeds": 2, "eval_every": 50, "log_every": 10, "eval_points": 36})
    config.model.update({"width": 16, "depth": 1})
    config.batch = min(config.batch, 18)
    if config.task.name == "in_context":
        config.task.update({"dimension": 4, "points": 6, "sparse": 2, "tree_depth": 2})


PRESETS = (
    table,
    pairs,
    completion,
    subsets,
    no_context,
    transfer,
    retrieval_control,
    architectures,
    mamba,
    hyena,
    sharpness,
)
SCALES = {"small": None, "medium": medium, "paper": paper}
