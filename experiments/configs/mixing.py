"""Adaptive data mixing: R&B and what it is compared with, on families, skills, text and images.

A mixer sets the shares of the groups once a round (`data.mixer`, `data.round_steps`). Run a preset
with

    python experiments/run.py --config=configs/mixing.py:PRESET [--scale medium|paper]
"""

from ml_collections import ConfigDict

from plateaus.config.pages import page

FAMILIES = ("linear", "relu", "quadratic", "sparse_linear")


def get_config() -> ConfigDict:
    return page(
        steps=2_000,
        batch=24,
        seeds=5,
        eval_every=100,
        log_every=20,
        eval_points=256,
        task={
            "name": "in_context",
            "families": ",".join(FAMILIES),
            "dimension": 3,
            "points": 8,
            "sparse": 2,
        },
        data={"mixer": "r_and_b", "round_steps": 100},
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
    """Paper 2's sizes of the families; paper 4's rounds: 10 of 200 steps."""
    config.update({"steps": 2_000, "batch": 64, "eval_every": 200, "log_every": 50})
    config.data.round_steps = 200
    config.task.update({"dimension": 10, "points": 120, "sparse": 3})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "max_positions": 240})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 1e-4


def medium(config: ConfigDict) -> None:
    """Prompts of five points a dimension, half of the paper's model, its rounds."""
    config.update({"steps": 3_000, "batch": 64, "eval_every": 100, "log_every": 20})
    config.data.round_steps = 200
    config.task.update({"dimension": 5, "points": 24})
    config.model.update({"width": 128, "depth": 6, "heads": 4, "max_positions": 48})
    config.model.initialisation = "icl"
    config.optim.learning_rate = 3e-4


def _methods(steps: int, round_steps: int) -> dict:
    """All mixers as their papers run them; what they train beside is a part of their steps.

    A reference and a proxy take a fifth of all steps each. What its paper updates at every step is
    updated ten times a round here; DGA's step is of a problem, and not tuned.
    """
    fifth = steps // 5 // round_steps * round_steps
    often: dict = {"data.round_steps": max(1, round_steps // 10)}
    proxy = {**often, "data.proxy_steps": fifth}
    own = {
        "doge": proxy,
        "doremi": {**proxy, "data.reference_steps": fifth},
        "dga": {"data.dga_eta": 10.0},
        "exp3": often,
    }
    names = ("uniform", "r_and_b", "doge", "doremi", "dga", "skill_it", "aioli", "exp3")
    return {name: {"data.mixer": name, **own.get(name, {})} for name in names}


def _lego(config: ConfigDict) -> None:
    """Chains of four links in the order of the chain: the first link is learned first.

    By uniform shares, in 2 seeds: plateau to step 800; then link_1 by 1,000 to 1,200, link_2 by
    1,000 to 1,400, the others by 1,200 to 1,800. 22 s a run of one core, and 20 s to compile.
    """
    config.update({"steps": 2_000, "batch": 64, "eval_every": 200, "log_every": 40})
    config.eval_points = 1_024
    config.task = ConfigDict({"name": "lego", "links": 4, "order": "chain"})
    config.data.round_steps = 100
    config.model.update({"width": 64, "depth": 2, "heads": 4, "max_positions": 16})
    config.model.initialisation = "lecun_normal"
    config.optim.learning_rate = 1e-3


def _addition(config: ConfigDict) -> None:
    """Three digits: the ones, which need no carry, are learned first.

    By uniform shares, in one seed: plateau to step 800; ones by 1,000 to 1,500, tens by 2,000,
    hundreds by 3,000. 7 s a run of one core, and 20 s to compile.
    """
    config.update({"steps": 3_000, "batch": 32, "eval_every": 200, "log_every": 40})
    config.eval_points = 768
    config.task = ConfigDict({"name": "addition", "digits": 3})
    config.data.round_steps = 100
    config.model.update({"width": 32, "depth": 2, "heads": 4, "max_positions": 16})
    config.model.initialisation = "lecun_normal"
    config.optim.learning_rate = 1e-3


def methods(config: ConfigDict) -> None:
    """At equal total compute, does any method beat uniform shares on in-context families?

    Every method as its paper runs it, its reference, proxy, short runs and target passes counted:
    figures loss_against_compute, mixture, domains; mixing.csv.

    Source: paper 4, the methods it is compared with.
    Command: python experiments/run.py --config=configs/mixing.py:methods
    Expected: 40 runs in 10 minutes on 2 cores.
    Reached (5 seeds): no. Final loss over that of equal shares: R&B 1.09 [1.06, 1.11], DoReMi 1.06
      [1.03, 1.08], others 1.01 to 1.02; at equal compute Aioli 1.05 [1.01, 1.07], DoReMi 1.06
      [0.97, 1.11], DGA and Skill-It 1.00.
    """
    config.steps = 3_000
    config.variants = _methods(config.steps, config.data.round_steps)


def skills(config: ConfigDict) -> None:
    """On LEGO chains, whose links are learned in order, does any method beat uniform shares?

    Source: paper 4, the methods it is compared with; Skill-It's test-bed.
    Command: python experiments/run.py --config=configs/mixing.py:skills
    Expected: 40 runs in 14 minutes on 2 cores.
    Reached (5 seeds): mean plateau over that of equal shares (1,080 steps): R&B 1.85 [1.25, 2.50],
      none of five escapes; Skill-It, which begins with link 1, 0.81 [0.50, 1.00]; DoGE 1.19, DoReMi
      1.56 [1.00, 1.90], with their stages; DGA, Aioli 1.04, Exp3 1.07.
    """
    _lego(config)
    config.variants = _methods(config.steps, config.data.round_steps)


def plateau(config: ConfigDict) -> None:
    """On the plateau, is R&B's Gram matrix noise, which dividing by its length makes full strength?

    Shares over time (mixture), and G p of groups, biased and unbiased (gram_noise), for uniform
    shares that only watch, R&B with the biased and the unbiased Gram matrix, of all layers, and
    without the norm. And for fixed shares, four of seven of them relu's, watched with p equal and
    with p the same: is G p 0 where a model is trained on p, and on nothing else?

    Source: paper 4, Balance: a risk that the digest names, which the paper does not look at.
    Command: python experiments/run.py --config=configs/mixing.py:plateau
    Expected: 56 runs in 12 minutes on 2 cores.
    Reached (8 seeds): worse than noise: a cycle of two rounds (cosine of G p with two rounds before
      1.00), which the unbiased Gram matrix drives, too. Fixed shares: |G p| .76 where p differs
      from them, against what is drawn most, and .03 where p is the same: G p says how shares differ
      from p. Final losses 1.10 [1.07, 1.13], unbiased 1.09, all layers 1.07, no norm 1.05.
    """
    config.update({"steps": 2_400, "seeds": 8})
    unbiased = {"data.mixer_gram": "unbiased"}
    watched = {"data.mixer_strength": 0.0}
    uneven = {**watched, "data.weight_relu": 4.0}
    config.variants = {
        "uniform": watched,
        "biased": {},
        "unbiased": unbiased,
        "unbiased in all layers": {**unbiased, "data.mixer_layers": "all"},
        "no norm": {"data.r_and_b_norm": False},
        "uneven": uneven,
        "uneven as aimed at": {**uneven, "data.target_relu": 4.0},
    }


def lambda_(config: ConfigDict) -> None:
    """How sharp should R&B's softmax be?

    lambda from 0, uniform whatever the gradients, to 30, nearly the one group of the largest gain;
    all in one program.

    Source: paper 4, Balance (lambda is stated once: 3).
    Command: python experiments/run.py --config=configs/mixing.py:lambda
    Expected: 25 runs in 3 minutes on 2 cores.
    Reached (5 seeds): not at all: final losses over that of lambda = 0 are 1.00, 1.07 [1.03, 1.14],
      1.52, 1.26 [1.19, 1.35]; at 30 one family is drawn for good from the second round on.
    """
    config.sweep = {"data.r_and_b_lambda": (0.0, 1.0, 3.0, 10.0, 30.0)}


lambda_.__name__ = "lambda"  # the preset's name; a Python function cannot be defined as that


def image_text(config: ConfigDict) -> None:
    """On images and captions in four languages, does any method beat uniform shares?

    Which of five captions, digits in words, is an image's? Two towers; domains are the languages.
    There is no plateau here: a few hundred steps at a small rate, compared at their end and by the
    worst language. Tested on images that no step draws.

    Source: paper 4, its mixing of image and text; the test-bed is ours (tasks/laws/image_text.py).
    Command: python experiments/run.py --config=configs/mixing.py:image_text
    Expected: 128 runs in 3 minutes on 2 idle cores.
    Reached (16 seeds): no. Equal shares 0.226; over it R&B 1.005 [1.001, 1.009], Skill-It, Exp3 and
      Aioli 1.00 (Aioli 2.27 at equal compute), DGA 1.02, DoGE 1.26, DoReMi 1.71, which spend steps
      on models that are thrown away.
    """
    config.update({"steps": 600, "batch": 32, "seeds": 16, "eval_every": 50, "log_every": 10})
    config.eval_points = 1_160  # all test images in all languages
    config.task = ConfigDict({"name": "image_text", "captions": 5})
    config.data.round_steps = 50
    config.model = ConfigDict({"name": "dual_encoder", "width": 64, "depth": 1, "embedding": 32})
    config.optim.learning_rate = 1e-4
    config.variants = _methods(config.steps, config.data.round_steps)


def regroup(config: ConfigDict, scale: str) -> None:
    """Which half of R&B does it: regrouping, balancing, or both?

    A finite pool of functions of four families in three groupings, each with uniform shares and
    with R&B's: the families; as many domains of similar functions (at this d linear and sparse
    linear ones share one, quadratics fill two); as many at random, where there is nothing to
    balance. Test loss is the mean over the same held-out functions for all.

    Source: paper 4, Regroup and its table of results, which has no random groups.
    Command: python experiments/run.py --config=configs/mixing.py:regroup
    Expected: 30 runs in 8 minutes on 2 cores.
    Reached (5 seeds): neither helps. Equal shares, R&B over the families in equal shares: families
      1, 1.06 [0.98, 1.11]; similar 1.07 [1.01, 1.10], 1.31 [1.10, 1.58]; random 1.00, 0.99.
    """
    if scale == "small":
        config.steps = 3_000
    config.task.update({"clusters": str(len(FAMILIES)), "pool": 512, "held_out": 64})
    config.eval_points = len(FAMILIES) * config.task.held_out
    config.variants = {
        f"{grouping} {mixer}": {"task.grouping": grouping, "data.mixer": mixer}
        for grouping in ("original", "similar", "random")
        for mixer in ("uniform", "r_and_b")
    }


# Real text


def _of_text(config: ConfigDict, scale: str) -> None:
    """Byte by byte: a folder of sub-folders (`data.folder`), or the sample corpus."""
    if scale == "paper":
        config.task = ConfigDict({"name": "text", "context": 256})
        config.model.max_positions = 256
    elif scale == "medium":
        config.update({"batch": 32, "eval_every": 25, "log_every": 25})
        config.task = ConfigDict({"name": "text", "context": 128})
        config.model.max_positions = 128
    else:
        config.update({"steps": 1_000, "batch": 16, "eval_every": 50, "log_every": 25})
        config.data.round_steps = 50
        config.task = ConfigDict({"name": "text", "context": 48})
        config.model.update({"width": 48, "max_positions": 48})
    config.data.folder = ""
    config.model.initialisation = "gpt2"


def text(config: ConfigDict, scale: str) -> None:
    """On real text, does any way of mixing domains beat equal shares?

    Bytes of the sample corpus, or of --config.data.folder=DIR: the loss of each domain on windows
    held out, in nats a byte, all compute counted. 1 on the plateau's scale is the domain's unigram
    cross-entropy, 0 a smoothed bigram's, below which a model may go.

    Source: paper 4, experiments, and the methods it is compared with.
    Command: python experiments/run.py --config=configs/mixing.py:text
    Expected: 40 runs in 12 minutes on 2 cores.
    Reached (5 seeds): no. Final loss over that of equal shares (2.18 nats a byte): R&B 1.03 [1.01,
      1.05] (at equal compute 1.07 [1.05, 1.09]), in a cycle of two rounds; DoGE 1.04, DoReMi 1.09,
      DGA, Skill-It, Aioli, Exp3 1.00, but at equal compute 1.06, 1.02, 1.14, 1.00.
    """
    _of_text(config, scale)
    config.variants = _methods(config.steps, config.data.round_steps)


def text_diversity(config: ConfigDict, scale: str) -> None:
    """Does lower diversity of the data shorten the plateau of real text?

    In equal shares of the domains: a tenth and a fiftieth of the training windows, a Zipf law over
    all, curricula that begin with a fiftieth; the test is the loss of windows held out. The plateau
    is the domains' unigrams.

    Source: paper 1, whose question for real data it leaves open; sections 4.1 and appendix A.
    Command: python experiments/run.py --config=configs/mixing.py:text_diversity
    Expected: 30 runs in 5 minutes on 2 cores.
    Reached (5 seeds): no: unigrams are left at 150 to 160 steps in all. At the end (2.19 nats a
      byte) a tenth +0.07 +- .01, a fiftieth +1.30 (learned by heart), Zipf +0.27 +- .02, few then
      all -0.01 +- .02, doubled -0.02 +- .02.
    """
    _of_text(config, scale)
    config.data.mixer = "fixed"
    few = {"data.curriculum_start": 58, "data.curriculum_step": config.steps // 5}
    config.variants = {
        "all windows": {},
        "a tenth": {"data.subset": 0.1},
        "a fiftieth": {"data.subset": 0.02},
        "Zipf 1": {"data.zipf_exponent": 1.0},
        "few then all": few,
        "doubled": {**few, "data.curriculum_doubling": 0.25},
    }


def smoke(config: ConfigDict) -> None:
    """Shrink to 100 steps of 2 seeds."""
    config.update({"steps": 100, "seeds": 2, "eval_every": 50, "log_every": 10, "eval_points": 32})
    config.data.round_steps = 10
    if "variants" in config:
        for name, given in _methods(config.steps, config.data.round_steps).items():
            if name in config.variants:
                config.variants[name].update(given)
    config.model.update({"width": 16, "depth": 1})
    if config.task.name == "text":
        config.task.update({"context": 16, "windows": 500})
        for variant in config.variants.values():
            if "data.curriculum_step" in variant:
                variant["data.curriculum_step"] = 30
    if config.task.name == "in_context":
        config.task.update({"dimension": 3, "points": 6, "sparse": 2})
        if "clusters" in config.task:
            config.task.update({"pool": 16, "held_out": 8})


PRESETS = (methods, skills, regroup, image_text, plateau, lambda_, text, text_diversity)
SCALES = {"small": None, "medium": medium, "paper": paper}
