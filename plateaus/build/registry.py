"""The registries: every task, model and optimiser that a config can name, one line each.

One of your own needs no line here. A config file adds it when it is read,

    from plateaus.build.registry import TASKS
    from plateaus.config.component import Component

    TASKS["majority"] = Component(Spec, Knobs, majority, check, inputs="vector")

where `Spec`, `Knobs`, `majority` and `check` are as in any file of `plateaus/tasks/laws/`, and its
base says `task={"name": "majority"}`. MODELS takes a model in the same way, with its `layers`, and
`plateaus.data.mixers.registry.MIXERS` a mixer. An installed package offers a component to every
config, without an import, by an entry point in its pyproject.toml:

    [project.entry-points."plateaus.tasks"]    # or plateaus.models, plateaus.mixers
    majority = "my_package.majority:COMPONENT"

Its fields are then checked, swept and listed as those of any other.
"""

from __future__ import annotations

from plateaus.build.regrouping import regroupable
from plateaus.config.schema import Component
from plateaus.data import designs
from plateaus.extensions import offered
from plateaus.models.layers import layers
from plateaus.models.networks import dual_encoder, hyena, mamba, mlp, transformer
from plateaus.optim import optimisers
from plateaus.tasks.corpus import corpus
from plateaus.tasks.laws import (
    addition,
    characters,
    facts,
    image_text,
    in_context_domains,
    languages,
    lego,
    linear_regression,
    sparse_parity,
    teacher_student,
    text,
    words,
)
from plateaus.types import Model, Task

DATA = Component(designs.Spec, designs.Knobs, designs.design, designs.check)
OPTIM = Component(optimisers.Spec, optimisers.Knobs, optimisers.optimiser, optimisers.check)


def _task(module, make, inputs: str) -> Component:
    names = ("groups", "derive", "says")
    options = {name: getattr(module, name) for name in names if hasattr(module, name)}
    component = Component(module.Spec, module.Knobs, make, module.check, inputs, **options)
    embeddings = getattr(module, "embeddings", None)
    return component if embeddings is None else regroupable(component, embeddings)


TASKS = {
    "sparse_parity": _task(sparse_parity, sparse_parity.sparse_parity, "vector"),
    "teacher_student": _task(teacher_student, teacher_student.teacher_student, "vector"),
    "linear_regression": _task(linear_regression, linear_regression.linear_regression, "tokens"),
    "in_context": _task(in_context_domains, in_context_domains.in_context_domains, "tokens"),
    "facts": _task(facts, facts.facts, "tokens"),
    "languages": _task(languages, languages.languages, "tokens"),
    "words": _task(words, words.words, "tokens"),
    "lego": _task(lego, lego.lego, "tokens"),
    "addition": _task(addition, addition.addition, "tokens"),
    "characters": _task(characters, characters.characters, "tokens"),
    "image_text": _task(image_text, image_text.image_text, "image_text"),
    "text": _task(corpus, text.text, "tokens")._replace(
        borrows=corpus.BORROWS, groups_from=corpus.GROUPS_FROM
    ),
}


def _mlp(spec: mlp.Spec, task: Task, example) -> Model:
    return mlp.mlp(spec, example.inputs.shape[-1], task.reads.outputs)


def _towers(spec: dual_encoder.Spec, task: Task, example) -> Model:
    image, captions = example.inputs
    return dual_encoder.dual_encoder(spec, image.shape[-1], captions.shape[-3:])


def _sequences(module, make, check=None) -> Component:
    """A model of sequences: of discrete tokens where the task has a vocabulary, else of numbers."""

    def made(spec, task: Task, example) -> Model:
        reads = task.reads
        if reads.vocabulary is not None:
            return make(spec, vocabulary=reads.vocabulary, read_at=reads.at)
        return make(spec, inputs=example.inputs.shape[-1], read_at=reads.at)

    return Component(module.Spec, module.Knobs, made, check, "tokens", layers)


MODELS = {
    "mlp": Component(mlp.Spec, mlp.Knobs, _mlp, None, "vector", mlp.layers),
    "dual_encoder": Component(
        dual_encoder.Spec, dual_encoder.Knobs, _towers, None, "image_text", dual_encoder.layers
    ),
    "transformer": _sequences(transformer, transformer.transformer, transformer.check),
    "mamba": _sequences(mamba, mamba.mamba),
    "hyena": _sequences(hyena, hyena.hyena),
}
TASKS |= offered("plateaus.tasks", Component, TASKS)
MODELS |= offered("plateaus.models", Component, MODELS)
PAIRS = tuple((m, t) for m in MODELS for t in TASKS if MODELS[m].inputs == TASKS[t].inputs)
