"""What training tells an adaptive design, on a world whose every number has a closed form.

Group g has one example: input e_g, target C[g]. The model is linear, so its loss is (w_g - C[g])^2,
the gradient 2 (w_g - C[g]) e_g, and a step of SGD on b_g of B examples shrinks the distance by
1 - 2 rate b_g / B.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus import evaluation, train
from plateaus.build import gradients
from plateaus.data import designs
from plateaus.data.adaptive import adaptive
from plateaus.data.mixers.mixer import Mixer, Needs, Registered
from plateaus.data.mixers.registry import MIXERS
from plateaus.gram import by_group
from plateaus.recipe import Feedback, Recipe, Surgery
from plateaus.types import Aggregator, Draw, Example, Groups, Knobs, Model, Source, Task

C = np.array([1.0, -2.0, 0.5])
GROUPS = ("a", "b", "c")
RATE, STEPS, ROUND = 0.05, 12, 4
DRAWN = np.array([0, 0, 1, 2, 2, 2])  # the groups of every batch
SHARE = np.bincount(DRAWN) / DRAWN.size


def emit(key, world, draw, knobs=None):
    group = draw.group if isinstance(draw, Draw) else draw % 3
    return Example(jnp.eye(3)[group], {"y": jnp.asarray(C, jnp.float32)[group], "g": group})


def square(prediction, example):
    return jnp.square(prediction - example.targets["y"])


TASK = Task(
    init=lambda key: (),
    emit=emit,
    emit_test=lambda key, world, number: emit(key, world, number % 3),
    loss=square,
    test_loss=square,
    metrics={},
    predictors=lambda world, batch, knobs, prior: {"zero": jnp.zeros_like(batch.targets["y"])},
    uninformed="zero",
    best="zero",
    size=1,
    groups=Groups(GROUPS, lambda example: example.targets["g"]),
)
MODEL = Model(
    init=lambda key: {"w": jnp.zeros(3)},
    apply=lambda params, x, **_: (x @ params["w"], {}),
    activations=(),
)


def listener():
    """A source that draws the same batch always, and keeps the last two steps' signals."""
    sizes = {"target_loss": 3, "target_gradient": (3, 3), "affinity": (3, 3), "excess": 3}

    def start(name):
        return {"['w']": jnp.zeros((3, 3))} if name == "target_gradient" else jnp.zeros(sizes[name])

    def init(key):
        every = {name: start(name) for name in sizes}
        every |= {"gradient": {"['w']": jnp.zeros((3, 3))}, "count": jnp.zeros(3)}
        return {"before": every, "last": every, "forced": jnp.zeros(3)}

    def draw(key, state, plan, t):
        chosen = jnp.searchsorted(jnp.cumsum(state["forced"]), (jnp.arange(6) + 0.5) / 6)
        group = jnp.where(jnp.sum(state["forced"]) > 0, chosen, jnp.asarray(DRAWN))
        return Draw(jnp.zeros(6, jnp.int32), group.astype(jnp.int32))

    def observe(state, signals, plan, t):
        told = {name: getattr(signals, name) for name in state["last"]}
        told = {name: state["last"][name] if x is None else x for name, x in told.items()}
        return {**state, "before": state["last"], "last": told}

    return Source(
        init=init,
        prepare=lambda knobs, size: (),
        draw=draw,
        log_prob=lambda plan, index, t: jnp.zeros(index.shape),
        observe=observe,
        weights=lambda state, plan, t: jnp.asarray(SHARE),
        ever=lambda plan: jnp.ones(3),
        steer=lambda state, shares: {**state, "forced": shares},
    )


def sums(weighted, member):
    return by_group.sums(weighted, member, ("w",))


def recipe_of(source, **feedback):
    return Recipe(
        task=TASK,
        source=source,
        model=MODEL,
        optimiser=lambda knobs: optax.sgd(RATE),
        steps=STEPS,
        phase_steps=ROUND,
        log_every=ROUND,
        eval_points=3,
        gradients=gradients.gradients_of(MODEL, TASK),
        feedback=Feedback(round_steps=ROUND, sums=sums, **feedback),
    )


EVERY_GROUP = Example(np.eye(3, dtype=np.float32), {"y": np.float32(C), "g": np.arange(3)})
LAWS = {"test": evaluation.Law(EVERY_GROUP, {})}


def run(recipe, phases, data=()):
    """The states after each of so many phases, and what the last has measured."""
    knobs, states = jax.tree.map(np.float32, Knobs((), data, ())), []
    start = jax.jit(lambda knobs, laws: train.init(recipe, 0, knobs, laws)[0])
    phase = jax.jit(functools.partial(train.phase, recipe))
    state = start(knobs, LAWS)
    for number in range(phases):
        state, measured = phase(state, np.uint32(0), knobs, LAWS, np.int32(number * ROUND))
        states.append(jax.tree.map(np.asarray, state))
    return states, measured


def weights_after(steps, share=SHARE, start=0.0):
    return C + (start - C) * (1 - 2 * RATE * share) ** steps


def test_gradients_and_counts_are_those_of_the_groups_examples():
    [state], _ = run(recipe_of(listener()), 1)
    told, w = state.source["last"], weights_after(ROUND - 1)  # before the last step
    count = np.bincount(DRAWN)
    np.testing.assert_allclose(state.params["w"], weights_after(ROUND), rtol=1e-6)
    np.testing.assert_allclose(told["count"], count)
    np.testing.assert_allclose(told["gradient"]["['w']"], np.diag(count * 2 * (w - C)), rtol=1e-5)


def test_targets_are_looked_at_after_the_last_step_of_a_round_only():
    (_, state), _ = run(recipe_of(listener(), target_points=2, target_gradient=True), 2)
    told, w = state.source["last"], weights_after(2 * ROUND)
    np.testing.assert_allclose(told["target_loss"], (w - C) ** 2, rtol=1e-5)
    expected = np.diag(2 * (w - C))
    np.testing.assert_allclose(told["target_gradient"]["['w']"], expected, rtol=1e-5)
    assert not np.any(state.source["before"]["target_loss"])


def test_a_target_law_of_its_own_is_used():
    """Not the test law: here its targets are all 0."""
    aimed = TASK.groups._replace(
        emit_target=lambda key, world, number: Example(
            jnp.eye(3)[number % 3], {"y": jnp.float32(0.0), "g": number % 3}
        )
    )
    other = TASK._replace(groups=aimed)
    recipe = recipe_of(listener(), target_points=1)._replace(task=other)
    [state], _ = run(recipe, 1)
    np.testing.assert_allclose(
        state.source["last"]["target_loss"], weights_after(ROUND) ** 2, rtol=1e-5
    )


def short_run(i, short, w):
    """The fall of each group's loss by `short` steps on group i alone."""
    share = np.eye(3)[i]
    return (w - C) ** 2 - (C + (w - C) * (1 - 2 * RATE * share) ** short - C) ** 2


@functools.cache
def short_runs(every):
    """The states after each of three phases, with short runs every so many rounds."""
    recipe = recipe_of(
        listener(), target_points=1, short_steps=3, short_shares=np.eye(3), short_every=every
    )
    return run(recipe, 3)[0]


@pytest.mark.parametrize(("every", "phases"), [(0, 1), (0, 2), (1, 2), (2, 3), (2, 2)])
def test_short_runs_tell_how_groups_help_and_leave_no_trace(every, phases):
    state = short_runs(every)[phases - 1]
    w = weights_after(phases * ROUND)
    np.testing.assert_allclose(state.params["w"], w, rtol=1e-6)
    due = phases == 1 or (every and (phases - 1) % every == 0)
    expected = np.stack([short_run(i, 3, w) for i in range(3)]) if due else np.zeros((3, 3))
    np.testing.assert_allclose(state.source["last"]["affinity"], expected, rtol=1e-4, atol=1e-6)


def test_the_reference_is_the_first_model_and_the_next_starts_afresh():
    recipe = recipe_of(listener(), reference_steps=2 * ROUND)
    (*_, state), _ = run(recipe, 3)
    reference = weights_after(2 * ROUND)
    np.testing.assert_allclose(state.reference["w"], reference, rtol=1e-6)
    np.testing.assert_allclose(state.params["w"], weights_after(ROUND), rtol=1e-6)
    before = weights_after(ROUND - 1)
    excess = np.maximum((before - C) ** 2 - (reference - C) ** 2, 0)
    np.testing.assert_allclose(state.source["last"]["excess"], excess, rtol=1e-5)


def test_a_proxy_is_thrown_away():
    recipe = recipe_of(listener(), reference_steps=ROUND, proxy_steps=ROUND)
    (_, proxy, state), _ = run(recipe, 3)
    for model in (proxy, state):
        np.testing.assert_allclose(model.params["w"], weights_after(ROUND), rtol=1e-6)


def counting(turns):
    """A mixer whose weights are `turns` [rounds, G], one after another."""

    def update(signals, state, knobs, t):
        weights = jnp.asarray(turns, jnp.float32)[jnp.minimum(state, len(turns) - 1)]
        return weights, state + 1

    return Mixer(lambda groups: jnp.int32(0), update)


def test_an_aggregator_begins_with_each_model():
    """What it has averaged is of the model before: here it counts its steps."""
    counting = Aggregator(
        init=lambda batch: jnp.int32(0),
        update=lambda gram, state, key: (jnp.full(len(gram), 1 / len(gram)), state + 1),
    )
    surgery = Surgery(lambda captured: jnp.eye(6), lambda knobs: counting, lambda g: {}, dict)
    for stages, since in (({}, 3), ({"proxy_steps": ROUND}, 2), ({"reference_steps": ROUND}, 2)):
        (*_, state), _ = run(recipe_of(listener(), **stages)._replace(surgery=surgery), 3)
        assert state.aggregator == since * ROUND


def test_the_time_average_of_a_proxy_is_kept_for_the_model(monkeypatch):
    turns = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

    registered = Registered(lambda: counting(turns), needs=Needs(excess=True))
    monkeypatch.setitem(MIXERS, "uniform", registered)
    spec = designs.Spec(
        mixer="uniform", round_steps=ROUND, reference_steps=ROUND, proxy_steps=2 * ROUND
    )
    use = adaptive(spec, (1.0,) * 3)
    source = designs.design(spec, 6, 1, frozenset(), GROUPS, use)
    recipe = recipe_of(source, reference_steps=ROUND, proxy_steps=2 * ROUND)._replace(
        gradients=None, steps=6 * ROUND
    )
    recipe = recipe._replace(feedback=recipe.feedback._replace(sums=None))
    data = designs.knobs_of(GROUPS)()
    states, _ = run(recipe, 5, data)
    seen = [states[phases - 1].source.mixer.weights for phases in (1, 2, 3, 5)]
    np.testing.assert_allclose(seen[0], np.full(3, 1 / 3))  # the reference's
    np.testing.assert_allclose(seen[1], turns[0])
    np.testing.assert_allclose(seen[2], np.mean(turns[:2], axis=0))
    np.testing.assert_allclose(seen[3], seen[2])


def test_emphasis_multiplies_losses_whichever_way_gradients_are_made():
    """Weights (.5, .3, .2) over equal shares are 1.5, .9, .6 times each example's loss."""
    factor = np.array([1.5, 0.9, 0.6])
    source = listener()._replace(emphasis=lambda state, plan, t: jnp.asarray(factor, jnp.float32))
    with_engine = recipe_of(source)
    plain = with_engine._replace(gradients=None, feedback=None)
    for recipe in (with_engine, plain):
        [state], measured = run(recipe, 1)
        np.testing.assert_allclose(
            state.params["w"], weights_after(ROUND, SHARE * factor), rtol=1e-5
        )
        losses = [(weights_after(s, SHARE * factor) - C) ** 2 for s in range(ROUND)]
        plain_mean = np.mean([SHARE @ loss for loss in losses])  # what is recorded is not weighed
        np.testing.assert_allclose(measured.train_loss[0], plain_mean, rtol=1e-5)
    # what is recorded by group is not emphasised
    mean = np.mean([(weights_after(s, SHARE * factor) - C) ** 2 for s in range(ROUND)], axis=0)
    np.testing.assert_allclose(measured.training["train_loss_by_task"][0], mean, rtol=1e-5)
