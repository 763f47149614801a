"""Contracts of every mixer, with every branch and number it takes; tested by registering it."""

import collections
import dataclasses
import functools
import itertools
from typing import get_type_hints

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data import adaptive, designs
from plateaus.data.mixers.mixer import Needs, Round
from plateaus.data.mixers.registry import MIXERS, mixer_knobs, mixer_options, named
from plateaus.types import Signals

GROUPS = 4
TELLS = Needs._fields
ROWS = {"loss", "excess", "gram", "target_gram"}  # of them, of the examples of a round
ORDER = np.array([2, 0, 3, 1])


def branches(name):
    """Every combination of a rule's options; of a number its default and 1."""
    defaults = {f.name: f.default for f in dataclasses.fields(MIXERS[name].options)}
    values = [(d, not d) if isinstance(d, bool) else (d, 1) for d in defaults.values()]
    return [dict(zip(defaults, chosen, strict=True)) for chosen in itertools.product(*values)]


VARIANTS = [(name, options) for name in MIXERS for options in branches(name)]
each = pytest.mark.parametrize("name", MIXERS)
each_variant = pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=lambda v: v if isinstance(v, str) else ",".join(map(str, v))
)


def told(seed, scale=1.0, groups=GROUPS, **given):
    """A round of random numbers, all there; `scale` of losses and of gradients' products."""
    rng = np.random.default_rng(seed)
    gradient = rng.standard_normal((groups, 3)) + 0.5
    aimed = rng.standard_normal((groups, 3)) + 0.5
    made = {
        "shares": rng.dirichlet(np.ones(groups)),
        "loss": scale * rng.uniform(0.5, 2, groups),
        "count": rng.integers(1, 9, groups),
        "target": rng.dirichlet(2 * np.ones(groups)),
        "gram": scale * gradient @ gradient.T,
        "target_loss": scale * rng.uniform(0.5, 2, groups),
        "target_gram": scale * gradient @ aimed.T,
        "excess": scale * rng.uniform(0, 1, groups),
        "affinity": scale * rng.uniform(-0.2, 1, (groups, groups)),
        **given,
    }
    return Round(**{name: np.broadcast_to(np.float32(x), _shape(name)) for name, x in made.items()})


def _shape(name, groups=GROUPS):
    return (groups, groups) if name in ("gram", "target_gram", "affinity") else (groups,)


def without(signals, group):
    """The round as it is if it had no example of a group: as `rounds.summary` says it."""
    empty = np.arange(GROUPS) == group
    found = signals._asdict()
    for name in ("excess", "target_gram"):
        found[name] = np.where(_like(empty, found[name]), np.float32(0), found[name])
    found["gram"] = np.where(empty[:, None] | empty[None], np.float32(0), signals.gram)
    found["loss"] = np.where(empty, np.float32(np.nan), signals.loss)
    found["count"] = np.where(empty, np.float32(0), signals.count)
    return Round(**found)


def _like(mask, values):
    return mask[:, None] if values.ndim == 2 else mask


def asked(name, signals):
    """The round as this mixer is told it: what it does not ask for is NaN."""
    unknown = {x: np.full(_shape(x), np.nan, np.float32) for x in TELLS}
    return signals._replace(**{x: unknown[x] for x in TELLS if not getattr(MIXERS[name].needs, x)})


def knobs_of(name, **values):
    owner = MIXERS[name].knobs
    return owner(**{k: np.float32(v) for k, v in {**owner._field_defaults, **values}.items()})


traces = collections.Counter()


@functools.cache
def bare(name, options):
    """(knobs, rounds stacked) -> weights after each round [T, G]."""
    mixer = MIXERS[name].make(**dict(options))

    def run(knobs, rounds):
        def one(carry, signals):
            state, t = carry
            weights, state = mixer.update(signals, state, knobs, t)
            return (state, t + 1), weights

        return jax.lax.scan(one, (mixer.init(GROUPS), 0), rounds)[1]

    return run


@functools.cache
def program(name, options):
    """The same, and its traces counted."""

    @jax.jit
    def run(*given):
        traces[name, options] += 1
        return bare(name, options)(*given)

    return run


@functools.cache
def lanes(name, options):
    """(knobs [R], rounds stacked) -> weights [R, T, G]."""
    return jax.jit(jax.vmap(bare(name, options), (0, None)))


def stacked(*trees):
    return jax.tree.map(lambda *x: np.stack(x), *trees)


def weigh(name, options, rounds, **knobs):
    told = stacked(*(asked(name, r) for r in rounds))
    return np.asarray(program(name, tuple(options.items()))(knobs_of(name, **knobs), told))


def on_simplex(weights):
    assert weights.dtype == np.float32 and np.all(np.isfinite(weights))
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=2e-6)


# Twelve rounds each: Exp3 only explores in the first ones.
SEEDS = range(12)
CASES = {
    "random": lambda seed: told(seed),
    "an empty group": lambda seed: without(told(seed), seed % GROUPS),
    "the same group always empty": lambda seed: without(told(seed), 1),
    "no example at all": lambda seed: functools.reduce(without, range(GROUPS), told(seed)),
    "nothing to tell": lambda seed: told(seed, scale=0.0),
    "huge": lambda seed: told(seed, scale=1e37),
    "tiny": lambda seed: told(seed, scale=1e-37),
    "huge and against": lambda seed: told(
        seed, gram=1e38 * (2 * np.eye(GROUPS) - 1), affinity=-3e38, target_gram=-3e38
    ),
    "huge on one": lambda seed: told(
        seed, affinity=3e38 * np.eye(GROUPS), target_gram=3e38 * np.eye(GROUPS)
    ),
    "one target": lambda seed: told(seed, target=np.eye(GROUPS)[0]),
    "a target without a sample": lambda seed: told(
        seed,
        target=[0, 0.5, 0.5, 0],
        target_loss=[np.nan, 1, 2, np.nan],
        target_gram=[[np.nan, 1, 2, np.nan]] * GROUPS,
        affinity=[[np.nan, 1, 2, np.nan]] * GROUPS,
    ),
    "groups that are not drawn": lambda seed: functools.reduce(
        without, (1, 2), told(seed, shares=[0.5, 0, 0, 0.5])
    ),
}


@functools.cache
def rounds_of(case):
    return [CASES[case](seed) for seed in SEEDS]


@each_variant
@pytest.mark.parametrize("case", CASES)
def test_weights_are_a_simplex_whatever_comes(name, options, case):
    rounds = rounds_of(case)
    on_simplex(weigh(name, options, rounds))
    fields = get_type_hints(MIXERS[name].knobs, include_extras=True)
    for bound in ("low", "high"):
        corner = {k: getattr(hint.__metadata__[0], bound) for k, hint in fields.items()}
        on_simplex(weigh(name, options, rounds, **corner))


@each_variant
@pytest.mark.parametrize("case", ("random", "an empty group", "one target"))
def test_reordered_groups_are_reordered_weights(name, options, case):
    rounds = rounds_of(case)
    turned = [
        Round(*(x[ORDER][:, ORDER] if x.ndim == 2 else x[ORDER] for x in signals))
        for signals in rounds
    ]
    expected = weigh(name, options, rounds)[:, ORDER]
    np.testing.assert_allclose(weigh(name, options, turned), expected, rtol=2e-4, atol=1e-7)
    if name != "uniform" and case == "random":
        assert np.ptp(expected[-1]) > 1e-3  # or nothing was tested


@each_variant
def test_groups_that_tell_the_same_weigh_the_same(name, options):
    alike = told(0, **{x: 0.7 for x in TELLS}, loss=0.3, count=3, target=0.25, shares=0.25)
    alike = alike._replace(gram=(0.2 + np.eye(GROUPS)).astype(np.float32))
    np.testing.assert_allclose(weigh(name, options, [alike] * 12), 0.25, rtol=1e-6)


@each_variant
def test_only_what_it_asks_for_matters(name, options):
    """And all of that does; so the rest need not be measured."""
    rounds = [told(seed) for seed in SEEDS]
    weights = weigh(name, options, rounds)
    run = program(name, tuple(options.items()))
    np.testing.assert_array_equal(run(knobs_of(name), stacked(*rounds)), weights)
    for need in (x for x in TELLS if getattr(MIXERS[name].needs, x)):
        others = [r._replace(**{need: getattr(told(99 + i), need)}) for i, r in enumerate(rounds)]
        assert np.abs(weigh(name, options, others) - weights).max() > 1e-4


KNOBS = [(name, knob) for name in MIXERS for knob in MIXERS[name].knobs._fields]


@pytest.mark.parametrize(("name", "knob"), KNOBS)
def test_numbers_are_traced_and_act(name, knob):
    """One trace, distinct results in some branch, the same side by side."""
    default = MIXERS[name].knobs._field_defaults[knob]
    high = get_type_hints(MIXERS[name].knobs, include_extras=True)[knob].__metadata__[0].high
    values = [0.5 * default, default, (default + min(2 * default, high)) / 2]
    rounds = [told(seed, scale=9.0) for seed in SEEDS]  # DoGE's clip is reached
    for options in branches(name):
        key = name, tuple(options.items())
        found = [weigh(name, options, rounds, **{knob: values[0]})]
        before = traces[key]
        found += [weigh(name, options, rounds, **{knob: value}) for value in values[1:]]
        assert traces[key] == before
        knobs = stacked(*(knobs_of(name, **{knob: value}) for value in values))
        together = lanes(*key)(knobs, stacked(*(asked(name, r) for r in rounds)))
        np.testing.assert_allclose(together, found, rtol=1e-4, atol=1e-6)
        if all(np.abs(a - b).max() > 1e-6 for a, b in itertools.pairwise(found)):
            return
    raise AssertionError(f"{knob} of {name} does nothing")


@functools.cache
def updates(name):
    """By options: (weights, the state before, after) of an update with Python numbers."""

    @jax.jit
    def run(signals):
        found = {}
        for options in branches(name):
            mixer = MIXERS[name].make(**options)
            state = mixer.init(GROUPS)
            weights, after = mixer.update(signals, state, MIXERS[name].knobs(), 0)
            found[str(options)] = weights, state, after
        return found

    return run(asked(name, told(0)))


@each_variant
def test_state_keeps_its_form(name, options):
    """With Python numbers, too."""
    weights, state, after = updates(name)[str(options)]
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    on_simplex(np.asarray(weights))
    expected = weigh(name, options, [told(seed) for seed in SEEDS])[0]
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.thorough  # the examples in the docstrings do without jit, too
@pytest.mark.programs(50)  # each operation is one
@each_variant
def test_state_keeps_its_form_without_jit(name, options):
    mixer = MIXERS[name].make(**options)
    state = mixer.init(GROUPS)
    signals = jax.tree.map(jnp.asarray, asked(name, told(0)))
    weights, after = mixer.update(signals, state, MIXERS[name].knobs(), 0)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    on_simplex(np.asarray(weights))
    np.testing.assert_allclose(weights, updates(name)[str(options)][0], rtol=1e-5, atol=1e-7)


OPTIONS = [(n, f.name) for n in MIXERS for f in dataclasses.fields(MIXERS[n].options)]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_options_act(name, option):
    rounds = [told(seed) for seed in SEEDS]
    weights = {str(o[option]): weigh(name, o, rounds) for o in branches(name)}
    one, other = weights.values()
    assert np.abs(one - other).max() > 1e-4


# (mixer, options, what grows c times, knobs that make up for it: powers of c)
UNITS = [
    ("r_and_b", {"norm": True}, {"gram": 1}, {}),
    ("r_and_b", {"norm": False}, {"gram": 1}, {"lambda_": -1}),
    ("doge", {"leave_one_out": True}, {"gram": 2}, {"step": -1, "clip": 1}),
    ("doge", {"leave_one_out": False}, {"gram": 2}, {"step": -1, "clip": 1}),
    ("doremi", {}, {"excess": 1}, {"eta": -1}),
    ("dga", {}, {"target_gram": 1}, {"eta": -1}),
    ("skill_it", {"relative": True}, {"target_loss": 1, "affinity": 1}, {"eta": -1}),
    ("skill_it", {"relative": False}, {"affinity": 1}, {"eta": -1}),
    ("aioli", {"normalise": True}, {"affinity": 1}, {}),
    ("aioli", {"normalise": False}, {"affinity": 1}, {"eta": -1}),
]


@pytest.mark.parametrize(("name", "options", "grown", "makes_up"), UNITS)
@pytest.mark.parametrize("c", (2.0**-12, 2.0**12))
def test_a_change_of_units_is_a_change_of_knobs_or_nothing(name, options, grown, makes_up, c):
    rounds = [told(seed) for seed in SEEDS]
    scaled = [
        r._replace(**{x: np.float32(c**power) * getattr(r, x) for x, power in grown.items()})
        for r in rounds
    ]
    defaults = MIXERS[name].knobs._field_defaults
    knobs = {knob: defaults[knob] * c**power for knob, power in makes_up.items()}
    full = {f.name: f.default for f in dataclasses.fields(MIXERS[name].options)} | options
    expected = weigh(name, full, rounds)
    np.testing.assert_allclose(weigh(name, full, scaled, **knobs), expected, rtol=1e-4, atol=1e-7)
    assert not makes_up or np.abs(weigh(name, full, scaled) - expected).max() > 1e-3


# In a mixture.

NAMES, BATCH, STEPS = ("a", "b", "c"), 8, 40


@functools.cache
def trajectory(name, use="draws"):
    """(strength) -> groups, indices [T, B], shares, factors of losses [T, 3]; of no mixer: None."""
    spec = designs.Spec(mixer=name or "fixed", round_steps=5, mixer_use=use)
    needs = MIXERS[name].needs if name else Needs()
    tracked = {"w": jax.ShapeDtypeStruct((3, 2), jnp.float32)} if needs.gradients else None
    mixer = adaptive.adaptive(spec, (1.0, 2.0, 1.0), tracked) if name else None
    source = designs.design(spec, BATCH, 100, frozenset(), NAMES, mixer)

    @jax.jit
    def run(strength):
        knobs = designs.knobs_of(NAMES)(mixer_strength=strength, weight_b=2.0, from_c=10)
        knobs = jax.tree.map(jnp.asarray, knobs)
        key = jax.random.key(0)
        plan = source.prepare(knobs, 100)

        def step(state, t):
            draw = source.draw(key, state, plan, t)
            count = jnp.sum(draw.group[None] == jnp.arange(3)[:, None], axis=1)
            loss = jnp.array([0.2, 1.0, 3.0]) + jnp.sin(jnp.float32(t))
            told = Signals(
                jnp.where(count > 0, loss, jnp.nan),
                count.astype(jnp.float32),
                tracked and {"w": loss[:, None] * count[:, None] * jnp.array([[1.0, 0.5]])},
                jnp.where(count > 0, loss, jnp.nan) if needs.excess else None,
                loss,
                tracked and {"w": loss[:, None] * jnp.array([[0.5, 1.0]])},
                loss[:, None] * jnp.ones((1, 3)),
            )
            shares, factors = source.weights(state, plan, t), jnp.ones(3)
            if source.emphasis is not None:
                factors = source.emphasis(state, plan, t)
            seen = draw.group, draw.index, shares, factors
            return source.observe(state, told, plan, t), seen

        return jax.lax.scan(step, source.init(key), jnp.arange(STEPS))[1]

    return lambda strength: jax.tree.map(np.asarray, run(np.float32(strength)))


USES = [(n, "draws") for n in MIXERS] + [(n, "losses") for n in ("r_and_b", "doge", "doremi")]


@pytest.mark.parametrize(("name", "use"), USES)
def test_at_strength_0_all_is_as_without_a_mixer(name, use):
    """Bit for bit; at strength 1 it is not."""
    bare = trajectory(None)(0)
    chex.assert_trees_all_equal(trajectory(name, use)(0), bare)
    if name == "fixed":
        return
    groups, _, shares, factors = trajectory(name, use)(1)
    if use == "losses":
        chex.assert_trees_all_equal((groups, shares), (bare[0], bare[2]))
        assert np.abs(factors - 1).max() > 0.05
        # with what is drawn by b, factors q / b: of mean 1
        np.testing.assert_allclose(np.sum(factors * shares, axis=1), 1, rtol=1e-5)
        return
    assert np.any(groups != bare[0]) and np.abs(shares - bare[2]).max() > 0.01
    on_simplex(shares)
    assert np.all(factors == 1)
    assert not np.any(shares[:10, 2])  # who is not drawn yet
    halfway = trajectory(name, use)(0.5)[2]
    first = slice(0, 5)  # before the first round ends all rules say the same
    np.testing.assert_allclose(halfway[first], (shares + bare[2])[first] / 2, rtol=1e-5)


# In a config.


@each
def test_what_the_registry_says_of_it(name):
    registered = MIXERS[name]
    fields = registered.knobs._fields
    assert set(registered.options.__dataclass_fields__).isdisjoint(fields)
    assert {named(name, f) for f in fields} <= set(mixer_knobs())
    assert {named(name, f) for f in registered.options.__dataclass_fields__} <= set(mixer_options())
    assert set(Needs._fields) < set(Round._fields)
    assert bool(registered.short or registered.short_every) <= registered.needs.affinity
    text = registered.make.__doc__
    assert ">>>" in text
    if name not in ("fixed", "uniform"):
        assert "Source:" in text and "$" in text and (name == "r_and_b" or "Deviations:" in text)


def test_defaults_are_allowed():
    for name, (declared, default) in {**mixer_knobs(), **mixer_options()}.items():
        assert declared.__metadata__[0].contains(default), name
