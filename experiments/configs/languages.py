"""Languages in context: is the plateau of one shorter among others than alone? (Paper 2.)

A prompt shows examples of words, or strings of a random automaton; nothing says which family it is
of. Losses are in units of each family's exact no-context loss, so every plateau is at 1; figures
and tables are those of `multitask`. `--scale small` (default): 2 layers of width 32; `medium` and
`paper`: as there, for an accelerator (not run). Run a preset with

    python experiments/run.py --config=configs/languages.py:PRESET [--scale medium|paper]
"""

from ml_collections import ConfigDict

from plateaus.config.pages import page
from plateaus.data.curricula import only


def get_config() -> ConfigDict:
    return page(
        steps=4_000,
        batch=32,
        seeds=5,
        eval_every=50,
        log_every=10,
        eval_points=180,
        task={
            "name": "languages",
            "families": "automaton_4_2,markov_2,repeat_4",
            "symbols": 8,
            "strings": 8,
            "length": 5,
        },
        data={"mixing": "split", "batch_split": "total"},
        model={
            "name": "transformer",
            "width": 32,
            "depth": 2,
            "heads": 4,
            "max_positions": 48,
            "initialisation": "lecun_normal",
        },
        optim={"name": "adam", "learning_rate": 3e-3},
    )


def medium(config: ConfigDict) -> None:
    """Half of the paper's model."""
    config.update({"steps": 8_000, "batch": 64, "seeds": 3, "eval_every": 100})
    config.update({"eval_points": 360})
    config.model.update({"width": 128, "depth": 6, "initialisation": "icl"})
    config.optim.learning_rate = 3e-4


def paper(config: ConfigDict) -> None:
    """The paper's model, rate and batch; a tenth of its million steps."""
    config.update({"steps": 100_000, "batch": 64, "seeds": 3, "eval_every": 1_000, "log_every": 50})
    config.update({"eval_points": 576})
    config.model.update({"width": 256, "depth": 12, "heads": 8, "initialisation": "icl"})
    config.optim.learning_rate = 1e-4


def _families(config: ConfigDict, families, sets) -> None:
    """Train on each set of the families: a row of one program."""
    config.task.families = ",".join(families)
    config.variants = {" + ".join(chosen): only(chosen, families) for chosen in sets}


def words(config: ConfigDict, scale: str) -> None:
    """Is selecting one of four words learned sooner beside one of two, or beside word lengths?

    Words are tokens; 5 examples and a query; which place of the list is meant must be inferred.

    Source: paper 2, mechanism and ablations, 6; its exact rules are not known.
    Command: python experiments/run.py --config=configs/languages.py:words
    Expected: 30 runs in 8 minutes on one core (8 words, 3,000 steps).
    Reached (5 seeds): one of two words is found alone in 936 [456, 2160] steps (5/5), beside one of
      four, a batch shared, in 2.65 [1.39, 5.43] times as many (2/5), beside all never. One of four
      and lengths stay on their plateaus alone; beside one of two a run of five leaves it.
    Claim 2.22: not yet rerun.
    """
    families = ("word_selection_4", "word_selection_2", "word_length")
    four, two, length = families
    number = {"small": 8, "medium": 40, "paper": 200}[scale]
    config.task = ConfigDict({"name": "words", "words": number})
    _families(config, families, [(four,), (two,), (length,), (four, two), (four, length), families])
    config.model.max_positions = 30
    if scale == "small":
        config.update({"steps": 3_000, "eval_every": 100})
        config.optim.learning_rate = 1e-2


def rates(config: ConfigDict, scale: str) -> None:
    """Do strings that repeat a word shorten the plateau of a language of random automata?

    Automata of four states, two of eight symbols from each, alone and beside the strings, at three
    rates. Who counts symbols has a loss of 0.87, who counts what follows a symbol 0.72, who knows
    the automaton 1/3: to escape (0.8) is to use what came before (150 automata; with four symbols
    and three states it would take more than that, 0.83, and Bayes' rule has 0.61). Each language
    has its own batch of 8, so that what is compared is the mixture, not how many prompts of the
    automata there are.

    Source: paper 2, limitations; which tasks were mixed with the automata there is not known.
    Command: python experiments/run.py --config=configs/languages.py:rates
    Expected: 48 runs, 288,000 run-steps.
    Reached (0 seeds): not run yet.
    Claim 2.23: not yet rerun.
    """
    families = ("automaton_4_2", "markov_2", "repeat_4")  # the second is in the program only
    _families(config, families, [families[:1], families[::2]])
    config.data.batch_split = "per_task"
    three = {"small": (1e-3, 3e-3, 9e-3), "medium": (1e-4, 3e-4, 9e-4), "paper": (3e-5, 1e-4, 3e-4)}
    config.sweep = {"variant": tuple(config.variants), "optim.learning_rate": three[scale]}
    if scale == "small":
        config.update({"batch": 8, "steps": 6_000, "seeds": 8})


def smoke(config: ConfigDict) -> None:
    """Shrink to 100 steps of 2 seeds."""
    config.update({"steps": 100, "seeds": 2, "eval_every": 50, "log_every": 10, "eval_points": 36})
    config.model.update({"width": 16, "depth": 1})
    config.batch = min(config.batch, 18)


PRESETS = (words, rates)
SCALES = {"small": None, "medium": medium, "paper": paper}
