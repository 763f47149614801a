"""Curricula over function classes of w.x: does mixing easy classes in teach a hard one? (Paper 3.)

Normalised Hermite sums of degree 1, 2, 3; one class to a batch; losses as they are, not in units of
a class. `--scale small` (default): d = 2, 12 points, 2 layers of width 32. `--scale paper`: d = 20,
100 points, 12 layers of width 256, Adam 1e-4, batch 64, 500,001 steps. `--scale medium`: d = 5, 25
points, 6 layers of width 128, Adam 3e-4, batch 64, 15,000 steps (docs/scales.md; not run). Run a
preset with

    python experiments/run.py --config=configs/function_classes.py:PRESET [--scale medium|paper]
"""

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.data.curricula import curriculum, only

CLASSES = ("hermite_linear", "hermite_quadratic", "hermite_cubic")
LAWS = ("linear", "skewed_linear", "student_linear")


def get_config() -> ConfigDict:
    return page(
        steps=2_100,
        batch=32,
        seeds=5,
        eval_every=150,
        log_every=50,
        eval_points=192,
        task={
            "name": "in_context",
            "families": ",".join(CLASSES),
            "dimension": 2,
            "points": 12,
            "normalise": False,
        },
        data={"mixing": "batch"},
        model={
            "name": "transformer",
            "width": 32,
            "depth": 2,
            "heads": 4,
            "max_positions": 25,
            "initialisation": "lecun_normal",
        },
        optim={"name": "adam", "learning_rate": 3e-3},
    )


def paper(config: ConfigDict) -> None:
    """The paper's sizes, 500,000 steps."""
    config.update({"steps": 500_000, "batch": 64, "eval_every": 5_000, "log_every": 1_000})
    config.update({"eval_points": 384})
    config.task.update({"dimension": 20, "points": 100})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 201})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 1e-4


def medium(config: ConfigDict) -> None:
    """The paper's five points a dimension and half of its model, 15,000 steps."""
    config.update({"steps": 15_000, "batch": 64, "eval_every": 100, "log_every": 20})
    config.update({"eval_points": 384})
    config.task.update({"dimension": 5, "points": 25})
    config.model.update({"width": 128, "depth": 6, "heads": 4, "max_positions": 51})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 3e-4


def _curricula(config: ConfigDict, classes) -> dict:
    """The three curricula over all classes."""
    kinds = ("mixed", "random", "sequential")
    return {kind: curriculum(kind, classes, config.steps) for kind in kinds}


def curricula(config: ConfigDict) -> None:
    """Is the quadratic class learned in a mixed curriculum, in a random or in a sequential one?

    Three equal phases; sequential: one class each; mixed: the classes so far, drawn evenly; random:
    all, always. Beside each class alone. Figure task_prefixes: loss by points seen, at the end.

    Source: paper 3, curricula and results.
    Command: python experiments/run.py --config=configs/function_classes.py:curricula
    Expected: 30 runs in 3 minutes on 2 cores.
    Reached (5 seeds): test loss of the quadratic class at the end, over the exact no-context loss:
      mixed 0.83 [0.38, 1.28], random 0.90 [0.56, 1.25], sequential 1.18 [0.64, 1.73], alone 0.73
      [0.45, 1.00]; linear 0.86, 1.16, 2.47, 0.23. (Over that of the same sample, no data kept:
      0.90 +- .26, 0.99 +- .08, 1.29 +- .25, 0.80 +- .11.)
    """
    alone = {f"{name} alone": only([name], CLASSES) for name in CLASSES}
    config.variants = {**_curricula(config, CLASSES), **alone}


def convergence(config: ConfigDict, scale: str) -> None:
    """Do more runs learn the quadratic class in a mixed curriculum than alone?

    10 seeds, 6,000 steps, Adam 1e-3; learned: test loss below .8 and .5 of the no-context loss.

    Source: paper 3, results: 60% of mixed runs, none alone (5 seeds; its criterion is not known).
    Command: python experiments/run.py --config=configs/function_classes.py:convergence
    Expected: 20 runs in 7 minutes on one core.
    Reached (10 seeds): not at the end: test loss over the exact no-context loss alone 0.62 [0.43,
      0.80], mixed 0.86 [0.63, 1.09]; over that of the same sample (no data kept) 0.58 +- .08 (below
      .8: 10/10), 0.82 +- .11 (5/10); mixed less alone 0.24 +- .09. But from its first batch on it
      escapes (training) in 0.38 [0.29, 0.55] of the steps alone.
    """
    if scale == "small":
        config.update({"seeds": 10, "steps": 6_000})
        config.optim.learning_rate = 1e-3
    quadratic = CLASSES[1]
    mixed = curriculum("mixed", CLASSES, config.steps)
    config.variants = {f"{quadratic} alone": only([quadratic], CLASSES), "mixed": mixed}


def data_efficiency(config: ConfigDict) -> None:
    """Does the cubic class need a ninth of its batches with easy classes before it?

    The cubic class alone against curricula that draw it in 1/9 (mixed), 1/3 (random) of the steps.
    Figure task_sequences: test loss against prompts of the class, and against all prompts.

    Source: paper 3, results: 1/9 data (the mixed run used 445k batches of the other classes, too).
    Command: python experiments/run.py --config=configs/function_classes.py:data_efficiency
    Expected: 15 runs in 2 minutes on 2 cores.
    Reached (5 seeds): test loss of the cubic class over the exact no-context loss 0.97 [0.46, 1.48]
      alone (67,200 prompts), 0.92 [0.34, 1.49] mixed (7,264), 0.97 [0.44, 1.49] random (22,554).
      (Over that of the same sample, no data kept: 0.99 +- .02, 0.91 +- .15, 0.99 +- .05.)
    """
    both = _curricula(config, CLASSES)
    alone = {f"{CLASSES[2]} alone": only([CLASSES[2]], CLASSES)}
    config.variants = {**alone, "mixed": both["mixed"], "random": both["random"]}


def input_laws(config: ConfigDict, scale: str) -> None:
    """Do curricula over laws of the inputs, Gaussian, skewed, Student's t, shorten the plateau?

    Linear functions; skewed: rotated, eigenvalues as 1 / (i + 1); t: 4 degrees of freedom.

    Source: paper 3, curricula over input distributions.
    Command: python experiments/run.py --config=configs/function_classes.py:input_laws
    Expected: 30 runs in 4 minutes on 2 cores.
    Reached (5 seeds): all learn all under every curriculum: test losses 0.38 to 0.43, escapes at
      450 to 570 steps; a later law escapes at once (0.34, 0.24 of its steps alone).
    """
    config.task.families = ",".join(LAWS)
    if scale == "small":
        config.update({"steps": 2_100})
        config.task.update({"dimension": 3, "points": 10})
    alone = {f"{name} alone": only([name], LAWS) for name in LAWS}
    config.variants = {**_curricula(config, LAWS), **alone}


def heads(config: ConfigDict, scale: str) -> None:
    """Do retrospective heads carry the learning in context, the same heads in each curriculum?

    Attention from y_i to its own x_i by head, and the test loss without the 2 most retrospective
    heads against 8 draws of as many others: figures attention_heads, head_ablation,
    head_persistence.

    Source: paper 3, retrospective heads.
    Command: python experiments/run.py --config=configs/function_classes.py:heads
    Expected: 15 runs in 2 minutes on 2 cores.
    Reached (5 seeds, no data kept): linear alone: intact 0.23, without its two heads 1.06 +- .25,
      without two others 0.57 +- .25 (t interval; 95% of single draws: 0.32 to 1.75); mixed 0.87,
      1.07, 1.15. The heads are in the first layer; overlap with mixed .60.
    """
    alone = {f"{name} alone": only([name], CLASSES) for name in CLASSES[:2]}
    config.variants = {"mixed": curriculum("mixed", CLASSES, config.steps), **alone}
    ablated, every = {"small": (2, 350), "medium": (4, 1_500), "paper": (7, 50_000)}[scale]
    config.update({"attention_scores": True, "ablated_heads": ablated, "eval_every": every})


def instructions(config: ConfigDict, scale: str) -> None:
    """Does being told the class help?

    Nothing; a one-hot token before the prompt; a fixed N(0, I) vector in its place after the
    read-in. At every step one of the linear and quadratic classes; at the paper's scale of all.

    Source: paper 3, instructions (numbers not known).
    Command: python experiments/run.py --config=configs/function_classes.py:instructions
    Expected: 15 runs in 8 minutes on one core.
    Reached (5 seeds): inconclusive. Test loss of the linear class at the end 0.43 +- .08 without,
      0.44 +- .34 with a token, 0.39 +- .25 with a fixed vector (below .8: 5, 4 and 4 of 5);
      quadratic 0.64 +- .04, 0.64 +- .14, 0.62 +- .09. Told less not told: 0.01 +- .34, -0.04 +-
      .25; 0.00 +- .14, -0.01 +- .12.
    """
    if scale == "small":  # all three classes stay on their plateaus at this size
        config.task.families = ",".join(CLASSES[:2])
        config.steps = 4_500
        config.optim.learning_rate = 2e-3
    told = {"task.instruction": "one_hot"}
    config.variants = {
        "none": {},
        "one-hot token": told,
        "fixed vector": {**told, "model.fixed_instruction": True},
    }


def smoke(config: ConfigDict) -> None:
    """Shrink to 120 steps of 2 seeds."""
    steps = config.steps
    config.update({"steps": 120, "seeds": 2, "eval_every": 60, "log_every": 10, "eval_points": 36})
    config.model.update({"width": 16, "depth": 1})
    config.task.points = 6
    if config.get("ablated_heads"):
        config.ablated_heads = 1
    for overrides in config.get("variants", {}).values():  # the phases shrink with the steps
        for name in [name for name in overrides if name.startswith(("data.from_", "data.until_"))]:
            overrides[name] = overrides[name] * 120 // steps


PRESETS = (curricula, convergence, data_efficiency, input_laws, heads, instructions)
SCALES = {"small": None, "medium": medium, "paper": paper}
