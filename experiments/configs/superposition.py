"""Task superposition: train on one task a sequence, then ask with examples of several at once.

A sequence is examples like `abcd>c` of one character task; a mixed prompt's examples are of several
tasks, and its query has as many right answers. Does the model give each its share (superpose), or
all to one, now this, now that (switch)? figures/superposition.png, superposition.csv. Run a preset
with

    python experiments/run.py --config=configs/superposition.py:PRESET [--scale medium|paper]

`--scale paper`: 14.2 M parameters, 101 examples of 8 letters out of 52, 5,000 steps. Not run: no
accelerator was at hand. Estimated 104 GiB a run (--dry-run, which says twice what arrays come to).
`--scale medium`: 6 layers of width 128, 31 examples of 5 letters out of 26, batch 64
(docs/scales.md; not run).
"""

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.data.curricula import curriculum, only, zipf

RET = ("ret1", "ret2", "ret3")
MEDIUM_RET = tuple(f"ret{i}" for i in range(1, 6))
PAPER_RET = tuple(f"ret{i}" for i in range(1, 9))
PLUS = ("plus1", "plus3", "plus5", "plus7")
MEDIUM_PLUS = tuple(f"plus{c}" for c in (1, 2, 3, 5, 7, 8))
PAPER_PLUS = tuple(f"plus{c}" for c in range(10))


def get_config() -> ConfigDict:
    return page(
        steps=3_000,
        batch=32,
        seeds=4,
        eval_every=100,
        log_every=20,
        eval_points=240,
        mixed_prompts=64,
        mixed_tasks="ret1,ret3",
        mixed_shares="",
        mixed_order="iid",
        mixed_examples=0,
        vector_prompts=0,
        task={
            "name": "characters",
            "families": ",".join(RET),
            "alphabet": "abcde",
            "length": 3,
            "examples": 11,
        },
        model={
            "name": "transformer",
            "width": 64,
            "depth": 3,
            "heads": 4,
            "mlp_multiple": 2,
            "norm": "rmsnorm",
            "bias": False,
            "max_positions": 128,
            "initialisation": "lecun_normal",
        },
        data={},
        optim={
            "name": "adam",
            "learning_rate": 2e-3,
            "beta2": 0.98,
            "weight_decay": 0.01,
            "clip_norm": 1.0,
            "warmup_steps": 100,
            "decay_start": 2_400,
            "decay_steps": 600,
        },
    )


def paper(config: ConfigDict) -> None:
    """The paper's released runs; the length of the decay is ours, a fifth of the steps."""
    config.update({"steps": 5_000, "batch": 400, "eval_every": 250, "log_every": 50})
    config.update({"eval_points": 800, "mixed_prompts": 1_000, "mixed_tasks": "ret3,ret7"})
    config.task = ConfigDict(
        {"name": "characters", "families": ",".join(PAPER_RET), "length": 8, "examples": 101}
    )
    config.model.update({"width": 384, "depth": 6, "heads": 6, "mlp_multiple": 4})
    config.model.update({"positions": "rotary", "activation": "swiglu", "initialisation": "gpt2"})
    config.model.rematerialise = True  # weights of attention: 400 x 6 x 1,110 x 1,110 a block
    config.optim.update({"learning_rate": 5e-4, "warmup_steps": 500})
    config.optim.update({"decay_start": 4_000, "decay_steps": 1_000})


def medium(config: ConfigDict) -> None:
    """The paper's architecture and schedule with half of its blocks' width or less, and shorter."""
    config.update({"steps": 5_000, "batch": 64, "eval_every": 100, "log_every": 20})
    config.update({"eval_points": 300, "mixed_prompts": 256, "mixed_tasks": "ret2,ret4"})
    config.task.update({"families": ",".join(MEDIUM_RET), "length": 5, "examples": 31})
    config.task.alphabet = "abcdefghijklmnopqrstuvwxyz"
    config.model.update({"width": 128, "depth": 6, "heads": 4, "mlp_multiple": 4})
    config.model.update({"positions": "rotary", "activation": "swiglu", "initialisation": "gpt2"})
    config.optim.update({"learning_rate": 1e-3, "warmup_steps": 500})
    config.optim.update({"decay_start": 4_000, "decay_steps": 1_000})


# The other architecture that the paper's summary names; its released runs are rotary.
GPT2 = {
    "model.positions": "learned",
    "model.max_positions": 1_200,
    "model.norm": "layernorm",
    "model.bias": True,
    "model.activation": "gelu",
    "model.tied": True,
}


def _plus(config: ConfigDict, scale: str) -> None:
    """Digits instead of letters: x>(x + c) mod 10."""
    if scale == "paper":
        config.batch = 800
        config.task.families = ",".join(PAPER_PLUS)
    elif scale == "medium":
        config.task.families = ",".join(MEDIUM_PLUS)
    else:
        config.steps = 1_500
        config.optim.update({"decay_start": 1_200, "decay_steps": 300})
        config.task = ConfigDict({"name": "characters", "families": ",".join(PLUS), "examples": 21})
    config.mixed_tasks = "plus3,plus7"


def ret(config: ConfigDict, scale: str) -> None:
    """Trained on one task a sequence, does a model superpose two in one prompt, or switch?

    The i-th letter of an input: ret1 against ret3, 10 examples, each of ret1 with chance 0 to 1.
    figures/superposition: mean P against the share, and P of every prompt, which the mean hides.

    Source: paper 5, training from scratch and its released table (ret3 against ret7).
    Command: python experiments/run.py --config=configs/superposition.py:ret --runs-per-batch 1
    Expected: 4 runs in 6 minutes on 2 idle cores (17 minutes of one shared core).
    Reached (4 seeds): switches. All prompts of one task right; mean P(ret1) .09, .34, .46, .72, .91
      at d = .1, .3, .5, .7, .9, but saturation .97 to .99: one example, the first or second of the
      prompt, decides. On the plateau (steps 200 to 600 .. 1,400) P is 1/3 each and saturation .02.
    """
    if scale != "small":
        config.variants = {"rotary": {}, "gpt2": GPT2}


def plus(config: ConfigDict, scale: str) -> None:
    """Trained on one addition a sequence, does a model superpose plus3 and plus7 in one prompt?

    Source: paper 5, training from scratch and its released table (plus).
    Command: python experiments/run.py --config=configs/superposition.py:plus --runs-per-batch 1
    Expected: 4 runs in 4 minutes on 2 idle cores.
    Reached (4 seeds, 2,000 steps): switches: mean P(plus3) .06, .26, .46, .65, .91 at d = .1 .. .9,
      saturation .8 to .91 (.48 at .1); no example has more than .28, seeds lean to one task.
    """
    _plus(config, scale)


def imbalanced(config: ConfigDict, scale: str) -> None:
    """Does a model trained nine times as often on one task answer mixed prompts by that task?

    ret1 and ret3 alone, drawn 1:1, 9:1 and 1:9; every mixture of examples, 9:1 among them. The
    issue's 9:1 may be of training or of the prompt: both are here.

    Source: paper 5, imbalanced mixtures.
    Command: python experiments/run.py --config=configs/superposition.py:imbalanced
    Expected: 9 runs in 5 minutes on 2 idle cores (--runs-per-batch 1).
    Reached (3 seeds): no. At d = .5 mean P(ret1) is .52 [.46, .58] trained 9:1 and .48 [.33, .62]
      trained 1:9, at 9:1 in the prompt .92 in both: the first example decides, whatever was trained
      more. Saturation .94 to 1. Plateaus 1.07 and 0.93 of that of 1:1. The control trained 1:1 has
      .38 [.03, .72] at d = .5, and saturation .67 at d = .1.
    """
    config.seeds = 3
    if scale == "small":  # two tasks are told apart sooner than three
        config.steps = 1_000
        config.optim.update({"decay_start": 800, "decay_steps": 200})
    first, last = config.mixed_tasks.split(",")
    config.task.families = f"{first},{last}"
    config.variants = {
        f"{a}:{b}": {f"data.weight_{first}": float(a), f"data.weight_{last}": float(b)}
        for a, b in ((1, 1), (9, 1), (1, 9))
    }


def sizes(config: ConfigDict, scale: str) -> None:
    """Do larger models hold more tasks at once, and closer to their shares?

    Four additions in equal, exact shares: how many of the four answers are among the four most
    probable outputs, and KL, by the number of parameters.

    Source: paper 5, model size.
    Command: python experiments/run.py --config=configs/superposition.py:sizes
    Expected: 12 runs in 10 minutes on 2 idle cores (--runs-per-batch 1).
    Reached (3 seeds): no. Of 4 answers 3.27, 2.96, 3.25, 3.38 (9,520 to 253,920 parameters) are
      among the four most probable, KL 1.9, 4.6, 5.2, 4.6; the smallest has just left its plateau.
    """
    _plus(config, scale)
    config.update({"mixed_tasks": "", "mixed_order": "exact", "seeds": 3})
    if scale == "small":
        config.steps = 1_000
        config.optim.update({"decay_start": 800, "decay_steps": 200})
    shapes = {
        "small": ((16, 2, 2), (32, 2, 4), (64, 3, 4), (96, 3, 4)),
        "medium": ((32, 2, 2), (64, 4, 4), (128, 6, 4), (256, 8, 8)),
        "paper": ((128, 2, 2), (256, 4, 4), (384, 6, 6), (768, 12, 12)),
    }
    config.variants = {
        f"{width} x {depth}": {"model.width": width, "model.depth": depth, "model.heads": heads}
        for width, depth, heads in shapes[scale]
    }


def task_vectors(config: ConfigDict, scale: str) -> None:
    """Is a task a vector of the residual stream, and a mixture a vector between two?

    The stream at the last separator, by layer, patched into queries without examples, in place of
    their own or as a shift of it; LDA and PCA of the vectors; combinations of two vectors beside
    prompts of the same proportions. Retrieval with rotary positions, as in the paper's runs: what
    a vector asks for is still to be read from the query, at the same distance.

    Source: paper 5, task vectors.
    Command: python experiments/run.py --config=configs/superposition.py:task_vectors
    Expected: 6 runs in 25 minutes on 2 idle cores (an estimate: 5 of them took 39 minutes on one
      shared core, with --runs-per-batch 1).
    Reached (3 seeds each): in place of the stream in one of six models, of 3 blocks (P(correct) .48
      at layer 2; .33 without), as a shift in a second one, of 6 blocks (.42 at layer 4); in the
      other four at no layer, though two of them make no errors. Additions, 3 blocks: at no layer.
    """
    names = config.task.families.split(",")[:3]
    config.update({"mixed_tasks": ",".join(names), "mixed_order": "exact", "vector_prompts": 100})
    config.mixed_shares = "1:0:0 0:1:0 0:0:1 8:2:0 5:5:0 2:8:0 0:5:5 5:0:5 1:1:1"
    config.seeds = 3
    config.model.positions = "rotary"
    if scale == "small":
        config.update({"steps": 2_500, "eval_every": 500})
        config.optim.update({"decay_start": 2_000, "decay_steps": 500})
    config.variants = {f"{depth} blocks": {"model.depth": depth} for depth in (3, 6)}


def dynamics(config: ConfigDict, scale: str) -> None:
    """When do mixed prompts come to be answered, and what do lower diversity and mixers change?

    Additions: each task's plateau; P on the answers of mixed prompts, tasks completed, entropy and
    saturation over training. Tasks drawn evenly, by a Zipf law, two only, one more at a time, one
    after another, from few sequences, by a mixer, and a fifth of the examples of any task (of which
    completions say nothing: the last example is of another task in .15 of sequences).

    Source: paper 5 with the interventions of papers 1, 3 and 4.
    Command: python experiments/run.py --config=configs/superposition.py:dynamics
    Expected: 24 runs in 15 minutes on 2 idle cores (--runs-per-batch 1).
    Reached (3 seeds): mixed prompts are answered at the escape (267 and 298 steps). One task a
      sequence: saturation .88 to .99; with a fifth of the examples of any task .31, KL .37 instead
      of 2.7: a superposition. Two tasks are learned in .68 of the steps of four; R&B stays on the
      plateau; one after another forgets.
    """
    _plus(config, scale)
    names = config.task.families.split(",")
    config.update({"mixed_shares": "5:5 10:0 0:10", "seeds": 3})
    if scale == "small":
        config.update({"steps": 1_000, "eval_every": 50, "log_every": 10})
        config.optim.update({"decay_start": 0, "decay_steps": 0})
    config.data.round_steps = config.steps // 20
    config.variants = {
        "even": {},
        "zipf": zipf(names, 1.0),
        "two": only(config.mixed_tasks.split(","), names),
        "one more": curriculum("mixed", names, config.steps),
        "one by one": curriculum("sequential", names, config.steps),
        "few sequences": {"data.items": 256},
        "r_and_b": {"data.mixer": "r_and_b"},
        "switching": {"task.switching": 0.2},
    }


def smoke(config: ConfigDict) -> None:
    """Shrink to a narrow model, 200 steps and 2 seeds; curricula keep their phases."""
    for name, own in config.get("variants", {}).items():
        shrunk = {
            field: 200 * value // config.steps
            if field[5:].startswith(("from_", "until_"))
            else value
            for field, value in own.items()
        }
        config.variants[name] = shrunk
    config.update({"steps": 200, "seeds": 2, "batch": 12, "eval_points": 40})
    config.update({"eval_every": 100, "log_every": 50, "mixed_prompts": 8})
    config.data.round_steps = 20
    config.task.examples = 11
    config.model.update({"width": 16, "depth": 2, "heads": 2})
    config.optim.update({"warmup_steps": 10, "decay_steps": 0})
    if config.vector_prompts:
        config.vector_prompts = 8


PRESETS = (ret, plus, imbalanced, sizes, task_vectors, dynamics)
SCALES = {"small": None, "medium": medium, "paper": paper}
