"""Measures of progress under the plateau, recorded at evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from plateaus.fields import Field
from plateaus.measures.attention.probe import TOGETHER, blocks_with_heads
from plateaus.measures.instrument import Instrument, Parts, Probe, Values
from plateaus.measures.progress import probe as progress
from plateaus.types import Array, Key, PyTree, Task
from plateaus.variables import Variable

OF_VECTORS = {
    "relevant_weights": "share of the squared first-layer weights on what the target depends on",
    "target_coefficient": "coefficient of the target in the output",
    "target_share": "share of the target in the power of the output",
}
OF_TOKENS = {"relevant_attention": "attention of the last token to what it lacks on the plateau"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """Whether they are recorded."""

    progress_measures: Annotated[
        bool, Field(help="record what moves under the plateau: weights, output, attention")
    ] = False


def _variables(task: Task, layers: Sequence[str]) -> dict[str, Variable]:
    if not task.relevant:
        return {}
    meanings = OF_VECTORS if task.reads.vocabulary is None else OF_TOKENS
    return {name: Variable(meaning).of(family="progress") for name, meaning in meanings.items()}


def check(values: Values, task: Task, tokens: int) -> Iterator[tuple[str, str]]:
    """Yield (field, message) where it is not known what to look for, or where."""
    if not values["progress_measures"]:
        return
    if not task.relevant:
        yield (
            "progress_measures",
            f"{values['task.name']} does not name what its answers depend on",
        )
    elif task.reads.vocabulary is None and values["model.name"] != "mlp":
        yield "progress_measures", f"needs the first layer of an mlp, not {values['model.name']}"
    elif task.reads.vocabulary is not None and "model.heads" not in values:
        yield "progress_measures", f"{values['model.name']} has no attention heads"


def probe(values: Values, parts: Parts) -> Probe | None:
    """Return what measures progress on the test sample; None where it is off."""
    if not values["progress_measures"]:
        return None
    relevant, model = parts.task.relevant, parts.model
    names = [
        f"block_{layer}.attention_weights" for layer in range(blocks_with_heads(model.activations))
    ]

    def of_vectors(key: Key, params: PyTree, laws: Mapping[str, Any], losses) -> dict[str, Array]:
        batch = laws["test"].batch
        outputs, _ = model.apply(params, batch.inputs)
        coefficient, share = progress.on_target(outputs, batch.targets)
        return {
            "relevant_weights": progress.weight_on(
                params[model.activations[0]]["kernel"], relevant
            ),
            "target_coefficient": coefficient,
            "target_share": share,
        }

    def of_tokens(key: Key, params: PyTree, laws: Mapping[str, Any], losses) -> dict[str, Array]:
        def seen(prompt: Array) -> Array:
            _, captured = model.apply(params, prompt[None], capture=names)
            return jnp.stack([captured[name] for name in names])[:, 0]  # [L, H, T, T]

        inputs = laws["test"].batch.inputs
        each = jax.lax.map(seen, inputs, batch_size=min(TOGETHER, inputs.shape[0]))
        weights = jnp.moveaxis(each, 0, 1)
        return {"relevant_attention": progress.attention_to(weights, relevant)}

    return of_vectors if parts.task.reads.vocabulary is None else of_tokens


INSTRUMENT = Instrument(Spec, _variables, probe, check=check)
