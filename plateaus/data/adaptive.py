"""Shares of groups that adapt to training: a mixer in use, its stages and its strength."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.data import rounds
from plateaus.data.mixers.mixer import Mixer, normalised, uniform_weights
from plateaus.data.mixers.registry import MIXERS, made
from plateaus.fields import Field
from plateaus.types import EXACT, Array, Float, PyTree, Signals

FIXED, TARGET = "fixed", "target_"


def rule(mixers: Iterable[str]) -> Field:
    """Return the declaration of the field that chooses among mixers."""
    return Field(help="rule that adapts the shares of the groups", choices=(FIXED, *mixers))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """What sets a branch of adaptive mixing, whatever the mixer."""

    mixer: Annotated[str, rule(MIXERS)] = FIXED
    round_steps: Annotated[
        int, Field(help="steps between two updates of the shares", low=1, high=2**30)
    ] = 100
    mixer_layers: Annotated[
        str,
        Field(help="layers whose gradients the mixer sees: last, all, or names with commas"),
    ] = "last"
    mixer_gram: Annotated[
        str,
        Field(
            help="inner products of gradients: of all examples, or across two halves of a round",
            choices=("biased", "unbiased"),
        ),
    ] = "biased"
    mixer_empty: Annotated[
        str,
        Field(
            help="the gradient of a group without an example in a round",
            choices=("zero", "last"),
        ),
    ] = "zero"
    mixer_use: Annotated[
        str,
        Field(
            help="what the mixer's weights set while it adapts; published: as in its paper",
            choices=("published", "draws", "losses"),
        ),
    ] = "published"
    reference_steps: Annotated[
        int, Field(help="steps of a reference model, trained first", low=0, high=2**30)
    ] = 0
    proxy_steps: Annotated[
        int,
        Field(
            help="steps of a proxy model on which the mixer adapts; then its average is kept",
            low=0,
            high=2**30,
        ),
    ] = 0
    short_steps: Annotated[
        int, Field(help="steps of each short run on one group", low=1, high=2**20)
    ] = 10
    target_points: Annotated[
        int, Field(help="examples of each group that a mixer may test on", low=1, high=2**20)
    ] = 32


class State(NamedTuple):
    """How the shares stand."""

    ledger: rounds.Ledger
    last: PyTree  # the last mean gradients; None unless they stand in for an empty group's
    mixer: PyTree
    weights: Array  # [G], of the mixer
    total: Array  # [G], of the weights of all rounds
    rounds: Array  # how many
    forced: Array  # 1 where `weights` are the shares whatever the strength, else 0
    gain: Array  # [2, G], G p of the last round: biased, unbiased


class Adaptive(NamedTuple):
    """A mixer in use: its spec, its rule, and the shapes of the gradients that it gets.

    `tracked`: tree of ShapeDtypeStruct [G, ...], the gradients it sees; None without.
    `target`: the evaluation weights of the groups, in any unit.
    """

    spec: Spec
    mixer: Mixer
    target: tuple[float, ...]
    tracked: PyTree = None

    @property
    def weighs_losses(self) -> bool:
        """Whether weights are of losses, and not of draws, while the mixer adapts."""
        published = MIXERS[self.spec.mixer].emphasis
        return {"published": published, "draws": False, "losses": True}[self.spec.mixer_use]

    @property
    def begins(self) -> int:
        """The step from which the mixer adapts."""
        return self.spec.reference_steps

    @property
    def ends(self) -> int:
        """The step from which its time average is kept; with no proxy, never."""
        return self.begins + self.spec.proxy_steps if self.spec.proxy_steps else 2**31 - 1


def adaptive(spec: Any, target: tuple[float, ...], tracked: PyTree = None) -> Adaptive:
    """Return the mixer that a design's spec names, in use."""
    return Adaptive(spec, made(spec.mixer, spec), target, tracked)


def init(use: Adaptive) -> State:
    """Return equal shares and an empty ledger."""
    groups = len(use.target)
    ledger = rounds.empty(groups, use.tracked)
    return State(
        ledger=ledger,
        last=rounds.means(ledger) if use.spec.mixer_empty == "last" else None,
        mixer=use.mixer.init(groups),
        weights=uniform_weights(groups),
        total=jnp.zeros(groups),
        rounds=jnp.float32(0.0),
        forced=jnp.float32(0.0),
        gain=jnp.zeros((2, groups)),
    )


def blended(base: Float[Array, " G"], state: State, strength: Array) -> Float[Array, " G"]:
    r"""Return $b + s (q - b)$: part of the way from the mixture's own shares to the mixer's.

    q has the mixer's weights of the groups that the mixture draws now; it is b where they are not
    numbers, or 0 all of them. At strength 0 b, bit for bit.
    """
    among = normalised(jnp.where(base > 0, state.weights, 0.0), base)
    shares = jnp.where(strength == 0, base, base + strength * (among - base))
    return jnp.where(state.forced > 0, state.weights, shares)


def draws(use: Adaptive, base: Array, state: State, strength: Array, t: Any) -> Array:
    """Return the shares by which groups are drawn at step t."""
    shares = blended(base, state, strength)
    if not use.weighs_losses:
        return shares
    return jnp.where((t < use.ends) & (state.forced == 0), base, shares)


def emphasis(use: Adaptive, base: Array, state: State, strength: Array, t: Any) -> Array:
    """Return what the losses of each group are multiplied by at step t: 1 where draws are weighed.

    With groups drawn by b, the mean of $q_i / b_i$ times the losses has the expectation of a draw
    by q. 1 for a group that is not drawn.
    """
    if not use.weighs_losses:
        return jnp.ones_like(base)
    factor = blended(base, state, strength) / jnp.where(base > 0, base, 1.0)
    return jnp.where((base > 0) & (t < use.ends) & (state.forced == 0), factor, 1.0)


def observe(
    use: Adaptive, state: State, signals: Signals, target: Array, shares: Array, knobs: Any, t: Any
) -> State:
    """Add a step to the ledger; at the end of a round let the mixer set the shares.

    `target` [G] are the evaluation weights, in any unit, `shares` those of this step, `knobs` the
    mixer's own.
    """
    ledger = rounds.add(state.ledger, signals, t)
    fresh = rounds.empty(len(use.target), use.tracked)

    def close(state: State) -> State:
        means, aim = rounds.means(ledger, state.last), normalised(target, 1 / len(use.target))
        gram, gain = None, state.gain
        if use.tracked is not None:
            grams = rounds.grams(means)
            gram = grams[use.spec.mixer_gram]
            gain = jnp.stack([jnp.matmul(g, aim, precision=EXACT) for g in grams.values()])
        summary = rounds.summary(ledger, signals, means, gram, aim, shares)
        weights, mixer = use.mixer.update(summary, state.mixer, knobs, t)
        weights = weights.astype(jnp.float32)
        total, number = state.total + weights, state.rounds + 1
        if use.spec.proxy_steps:
            weights = jnp.where(t + 1 == use.ends, total / number, weights)
        kept = None if state.last is None else means
        new = State(fresh, kept, mixer, weights, total, number, state.forced, gain)
        adapts = (t >= use.begins) & (t < use.ends)
        chosen = jax.tree.map(lambda a, b: jnp.where(adapts, a, b), new, state)
        return chosen._replace(ledger=fresh)

    ends = (t + 1) % use.spec.round_steps == 0
    return jax.lax.cond(ends, close, lambda state: state._replace(ledger=ledger), state)


def steer(state: State, shares: Float[Array, " G"]) -> State:
    """Return a state that draws groups by these shares, whatever the strength."""
    return state._replace(weights=shares, forced=jnp.float32(1.0))


def check(values: Mapping[str, Any], groups: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for groups, rounds and stages that leave a mixer nothing to do.

    `groups` are those with a weight.
    """
    if values["mixer"] == FIXED:
        for field in ("reference_steps", "proxy_steps"):
            if values[field]:
                yield field, "needs a mixer that adapts: data.mixer is fixed"
        return
    if len(groups) == 1:
        yield "mixer", f"{values['mixer']} has nothing to mix: {groups[0]} is the only group"
    switches = values["switch"] != "none"
    if not switches and not any(values[TARGET + group] for group in groups):
        yield TARGET + groups[0], "the mixer aims at nothing: one that is drawn must be positive"
    if switches and values["reference_steps"] + values["proxy_steps"]:
        yield "switch", "would be that of the model before: give no reference_steps, proxy_steps"
    if values["steps"] % values["round_steps"]:
        yield "round_steps", f"must divide steps ({values['steps']})"
    if values["mixer_gram"] == "unbiased" and values["round_steps"] == 1:
        yield "round_steps", "must be at least 2: mixer_gram is unbiased, across halves of a round"
    for field in ("reference_steps", "proxy_steps"):
        if values[field] % values["round_steps"]:
            yield field, f"must be a multiple of round_steps ({values['round_steps']})"
    if values["reference_steps"] + values["proxy_steps"] >= values["steps"]:
        yield "proxy_steps", f"leaves no step of {values['steps']} to the model that is kept"
    needs = MIXERS[values["mixer"]].needs
    if needs.excess and not values["reference_steps"]:
        yield "reference_steps", f"must be positive: {values['mixer']} compares with a reference"
    if not needs.excess and values["reference_steps"]:
        yield "reference_steps", f"is not used: {values['mixer']} compares with no reference"
