"""What can be measured during a run beside its losses: fields, refusals, probes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from plateaus.fields import Field
from plateaus.groups import SUFFIX
from plateaus.measures.attention import probe as attention
from plateaus.measures.curvature import instrument as curvature
from plateaus.measures.gradients import instrument as gradients
from plateaus.measures.superposition import instrument as mixtures
from plateaus.measures.task_vectors import instrument as vectors
from plateaus.measures.weights import layer_norms
from plateaus.recipe import BatchProbe
from plateaus.types import Array, Key, Model, PyTree, Task

AXES = {  # part of a variable's name -> the axes it has of its own
    "attention_": ("layer", "head"),
    "ablation_loss_random": ("draw",),
    f"ablation_loss_random{SUFFIX}": ("draw", "task"),
    **mixtures.AXES,
    **vectors.AXES,
}
FEWEST_PAIRS = 4  # of whose halves induction and the previous token are told apart


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(mixtures.Spec, vectors.Spec):
    """What is recorded at every evaluation; nothing here changes what a run is."""

    gradient_batches: Annotated[
        int,
        Field(
            help="random batches whose gradients are compared at evaluations",
            low=0,
            high=1024,
            observes=True,
        ),
    ] = 0
    weight_norms: Annotated[
        bool,
        Field(help="record the norm of each layer's weights at each evaluation", observes=True),
    ] = False
    sharpness_steps: Annotated[
        int,
        Field(
            help="Lanczos steps to the Hessian's extreme eigenvalues; 0: none",
            low=0,
            high=1024,
            observes=True,
        ),
    ] = 0
    sharpness_batches: Annotated[
        int,
        Field(
            help="random batches whose mean loss the Hessian is of", low=1, high=1024, observes=True
        ),
    ] = 1
    attention_scores: Annotated[
        bool, Field(help="record where each attention head looks at each evaluation", observes=True)
    ] = False
    ablated_heads: Annotated[
        int,
        Field(
            help="most retrospective heads removed at evaluations; 0: none",
            low=0,
            high=2**16,
            observes=True,
        ),
    ] = 0
    ablation_draws: Annotated[
        int,
        Field(
            help="random draws of as many other heads to compare", low=1, high=1024, observes=True
        ),
    ] = 8


def check(values: Mapping[str, Any], task: Task, tokens: int) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for what cannot be measured of this model on this task."""
    if values["gradient_batches"] == 1:
        yield "gradient_batches", "must be 0, or at least 2 to compare"
    yield from mixtures.check(values, task)
    yield from vectors.check(values, task)
    asked = [name for name in ("attention_scores", "ablated_heads") if values[name]]
    if not asked:
        return
    pairs = attention.pairs(tokens, offset_of(task))
    if "model.heads" not in values:
        yield asked[0], f"{values['model.name']} has no attention heads"
    elif not isinstance(task.reads.at, slice) or task.reads.at.step != 2:
        yield asked[0], f"needs prompts of (x, y) pairs; {values['task.name']} has none"
    elif values["attention_scores"] and pairs < FEWEST_PAIRS:
        yield (
            "attention_scores",
            f"needs {FEWEST_PAIRS} pairs to a prompt to tell induction; there are {pairs}",
        )
    else:
        heads = values["model.depth"] * values["model.heads"]
        if 2 * values["ablated_heads"] > heads:
            yield (
                "ablated_heads",
                f"must be at most {heads // 2}: of {heads} heads, as many others are the control",
            )


def labels(values: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Sequence[str]]:
    """Return the names along dimensions of what is measured, where they have names."""
    return {**mixtures.labels(values, groups), **vectors.labels(values, groups)}


def offset_of(task: Task) -> int:
    """Return how many tokens stand before a prompt's first pair."""
    return (task.reads.at.start or 0) if isinstance(task.reads.at, slice) else 0


def batch_probes(config: Mapping[str, Any], model: Model, task: Task) -> tuple[BatchProbe, ...]:
    """Return what is measured on training batches."""
    made = (
        gradients.batch_probe(config["gradient_batches"], model, task),
        curvature.curvature_probe(
            config["sharpness_batches"], config["sharpness_steps"], model, task
        ),
    )
    return tuple(probe for probe in made if probe is not None)


def probes(config: Mapping[str, Any], model: Model, task: Task, everywhere: Model) -> tuple:
    """Return what is measured on the parameters and the samples of the laws.

    `everywhere` is the model, read at all positions of a sequence.
    """
    made = []
    if config["weight_norms"]:
        made.append(lambda key, params, laws, losses: layer_norms(params))
    if config["attention_scores"] or config["ablated_heads"]:
        made.append(
            attention_probe(
                model,
                task,
                attention.SCORES if config["attention_scores"] else (),
                config["ablated_heads"],
                config["ablation_draws"],
            )
        )
    if config["mixed_prompts"]:
        made.append(mixtures.probe(config, everywhere, task))
    if config["vector_prompts"]:
        made.append(vectors.probe(config, everywhere, task))
    return tuple(made)


def attention_probe(model: Model, task: Task, recorded: tuple[str, ...], count: int, draws: int):
    """Return what scores heads on the test sample and removes `count` of them, if any."""
    wanted = recorded if not count else tuple({*recorded, "retrospective"})

    def probe(key: Key, params: PyTree, laws: Mapping[str, Any], losses) -> dict[str, Array]:
        inputs = laws["test"].batch.inputs
        scores = attention.head_scores(model, params, inputs, offset_of(task), wanted)
        found = {f"attention_{name}": scores[name] for name in recorded}
        if count:
            found |= attention.ablation(key, losses, scores["retrospective"], count, draws)
        return found

    return probe
