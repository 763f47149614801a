"""The registries: every task, model and optimiser that a config can name, one line each."""

from __future__ import annotations

from plateaus.data import design
from plateaus.experiment.schema import Component
from plateaus.models import mlp, transformer
from plateaus.optim import optimiser
from plateaus.tasks import facts, in_context, linear_regression, sparse_parity
from plateaus.types import Model, Task

DATA = Component(design.Spec, design.Knobs, design.design, design.check)
OPTIM = Component(optimiser.Spec, optimiser.Knobs, optimiser.optimiser)


def _task(module, make, inputs: str) -> Component:
    groups = getattr(module, "groups", None)
    return Component(module.Spec, module.Knobs, make, module.check, inputs, groups=groups)


TASKS = {
    "sparse_parity": _task(sparse_parity, sparse_parity.sparse_parity, "vector"),
    "linear_regression": _task(linear_regression, linear_regression.linear_regression, "tokens"),
    "in_context": _task(in_context, in_context.in_context, "tokens"),
    "facts": _task(facts, facts.facts, "tokens"),
}


def _mlp(spec: mlp.Spec, task: Task, example) -> Model:
    return mlp.mlp(spec, example.inputs.shape[-1])


def _transformer(spec: transformer.Spec, task: Task, example) -> Model:
    if task.vocabulary is not None:
        return transformer.transformer(spec, vocabulary=task.vocabulary, read_at=task.read_at)
    return transformer.transformer(spec, inputs=example.inputs.shape[-1], read_at=task.read_at)


MODELS = {
    "mlp": Component(mlp.Spec, mlp.Knobs, _mlp, None, "vector", mlp.layers),
    "transformer": Component(
        transformer.Spec,
        transformer.Knobs,
        _transformer,
        transformer.check,
        "tokens",
        transformer.layers,
    ),
}
PAIRS = tuple((m, t) for m in MODELS for t in TASKS if MODELS[m].inputs == TASKS[t].inputs)
