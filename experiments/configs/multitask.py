"""Many in-context tasks at once: is each one's plateau shorter among others than alone? (Paper 2.)

A family is a law of functions; a prompt shows points of one function; nothing says which family.
Losses are in units of each family's exact no-context loss, so every plateau is at 1. Escape and
completion are the paper's, of the last 100 training steps: figures task_counts, task_escapes,
task_losses and tasks.csv. `--scale small` (default): d = 5 dimensions, n = 24 points, so that a
mixture is worth learning (by Bayes' rule the parity's loss is 0.15 alone, 0.20 beside conjunction;
0.30 and 0.42 at d = 4, n = 10); 2 layers of width 32; 36 prompts a step, shared by the tasks
(`data.batch_split = total`, the released code; with "per_task", the paper's text, each task has a
batch of its own). `--scale paper`: d = 10, n = 120, 12 layers of width 256, Adam 1e-4, batch 64,
for an accelerator. `--scale medium`: 6 layers of width 128, Adam 3e-4, batch 64, 8,000 steps
(docs/scales.md; not run). A core makes 45 to 60 steps of a run a second at the small scale.
"Claim 2.01: ..." is what was decided on fresh seeds by rules set beforehand (docs/claims.md). What
explains it is in multitask_mechanism.py. Run a preset with

    python experiments/run.py --config=configs/multitask.py:PRESET [--scale medium|paper]
"""

import itertools

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.data.curricula import only

HARD = ("sparse_parity_2", "sparse_parity_3", "quadratic", "conjunction", "linear", "relu")
FOUR = ("sparse_parity_2", "conjunction", "linear", "relu")
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
RATES = {"small": (1e-3, 3e-3, 9e-3), "medium": (1e-4, 3e-4, 9e-4), "paper": (3e-5, 1e-4, 3e-4)}
BATCHES = (8, 32, 128, 512)


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
            "families": ",".join(NINE),
            "dimension": 5,
            "points": 24,
            "sparse": 2,
            "tree_depth": 2,
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
    config.task.update({"dimension": 10, "points": 120, "sparse": 3, "tree_depth": 4})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 241})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 1e-4


def medium(config: ConfigDict) -> None:
    """The small scale's prompts, and half of the paper's model."""
    config.update({"steps": 8_000, "batch": 64, "seeds": 3, "eval_points": 360})
    config.task.tree_depth = 3
    config.model.update({"width": 128, "depth": 6, "initialisation": "icl"})
    config.optim.learning_rate = 3e-4


def _families(config: ConfigDict, families, sets) -> None:
    """Train on each set of the families: a row of one program."""
    config.task.families = ",".join(families)
    config.variants = {" + ".join(chosen): only(chosen, families) for chosen in sets}


def hard(config: ConfigDict, scale: str) -> None:
    """Do hard tasks leave their plateaus sooner among others than alone?

    Six families alone, sparse parity 2 beside each other one, four and all, a batch shared.

    Source: paper 2, its table: hard tasks have most of the effect.
    Command: python experiments/run.py --config=configs/multitask.py:hard
    Expected: 208 runs in 4 to 5 hours on one core.
    Reached (16 seeds): sparse parity 2 alone and among others, each at its own best rate, and three
      of its cells at 16 prompts, 3e-3, as in the claims below. The rest is not run.
    Claim 2.01: contradicted.
    Claim 2.01a: contradicted, 1.48 [1.04, 2.09], 16 pairs.
    Claim 2.01b: contradicted, 1.63 [1.08, 2.41], 16 pairs.
    Claim 2.01c: contradicted, 1.56 [1.25, 2.05], 16 pairs.
    Claim 2.02a: not yet rerun.
    Claim 2.02b: not evaluable.
    Claim 2.06c: not supported, share 0.94 [0.57, 1.00], 16 runs.
    Claim 2.07: supported.
    Claim 2.07b: supported, 0.60 [0.48, 0.77], 16 pairs.
    Claim 2.07c: supported, 0.57 [0.42, 0.74], 16 pairs.
    Claim 2.07e: supported, 0.36 [0.27, 0.49], 16 pairs.
    Claim 2.15a: supported, -0.094 [-0.097, -0.089], 16 runs.
    Claim 2.15b: supported, -0.074 [-0.085, -0.064], 16 runs.
    """
    pairs_of_parity = [(HARD[0], other) for other in HARD[1:]]
    sets = [*itertools.combinations(HARD, 1), *pairs_of_parity, FOUR, HARD]
    _families(config, HARD, sets)
    config.variants["all six"] = config.variants.pop(" + ".join(HARD))
    if scale == "small":
        config.seeds = 16


def rates(config: ConfigDict, scale: str) -> None:
    """Which learning rate is each cell's best, where claims compare cells at their best?

    Cells of `hard` at three rates, in the prompts that their claims have, 36 or 16 a step: the
    pilot by which arms of 2.01, 2.02, 2.06 and 2.07 have their rates (docs/claims.md).

    Source: paper 2 has one rate, 1e-4, for all; a rate for each arm is ours.
    Command: python experiments/run.py --config=configs/multitask.py:rates
    Expected: 168 runs in 3 hours on one core.
    Reached (3 seeds): sparse parity 2 alone leaves its plateau at 1e-3 only, after 2,708 steps
      (geometric mean; at 3e-3, 9e-3 and, with --sweep, 3e-4 none by 4,000). Beside conjunction,
      beside linear functions and among four 3e-3 is best, with 1,411, 1,948 and 1,841 steps (1e-3:
      1,944, 2,217 and 2,815; among four at 9e-3 3,017, two of three there). With 16 prompts 3e-3
      is best but for linear functions alone (989 steps at 1e-3, 1,259 at 3e-3; 2,115 among
      four); ReLU functions take 1,045 alone and 2,279 among four.
    """
    parity, conjunction, linear, relu = FOUR
    _families(config, HARD, [(parity,), (parity, conjunction), (parity, linear), FOUR])
    few = {"small": 16, "medium": 28, "paper": 28}[scale]
    for chosen in ((linear,), (relu,), FOUR):
        fields = {**only(chosen, HARD), "batch": few}
        config.variants[f"{' + '.join(chosen)} at {few}"] = fields
    config.sweep = {"variant": tuple(config.variants), "optim.learning_rate": RATES[scale]}


def batches(config: ConfigDict, scale: str) -> None:
    """Steps to escape fall with the batch: how fast, and where do they stop falling?

    Two tasks alone, the pair of them and four tasks, a batch of 8 to 512 prompts shared. Figure
    task_batches, against the batch and against the prompts of the task itself: a power law is
    fitted where steps still fall. The rate is half the others', so that the shortest plateau can be
    told from the least that is measured.

    Source: ours; it ties paper 2 to the gradient noise of paper 1.
    Command: python experiments/run.py --config=configs/multitask.py:batches
    Expected: 128 runs in 5 to 8 hours on one core, most of it at 512 prompts. Batches of other
      horizons fit into one folder: each by --sweep batch=B with --config.steps=700 (512), 1000,
      2500, 5000 (8), in this order, --keep state and one --workdir.
    Reached (8 seeds, 4 at 128 and 512 prompts, so run): linear alone takes 1,812, 597, 318 and 255
      steps (geometric means), among four 1.7 to 2.0 times as many; with 8 prompts of its own each
      0.66 of those alone, with 128 1.37 (docs/beyond.md).
    """
    _, _, linear, relu = FOUR
    _families(config, HARD, [(linear,), (relu,), (linear, relu), FOUR])
    config.sweep = {"variant": tuple(config.variants), "batch": BATCHES}
    if scale == "small":
        config.steps = 2_000
        config.optim.learning_rate = 1.5e-3


def table(config: ConfigDict, scale: str) -> None:
    """Do tasks leave their plateaus sooner together than alone, and sooner the more there are?

    Paper 2's nine tasks, a batch shared by k of them: each alone, 9 pairs, 5 sets of four, 3 of
    eight (round a circle), and all. At the paper's scale all circles have 9 sets.

    Source: paper 2, its table and abstract (plateaus 40% shorter, convergence 30%).
    Command: python experiments/run.py --config=configs/multitask.py:table
    Expected: 216 runs in 210 minutes on one core.
    Reached (0 seeds): not run yet; some of its cells are in `hard`.
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


def subsets(config: ConfigDict, scale: str) -> None:
    """Which of all 63 mixtures of six families, a batch shared, shorten their plateaus?

    Source: paper 2, its table: a cell averages all combinations that hold the task.
    Command: python experiments/run.py --config=configs/multitask.py:subsets
    Expected: 315 runs in 5 hours on one core.
    Reached (16 seeds): alone and beside conjunction, sparse parity 2 as in the claims below; the
      others are not run yet.
    Claim 2.06a: open, share 0.19 [0.01, 0.58], 16 runs.
    Claim 2.07a: supported, 0.32 [0.27, 0.40], 16 pairs.
    """
    _families(config, SIX, [c for k in range(1, 7) for c in itertools.combinations(SIX, k)])
    if scale == "small":
        config.seeds = 5


def pairs(config: ConfigDict, scale: str) -> None:
    """Does a second task shorten a plateau where each task has its own batch?

    Six families alone, in pairs (six round a circle; at the paper's scale all) and all together, 8
    prompts of each to a step (`per_task`): the paper's text. Compare steps at equal batches of each
    task, or sequences (tasks.csv).

    Source: paper 2, setup and table, k = 2.
    Command: python experiments/run.py --config=configs/multitask.py:pairs
    Expected: 104 runs in 120 minutes on one core.
    Reached (16 seeds, 4 prompts of each, each at its own best of three rates): among six linear,
      relu and sparse_linear have a median of 1,010, 1,110 and 980 steps at 3e-3, alone 2,870,
      2,870 and 2,680 at 1e-3; quadratic 2,200 and sparse_parity_2 3,780 among six. At d = 4,
      n = 10, 16 prompts of each, one rate (5 seeds): of the steps alone all six need 0.62 [0.53,
      0.76] (linear), 0.60 (relu), 0.52 (sparse_linear); conjunction 2.06.
    Claim 2.04: supported.
    Claim 2.04a: supported, 0.38 [0.28, 0.50], 16 pairs.
    Claim 2.04b: supported, 0.38 [0.29, 0.50], 16 pairs.
    Claim 2.04c: supported, 0.37 [0.26, 0.53], 16 pairs.
    Claim 2.08: not yet rerun.
    Claim 2.09: supported, 0.38 [0.28, 0.50], 16 pairs.
    Claim 2.10: supported, 0.38 [0.29, 0.50], 16 pairs.
    Claim 2.11: supported, 0.37 [0.26, 0.53], 16 pairs.
    Claim 2.12: not yet rerun.
    """
    ring = [(SIX[i], SIX[(i + 1) % 6]) for i in range(6)]
    twos = itertools.combinations(SIX, 2) if scale == "paper" else ring
    sets = [*itertools.combinations(SIX, 1), *twos, SIX]
    _families(config, SIX, sets)
    config.variants["all six"] = config.variants.pop(" + ".join(SIX))
    config.data.batch_split = "per_task"
    if scale == "small":
        config.update({"batch": 8, "steps": 6_000})
    if scale == "medium":
        config.batch = 16


def completion(config: ConfigDict, scale: str) -> None:
    """Are tasks also *learned* sooner together than alone, where each has its own batch?

    Three families alone and all together, 16 prompts of each to a step, where their last point's
    error falls below .1: 2 dimensions, 12 points, sparse_linear in 1 of 2 coordinates. "linear at
    48": alone, with as many prompts as all three have together.

    Source: paper 2, abstract (convergence 30% sooner).
    Command: python experiments/run.py --config=configs/multitask.py:completion
    Expected: 30 runs in 11 minutes on one core.
    Reached (8 seeds, at three rates, of which 3e-3 is best): completion takes 2,422 steps alone and
      1,453 among three (linear; geometric means), 2,926 and 1,595 (sparse_linear), linear at 48
      1,160; of relu, among three, one run in eight gets there by 3,300 steps, alone it was not run.
    Claim 2.05a: supported, 0.56 [0.42, 0.71], 16 pairs.
    Claim 2.05b: supported, 0.58 [0.43, 0.78], 16 pairs.
    Claim 2.05c: contradicted, 1.28 [1.01, 1.58], 16 pairs.
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
        config.update({"steps": 3_300, "seeds": 5})
    prompts = len(families) * config.batch
    for one in families[::2]:
        fields = {**only((one,), families), "batch": prompts}
        config.variants[f"{one} at {prompts}"] = fields


def smoke(config: ConfigDict) -> None:
    """Shrink to 100 steps of 2 seeds."""
    config.update({"steps": 100, "seeds": 2, "eval_every": 50, "log_every": 10, "eval_points": 36})
    config.model.update({"width": 16, "depth": 1})
    config.batch = min(config.batch, 18)
    if config.task.name == "in_context":
        config.task.update({"dimension": 4, "points": 6, "sparse": 2, "tree_depth": 2})


PRESETS = (hard, rates, batches, table, subsets, pairs, completion)
SCALES = {"small": None, "medium": medium, "paper": paper}
