"""Where attention heads look, and the loss without some of them, at every evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from plateaus.fields import Field
from plateaus.measures.attention import probe as attention
from plateaus.measures.instrument import Instrument, Parts, Probe, Values
from plateaus.types import Array, Key, PyTree, Task
from plateaus.variables import Variable, with_groups

FEWEST_PAIRS = 4  # so that induction differs from attention to the previous token
MEANINGS = {
    "retrospective": "attention of the y tokens to their own x, mean",
    "previous": "attention of the tokens to the one before, mean",
    "induction": "attention to what came after the token before, mean",
}
WITHOUT = Variable("test loss without the most retrospective heads", "loss")
CONTROL = Variable("test loss without as many other heads, drawn at random", "loss", ("draw",))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """Which heads are looked at, and removed."""

    attention_scores: Annotated[
        bool, Field(help="record where each attention head looks at each evaluation")
    ] = False
    ablated_heads: Annotated[
        int,
        Field(help="most retrospective heads removed at evaluations; 0: none", low=0, high=2**16),
    ] = 0
    ablation_draws: Annotated[
        int,
        Field(
            help="random draws of as many other heads to compare",
            low=1,
            high=1024,
            switch="ablated_heads",
        ),
    ] = 8


def _variables(task: Task, layers: Sequence[str]) -> dict[str, Variable]:
    scores = {
        f"attention_{name}": Variable(MEANINGS[name], axes=("layer", "head"))
        for name in attention.SCORES
    }
    return {
        **scores,
        **with_groups({"ablation_loss_retrospective": WITHOUT}, task.group_names),
        **with_groups({"ablation_loss_random": CONTROL}, task.group_names, after=1),
    }


def check(values: Values, task: Task, tokens: int) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for heads that are not there, or prompts without pairs."""
    fields = [name for name in ("attention_scores", "ablated_heads") if values[name]]
    if not fields:
        return
    pairs = attention.pairs(tokens, offset_of(task))
    if "model.heads" not in values:
        yield fields[0], f"{values['model.name']} has no attention heads"
    elif not isinstance(task.reads.at, slice) or task.reads.at.step != 2:
        yield fields[0], f"needs prompts of (x, y) pairs; {values['task.name']} has none"
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


def offset_of(task: Task) -> int:
    """Return how many tokens stand before a prompt's first pair."""
    return (task.reads.at.start or 0) if isinstance(task.reads.at, slice) else 0


def probe(values: Values, parts: Parts) -> Probe | None:
    """Return what scores heads on the test sample and removes some; None if both are off."""
    recorded = attention.SCORES if values["attention_scores"] else ()
    count, draws = values["ablated_heads"], values["ablation_draws"]
    if not (recorded or count):
        return None
    needed = recorded if not count else tuple({*recorded, "retrospective"})
    offset = offset_of(parts.task)

    def measure(key: Key, params: PyTree, laws: Mapping[str, Any], losses) -> dict[str, Array]:
        inputs = laws["test"].batch.inputs
        scores = attention.head_scores(parts.model, params, inputs, offset, needed)
        measured = {f"attention_{name}": scores[name] for name in recorded}
        if count:
            measured |= attention.ablation(key, losses, scores["retrospective"], count, draws)
        return measured

    return measure


INSTRUMENT = Instrument(Spec, _variables, probe, check=check)
