"""The `optim.*` section of a config: the optimiser family and its numbers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import optax

from plateaus.fields import Field, declared, joined
from plateaus.optim import aggregation
from plateaus.optim.aggregators.pcgrad import PROJECT
from plateaus.optim.averaging import schedule_free
from plateaus.optim.bias import bias_gradients
from plateaus.optim.clipping import clip_norm
from plateaus.optim.decoupled_decay import weight_decay
from plateaus.optim.layers import layer_rates
from plateaus.optim.schedules import SHAPES, decay, warm_up
from plateaus.optim.sharpness import sharpness_aware
from plateaus.types import Aggregator, Scalar

FAMILIES: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": lambda knobs: optax.sgd(knobs.learning_rate),
    "momentum": lambda knobs: optax.sgd(knobs.learning_rate, momentum=knobs.beta1),
    "nesterov": lambda knobs: optax.sgd(knobs.learning_rate, momentum=knobs.beta1, nesterov=True),
    "adam": lambda knobs: optax.adam(knobs.learning_rate, b1=knobs.beta1, b2=knobs.beta2),
    "nadam": lambda knobs: optax.nadam(knobs.learning_rate, b1=knobs.beta1, b2=knobs.beta2),
    "lion": lambda knobs: optax.lion(
        knobs.learning_rate, b1=knobs.beta1, b2=knobs.beta2, weight_decay=0.0
    ),
    "muon": lambda knobs: optax.contrib.muon(
        knobs.learning_rate, beta=knobs.beta1, adam_b1=knobs.beta1, adam_b2=knobs.beta2
    ),
    "schedule_free_sgd": lambda knobs: optax.sgd(knobs.learning_rate),
    "schedule_free_adam": lambda knobs: optax.adam(knobs.learning_rate, b1=0.0, b2=knobs.beta2),
}
"""What a family makes of a gradient, by `optim.name`; all follow optax, which has the sources.

Muon: every matrix of the parameters, that of the read-out and embeddings too, by the
orthogonalised momentum; all others, as biases, by Adam with Nesterov's momentum, of the same rate.
Papers use other betas than Adam's, the defaults here: Lion .9 and .99 (arXiv 2302.06675), Muon a
beta1 of .95. Their decay of the weights is `optim.weight_decay`, 0 by default.
"""
SCHEDULE_FREE = frozenset({"schedule_free_sgd", "schedule_free_adam"})  # beta1 is their beta

NO_AGGREGATOR = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The family of the optimiser, and how the examples' gradients become one."""

    name: Annotated[str, Field(help="optimiser", choices=tuple(FAMILIES))] = "sgd"
    aggregator: Annotated[
        str,
        Field(
            help="how the gradients of a batch's examples become one; none: their plain mean",
            choices=(NO_AGGREGATOR, *aggregation.AGGREGATORS),
            neutral=NO_AGGREGATOR,
        ),
    ] = NO_AGGREGATOR
    project: Annotated[
        str, Field(help="when pcgrad projects: on a conflict, or always", choices=PROJECT)
    ] = "conflict"
    decay_shape: Annotated[
        str, Field(help="how the rate decays", choices=tuple(SHAPES), neutral="linear")
    ] = "linear"


class Knobs(NamedTuple):
    """The numbers of the optimiser."""

    learning_rate: Annotated[
        Scalar, Field(help="learning rate", low=0, low_open=True, high=1e12, units="1/step")
    ] = 0.1
    beta1: Annotated[
        Scalar,
        Field(help="momentum; first beta of Adam, Lion, Muon", low=0, high=1, high_open=True),
    ] = 0.9
    beta2: Annotated[
        Scalar, Field(help="second beta of Adam and Lion", low=0, high=1, high_open=True)
    ] = 0.999
    gradient_bias: Annotated[
        Scalar, Field(help="weight gamma of the stored gradient", low=0, high=1e6, neutral=0.0)
    ] = 0.0
    gradient_bias_every: Annotated[
        Scalar, Field(help="steps between two storings", low=1, high=2**30, units="steps")
    ] = 100
    warmup_steps: Annotated[
        Scalar,
        Field(help="steps of linear warm-up", low=0, high=2**30, neutral=0, units="steps"),
    ] = 0
    decay_start: Annotated[
        Scalar, Field(help="updates before the decay", low=0, high=2**30, units="steps")
    ] = 0
    decay_steps: Annotated[
        Scalar,
        Field(help="steps of the decay to zero", low=0, high=2**30, neutral=0, units="steps"),
    ] = 0
    weight_decay: Annotated[
        Scalar,
        Field(help="decoupled weight decay lambda, times the rate", low=0, high=1e6, neutral=0.0),
    ] = 0.0
    clip_norm: Annotated[
        Scalar, Field(help="largest norm of a gradient; 0: any", low=0, high=1e12, neutral=0.0)
    ] = 0.0
    sam_radius: Annotated[
        Scalar, Field(help="radius rho of sharpness-aware steps", low=0, high=1e6, neutral=0.0)
    ] = 0.0
    aggregator_strength: Annotated[
        Scalar, Field(help="how far from the mean to the aggregator", low=0, high=1e6, neutral=0.0)
    ] = 1.0


ALL = frozenset(Knobs._fields)
RATE = "rate_"  # with the name of a layer: its knob


class Transformation(NamedTuple):
    """A transformation of one's own of the gradient, before the family of the optimiser.

    Fields:
      make: knobs -> transformation; it finds its own among those of the optimiser.
      knobs: NamedTuple class of its numbers, each with a neutral value.
    """

    make: Callable[[Any], optax.GradientTransformation]
    knobs: type


TRANSFORMATIONS: dict[str, Transformation] = {}
"""Those that config files have added: after the clipping and the gradient bias, in this order."""


def knobs_with_rates(layers: tuple[str, ...]) -> Any:
    """Return the class `Knobs` with a knob `rate_<layer>` for each layer, and those of one's own.

    >>> knobs_with_rates(("readout",))(rate_readout=0.0).rate_readout
    0.0
    """
    return _knobs(layers, tuple(TRANSFORMATIONS.values()))


@functools.cache
def _knobs(layers: tuple[str, ...], own: tuple[Transformation, ...]) -> Any:
    knobs = Knobs
    for transformation in own:
        knobs = joined(knobs, declared(transformation.knobs))
    rate = Field(help="multiplies the layer's learning rate", low=0, high=1e6, neutral=1.0)
    return joined(knobs, {RATE + layer: (Annotated[Scalar, rate], 1.0) for layer in layers})


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for a decay that the run never gets to, or a shape without a decay.

    >>> decay = {"decay_start": 100, "decay_steps": 20, "decay_shape": "linear"}
    >>> list(check({**decay, "steps": 100}))
    [('decay_start', 'does not begin within the run: it has 100 steps')]
    """
    if values["decay_steps"] and values["decay_start"] >= values["steps"]:
        yield "decay_start", f"does not begin within the run: it has {values['steps']} steps"
    if values["decay_shape"] != "linear" and not values["decay_steps"]:
        yield "decay_shape", "does nothing without a decay: give optim.decay_steps"


def optimiser(
    spec: Spec, used: frozenset[str] = ALL
) -> Callable[[Any], optax.GradientTransformation]:
    """Return knobs -> transformation, to be called *inside* the vmapped function.

    There the knobs are traced scalars, which is bit-identical to Python numbers. An intervention
    whose knob is not `used` is left out. In order, from the batch's gradient to the update:
    schedule-free averaging and sharpness-aware steps (`update` needs `grad_fn` for either), the
    clipping of their gradient, the gradient bias (so that it stores and leans on clipped ones),
    those of one's own, the family, the weight decay (so that what follows multiplies it too), the
    layers' rates, the warm-up, the decay of the rate.

    >>> optimiser(Spec(name="adam"))(Knobs(learning_rate=1e-3)).init({}) is not None
    True
    """
    layers = sorted(name.removeprefix(RATE) for name in used if name.startswith(RATE))

    def build(knobs: Any) -> optax.GradientTransformation:
        own = [t.make(knobs) for t in TRANSFORMATIONS.values() if used & set(declared(t.knobs))]
        parts = [*own, FAMILIES[spec.name](knobs)]
        if "gradient_bias" in used:
            parts.insert(0, bias_gradients(knobs.gradient_bias, knobs.gradient_bias_every))
        if "clip_norm" in used:
            parts.insert(0, clip_norm(knobs.clip_norm))
        if "weight_decay" in used:
            parts.append(weight_decay(knobs.learning_rate, knobs.weight_decay))
        if layers:
            parts.append(layer_rates({layer: getattr(knobs, RATE + layer) for layer in layers}))
        if "warmup_steps" in used:
            parts.append(warm_up(knobs.warmup_steps))
        if "decay_steps" in used:
            parts.append(decay(knobs.decay_start, knobs.decay_steps, spec.decay_shape))
        whole = parts[0] if len(parts) == 1 else optax.chain(*parts)
        if "sam_radius" in used:
            whole = sharpness_aware(whole, knobs.sam_radius)
        if spec.name in SCHEDULE_FREE:
            warmup = knobs.warmup_steps if "warmup_steps" in used else 0
            whole = schedule_free(whole, knobs.beta1, warmup)
        return whole

    return build


def aggregator(spec: Spec) -> Callable[[Any], Aggregator] | None:
    """Return knobs -> Aggregator with weights of the scale of a mean, or None where there is none.

    A sum is divided by B, so that a learning rate means the same under every aggregator.

    >>> import jax, jax.numpy as jnp
    >>> made = aggregator(Spec(aggregator="pcgrad"))
    >>> jax.jit(made(Knobs()).update)(jnp.array([[1.0, -0.5], [-0.5, 1.0]]), ())[0].tolist()
    [0.75, 0.75]
    """
    if spec.aggregator == NO_AGGREGATOR:
        return None
    options = {"project": spec.project} if spec.aggregator == "pcgrad" else {}
    made = aggregation.aggregator(spec.aggregator, **options)
    returns = aggregation.AGGREGATORS[spec.aggregator].returns

    def build(knobs: Any) -> Aggregator:
        blended = aggregation.blend(made, knobs.aggregator_strength, returns)
        return aggregation.averaged(blended) if returns == "sum" else blended

    return build
