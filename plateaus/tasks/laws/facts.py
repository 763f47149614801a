"""Fact memorisation: the answer to (subject, relation), through noise; the law of paper 1, 2.3."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from plateaus.fields import Field
from plateaus.tasks.shared.mixtures import NoKnobs
from plateaus.tasks.shared.questions import IMPOSSIBLE, token_losses
from plateaus.types import Array, Draw, Example, Float, Int, Key, LogPrior, Number, Reads, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The sizes of the world and of a document; the paper states the subjects only."""

    subjects: Annotated[int, Field(help="number of subjects S", low=1, high=2**20)] = 100
    relations: Annotated[int, Field(help="number of relations R", low=1, high=2**16)] = 8
    answers: Annotated[int, Field(help="answers A of each relation", low=2, high=2**16)] = 10
    noise_tokens: Annotated[int, Field(help="number of noise tokens N", low=1, high=2**20)] = 50
    noise_length: Annotated[
        int, Field(help="noise tokens m in a document", low=0, high=2**16, units="tokens")
    ] = 4
    loss_over: Annotated[str, Field(help="what is trained on", choices=("document", "answer"))] = (
        "document"
    )


Knobs = NoKnobs  # every intervention on the facts is one on which subjects are drawn


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for a test sample that would weigh some facts more than others."""
    tokens = values["subjects"] + values["relations"] * (1 + values["answers"])
    if tokens + values["noise_tokens"] > 2**24:
        yield "answers", f"with these sizes there are {tokens} tokens: at most {2**24}"
    facts = values["subjects"] * values["relations"]
    if values["eval_points"] % facts:
        yield "eval_points", f"must be a multiple of subjects x relations ({facts}), all the facts"


def vocabulary(spec: Spec) -> int:
    """Return the number of tokens: subjects, relations, noise, then each relation's answers.

    >>> vocabulary(Spec(subjects=10, relations=2, answers=3, noise_tokens=5))
    23
    """
    return spec.subjects + spec.relations * (1 + spec.answers) + spec.noise_tokens


def first_answer(spec: Spec, relation: Int[Array, ""]) -> Int[Array, ""]:
    """Return the token of a relation's answer number 0; the others follow it."""
    return spec.subjects + spec.relations + spec.noise_tokens + relation * spec.answers


def facts(spec: Spec) -> Task:
    r"""Learn $a = \phi(s, r)$ from documents [s, r, n_1, .., n_m, a].

    phi(s, r) is uniform over the answers of relation r, drawn once for a world. Subject `index`;
    the relation and the noise tokens are uniform and fresh in every document. Test documents go
    through all pairs (s, r) in turn, with fresh noise. The training loss is the mean cross-entropy
    of the tokens after the first, in nats ("document"), or that of the answer ("answer"); the
    tested loss is the answer's: log A on the plateau, where only the relation is used, and 0.

    Shapes: inputs [m + 2] and targets [m + 2] of int32; predictions are logits [m + 2, V].
    Predictors, as logits: "guess", uniform over the relation's answers; "facts", which knows phi;
    "trained_facts", which knows it for the subjects that training draws, and guesses for others.

    Source: paper 1, section 2.3 and appendix B.3. Not stated there: R, A, N and m.

    >>> task = facts(Spec(subjects=10, relations=2, noise_length=3))
    >>> world = task.init(jax.random.key(0))
    >>> document = jax.jit(task.emit)(jax.random.key(1), world, Draw(7), Knobs())
    >>> document.inputs.shape, int(document.inputs[0]), int(document.targets[0]) - 10 in (0, 1)
    ((5,), 7, True)
    """

    def init(key: Key) -> Array:
        return jax.random.randint(key, (spec.subjects, spec.relations), 0, spec.answers)

    def document(key: Key, phi: Array, subject: Any, relation: Any) -> Example:
        noise = jax.random.randint(key, (spec.noise_length,), 0, spec.noise_tokens)
        answer = first_answer(spec, relation) + phi[subject, relation]
        words = jnp.concatenate(
            [
                jnp.stack([subject, spec.subjects + relation]),
                spec.subjects + spec.relations + noise,
                answer[None],
            ]
        ).astype(jnp.int32)
        return Example(words[:-1], words[1:])

    def emit(key: Key, world: Array, draw: Draw, knobs: object) -> Example:
        key_relation, key_noise = jax.random.split(key)
        relation = jax.random.randint(key_relation, (), 0, spec.relations)
        return document(key_noise, world, jnp.asarray(draw.index), relation)

    def emit_test(key: Key, world: Array, number: Number) -> Example:
        fact = jnp.asarray(number) % (spec.subjects * spec.relations)
        return document(key, world, fact // spec.relations, fact % spec.relations)

    def answer_loss(prediction: Array, example: Example) -> Array:
        return token_losses(prediction[-1:], example.targets[-1:])[0]

    def document_loss(prediction: Array, example: Example) -> Array:
        return jnp.mean(token_losses(prediction, example.targets))

    def accuracy(prediction: Array, example: Example) -> Array:
        return (jnp.argmax(prediction[-1]) == example.targets[-1]).astype(jnp.float32)

    def predictors(
        world: Array, batch: Example, knobs: object, log_prior: LogPrior
    ) -> dict[str, Array]:
        token = jnp.arange(vocabulary(spec))
        end = spec.subjects + spec.relations

        def among(low: Any, high: Any) -> Float[Array, " V"]:
            return jnp.where((token >= low) & (token < high), 0.0, IMPOSSIBLE)

        def logits(example: Example, knows):
            subject, relation = example.inputs[0], example.targets[0] - spec.subjects
            low = first_answer(spec, relation)
            answer = low + world[subject, relation]
            certain = jnp.where(knows(subject), among(answer, answer + 1), 0.0)
            middle = jnp.broadcast_to(
                among(end, end + spec.noise_tokens)[None], (spec.noise_length, token.shape[0])
            )
            last = among(low, low + spec.answers) + certain
            return jnp.concatenate([among(spec.subjects, end)[None], middle, last[None]])

        def everywhere(knows):
            return jax.vmap(lambda example: logits(example, knows))(batch)

        drawn = jnp.isfinite(log_prior(jnp.arange(spec.subjects, dtype=jnp.int32)))
        return {
            "guess": everywhere(lambda subject: False),
            "facts": everywhere(lambda subject: True),
            "trained_facts": everywhere(lambda subject: drawn[subject]),
        }

    return Task(
        init=init,
        emit=emit,
        emit_test=emit_test,
        loss=document_loss if spec.loss_over == "document" else answer_loss,
        test_loss=answer_loss,
        metrics={"accuracy": accuracy},
        predictors=predictors,
        uninformed="guess",
        best="facts",
        size=spec.subjects,
        item=lambda example: example.inputs[0],
        reads=Reads(vocabulary(spec)),
        relevant=(0,),  # the subject: the relation by itself is used on the plateau
    )
