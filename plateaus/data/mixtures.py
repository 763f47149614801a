"""Which group (family, domain) each example is of: weights, windows of time, a switch at escape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from plateaus.data import adaptive
from plateaus.data.adaptive import TARGET
from plateaus.data.curricula import AVERAGED, ESCAPED, FROM, THEN, UNTIL, WEIGHT
from plateaus.data.mixers.registry import mixer_knobs, mixer_knobs_of
from plateaus.fields import Field
from plateaus.option_strings import breakpoints
from plateaus.types import Array, Draw, Float, Int, Key, Number, Scalar, Signals, Source
from plateaus.variables import SUFFIX, WINDOWS, Variable

MIXING = ("split", "batch", "sequence")
ALWAYS = 2**30
STRENGTH = "mixer_strength"
MEASURES = {  # of a mixer in use, at the last step of a window
    "mixture": "shares by which a batch is drawn or weighed",
    "gram_gain": "gain that the gradients of a round promise each group",
    "gram_gain_unbiased": "the same, each group's own noise taken out",
}
VARIABLES = {
    f"train_{name}{SUFFIX}": Variable(meaning, time=WINDOWS).by_task()
    for name, meaning in MEASURES.items()
}
_GROUPS = 2**32 - 1  # the stream of the groups in the data key: no step has this number


def group_knobs(groups: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Return the knobs of each group: name -> (declared type, default)."""
    knobs: dict[str, tuple[Any, Any]] = {}
    if groups:
        help_ = "how far from the mixture's own shares to the mixer's"
        strength = Field(help=help_, low=0, high=1, neutral=0.0)
        knobs = {STRENGTH: (Annotated[Scalar, strength], 1.0), **mixer_knobs()}
    for group in groups:
        for begin, help_, default in (
            (WEIGHT, f"share of {group} in training, relative to the others'", 1.0),
            (FROM, f"step from which {group} is drawn", 0),
            (UNTIL, f"step from which {group} is not", ALWAYS),
            (THEN, "its share once the groups before have escaped (data.switch)", 0.0),
            (TARGET, f"multiplies the share of {group} in what adaptive mixing aims at", 1.0),
        ):
            steps: Any = {"high": ALWAYS, "units": "steps"} if isinstance(default, int) else {}
            field = Field(help=help_, low=0, **steps)
            knobs[begin + group] = (Annotated[Scalar, field], default)
    return knobs


def scheduled(schedule: str, groups: Sequence[str]) -> tuple[NDArray, NDArray]:
    """Return the steps [P] from which the weights [P, G] of a schedule hold; "": 1 from 0 on."""
    if schedule:
        return breakpoints(schedule, groups)
    return np.zeros(1, np.int32), np.ones((1, len(groups)), np.float32)


class Plan(NamedTuple):
    """What a step's mixture follows from, [G] each, and the plan of the source inside."""

    inner: Any
    weight: Array
    first: Array
    last: Array
    then: Array
    target: Any  # evaluation weights, in any unit; 0 for a group that is never drawn
    strength: Any  # scalar, of a mixer
    rule: Any  # the knobs of the mixer; all three () without a mixer


class State(NamedTuple):
    """How the switch stands."""

    inner: Any
    recent: Any  # [AVERAGED], mean losses of the groups drawn first, in the last steps
    switched: Any  # 0 or 1; both () without a switch
    mixer: Any  # adaptive.State; () without a mixer


def counts(shares: Float[Array, " G"], offset: Float[Array, ""], batch: int) -> Int[Array, " B"]:
    r"""Return the groups of a batch: group g floor or ceil of B p_g times, p_g in expectation.

    Systematic sampling: positions $(u + i) / B$ on the line of cumulated shares. In a random order
    of the groups this is, for equal shares, floor(B/k) of each and the remainder one each to
    groups chosen at random, as in the released code of paper 2.

    >>> jax.jit(counts, static_argnums=2)(jnp.array([0.5, 0.0, 0.5]), jnp.float32(0.3), 4).tolist()
    [0, 0, 2, 2]
    """
    positions = (offset + jnp.arange(batch)) / batch
    return groups_at(shares, positions)


def groups_at(shares: Float[Array, " G"], positions: Float[Array, " B"]) -> Int[Array, " B"]:
    """Return the groups at positions in [0, 1) on the line of cumulated shares."""
    cumulated = jnp.cumsum(shares)
    inside = jnp.minimum(positions, 1 - 1e-6) * cumulated[-1]  # never past the last group's end
    return jnp.searchsorted(cumulated, inside, side="right").astype(jnp.int32)


def mixture(
    source: Source,
    groups: Sequence[str],
    mixing: str = "split",
    switch: str = "none",
    schedule: str = "",
    use: adaptive.Adaptive | None = None,
) -> Source:
    r"""Give every example a group, by weights that change with the step; indices stay as they are.

    Group g has share $p_g(t) \propto s_g(t) w_g$ [from_g <= t < until_g], where s is 1, or a
    `schedule` of weights (`breakpoints`). With switch = "escape" the
    shares become `then_g` for good when the mean loss of what is drawn, over the last 100 steps,
    is below 0.8 (losses in units of the no-context loss: paper 2's escape).

    mixing:
      "split": a part of every batch for each group (`counts`), in a random order of groups.
      "batch": one group for a whole batch, drawn by the shares (paper 3).
      "sequence": a group for every example, drawn by the shares.

    With a mixer in `use` the shares adapt to training (`plateaus.data.adaptive`).
    With one group it changes nothing. Source: paper 2, setup; paper 3, setup.
    """
    number = len(groups)
    steps, table = scheduled(schedule, groups)

    def knob(knobs: Any, begin: str) -> Array:
        return jnp.stack([jnp.asarray(getattr(knobs, begin + group)) for group in groups])

    def init(key: Key) -> State:
        state = source.init(key)
        mixer = () if use is None else adaptive.init(use)
        if switch == "none":
            return State(state, (), (), mixer)
        return State(state, jnp.full(AVERAGED, jnp.inf), jnp.int32(0), mixer)

    def prepare(knobs: Any, size: Number) -> Plan:
        inner = source.prepare(knobs, size)
        weight, then = (knob(knobs, name).astype(jnp.float32) for name in (WEIGHT, THEN))
        plan = Plan(inner, weight, knob(knobs, FROM), knob(knobs, UNTIL), then, (), (), ())
        if use is None:
            return plan
        aim = jnp.asarray(use.target) * knob(knobs, TARGET) * ever(plan)
        strength = jnp.float32(getattr(knobs, STRENGTH))
        return plan._replace(
            target=aim, strength=strength, rule=mixer_knobs_of(use.spec.mixer, knobs)
        )

    def given_shares(state: State, plan: Plan, t: Number) -> Array:
        now = jnp.where((plan.first <= t) & (t < plan.last), plan.weight, 0.0)
        if schedule:
            now *= jnp.asarray(table)[jnp.searchsorted(jnp.asarray(steps), t, side="right") - 1]
        if switch == "escape":
            now = jnp.where(state.switched > 0, plan.then, now)
        return now / jnp.sum(now)

    def weights(state: State, plan: Plan, t: Number) -> Array:
        shares = given_shares(state, plan, t)
        if use is None:
            return shares
        return adaptive.draws(use, shares, state.mixer, plan.strength, t)

    def draw(key: Key, state: State, plan: Plan, t: Number) -> Draw:
        drawn = source.draw(key, state.inner, plan.inner, t)
        (batch,) = drawn.group.shape
        stream = jax.random.fold_in(jax.random.fold_in(key, _GROUPS), t)
        key_order, key_place = jax.random.split(stream)
        shares = weights(state, plan, t)
        if mixing == "sequence":
            return drawn._replace(group=groups_at(shares, jax.random.uniform(key_place, (batch,))))
        offset = jax.random.uniform(key_place)
        if mixing == "batch":
            return drawn._replace(group=groups_at(shares, jnp.full(batch, offset)))
        order = jax.random.permutation(key_order, number)
        return drawn._replace(group=order[counts(shares[order], offset, batch)])

    def observe(state: State, signals: Signals, plan: Plan, t: Number) -> State:
        new = state._replace(inner=source.observe(state.inner, signals, plan.inner, t))
        if use is not None:
            shares = weights(state, plan, t)
            mixer = adaptive.observe(use, state.mixer, signals, plan.target, shares, plan.rule, t)
            new = new._replace(mixer=mixer)
        if switch == "none":
            return new
        recent = jnp.roll(state.recent, 1).at[0].set(jnp.nanmean(signals.group_loss))
        escaped = jnp.mean(recent) < ESCAPED
        return new._replace(recent=recent, switched=state.switched | escaped.astype(jnp.int32))

    def ever(plan: Plan) -> Array:
        drawn = (plan.weight > 0) & (plan.first < plan.last)
        if schedule:
            drawn &= jnp.asarray(table.max(axis=0) > 0)
        if switch == "escape":
            drawn |= plan.then > 0
        return drawn.astype(jnp.float32)

    def log_prob(plan: Plan, index: Array, t: Number) -> Array:
        return source.log_prob(plan.inner, index, t)

    mixed = Source(init, prepare, draw, log_prob, observe, weights, ever)
    if use is None:
        return mixed

    def steer(state: State, shares: Array) -> State:
        return state._replace(mixer=adaptive.steer(state.mixer, shares))

    def emphasis(state: State, plan: Plan, t: Number) -> Array:
        shares = given_shares(state, plan, t)
        return adaptive.emphasis(use, shares, state.mixer, plan.strength, t)

    def measures(state: State, plan: Plan, t: Number) -> dict[str, Array]:
        shares = adaptive.blended(given_shares(state, plan, t), state.mixer, plan.strength)
        gain, unbiased = state.mixer.gain
        seen = {"gram_gain": gain, "gram_gain_unbiased": unbiased} if use.tracked else {}
        return {"mixture": shares, **seen}

    weighed = emphasis if use.weighs_losses else None
    return mixed._replace(steer=steer, emphasis=weighed, measures=measures)


def positive(values: Mapping[str, Any], groups: Sequence[str]) -> list[str]:
    """Return the groups with a positive weight, of the values of the data section."""
    return [group for group in groups if values[WEIGHT + group] > 0]


def check(values: Mapping[str, Any], groups: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for a mixture that is empty, always or at some step."""
    chosen = positive(values, groups)
    if not chosen:
        yield WEIGHT + groups[0], "all weights are 0: at least one must be positive"
        return
    try:
        begins, table = scheduled(values["schedule"], groups)
    except ValueError as error:
        yield "schedule", str(error)
        return
    changes = {0, *(values[FROM + group] for group in chosen), *begins.tolist()}
    changes |= {values[UNTIL + group] for group in chosen}
    for t in sorted(t for t in changes if t < values["steps"]):
        now = table[np.searchsorted(begins, t, side="right") - 1]
        open_ = [g for g in chosen if values[FROM + g] <= t < values[UNTIL + g]]
        if not any(now[groups.index(g)] > 0 for g in open_):
            names = ", ".join(chosen)
            yield UNTIL + chosen[0], f"nothing is drawn at step {t}: no window of {names} holds it"
            return
    for group in chosen:
        if values[FROM + group] >= values["steps"]:
            yield FROM + group, f"{group} never comes: there are {values['steps']} steps"
        elif values[UNTIL + group] <= values[FROM + group]:
            yield UNTIL + group, f"{group} never comes: its window is empty"
    if values["switch"] == "escape" and not any(values[THEN + group] for group in groups):
        yield "switch", f"switches to nothing: give one of {THEN}{{{','.join(groups)}}}"
