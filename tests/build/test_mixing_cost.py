"""What a run has cost, counted step by step in plain Python, and which curves it leaves."""

from types import SimpleNamespace

import numpy as np
import pytest

from plateaus.build import mixing, mixing_cost
from plateaus.data import mixtures as mixture
from plateaus.data.designs import Spec
from plateaus.data.mixers import uniform
from plateaus.data.mixers.mixer import Needs, Registered
from plateaus.data.mixers.registry import MIXERS
from plateaus.models.networks import mlp
from plateaus.tasks.laws import in_context
from plateaus.types import Reads
from plateaus.variables import ONCE, WINDOWS, Variable

GROUPS, BATCH, POINTS, SHORT, ROUND = 3, 12, 8, 5, 10


def counted(steps, needs, short_every=0, reference=0, proxy=0):
    """Passes over examples, in units of a training step on a batch."""
    forward, total, rounds = 1 / 3, 0.0, 0
    for t in range(steps):
        total += 1
        if "excess" in needs and reference <= t and (not proxy or t < reference + proxy):
            total += forward
        if (t + 1) % ROUND:
            continue
        sample = GROUPS * POINTS / BATCH
        if needs & {"target_loss", "target_gram", "affinity"}:
            total += sample * forward
        if "target_gram" in needs:
            total += sample
        if "affinity" in needs and t >= reference:
            if rounds == 0 or (short_every and rounds % short_every == 0):
                total += GROUPS * (SHORT + sample * forward) + sample * forward
            rounds += 1
    return total


@pytest.mark.parametrize(
    ("needs", "options"),
    [
        ({"gram"}, {}),
        ({"target_loss"}, {}),
        ({"gram", "target_gram"}, {}),
        ({"affinity", "target_loss"}, {}),
        ({"affinity"}, {"short_every": 1}),
        ({"affinity"}, {"short_every": 3}),
        ({"excess"}, {"reference": 20, "proxy": 20}),
        ({"excess"}, {"reference": 20}),
        ({"gram"}, {"proxy": 30}),
    ],
)
def test_the_cost_of_extra_passes(monkeypatch, needs, options):
    registered = Registered(
        uniform.uniform,
        needs=Needs(**dict.fromkeys(needs, True)),
        short_every=options.get("short_every", 0),
    )
    monkeypatch.setitem(MIXERS, "uniform", registered)
    spec = Spec(
        mixer="uniform",
        round_steps=ROUND,
        target_points=POINTS,
        short_steps=SHORT,
        reference_steps=options.get("reference", 0),
        proxy_steps=options.get("proxy", 0),
    )
    steps = np.array([0, 10, 35, 40, 60, 100])
    expected = [counted(s, needs, **options) for s in steps]
    np.testing.assert_allclose(mixing_cost.cost(spec, GROUPS, BATCH, steps), expected, rtol=1e-12)


def test_sums_of_gradients_cost_their_part_of_every_step_and_target():
    """Of a perceptron 5-4-1 and 3 groups the last layer is 5 of 29 parameters."""
    task = in_context.in_context(in_context.Spec(families="linear,relu,quadratic"))
    model = mlp.mlp(mlp.Spec(width=4, depth=1), inputs=5)
    spec = Spec(mixer="dga", round_steps=ROUND, target_points=POINTS)
    recipe = SimpleNamespace(
        task=task._replace(reads=Reads()),
        model=model,
        feedback=mixing.feedback(spec, task, ("readout",)),
    )
    share = mixing_cost.of_gradients(recipe, np.zeros(5))
    assert share == pytest.approx(3 * 5 / (3 * 29))
    plain, more = (mixing_cost.cost(spec, 3, BATCH, np.array([25]), g)[0] for g in (0.0, share))
    passes = 25 + 2 * GROUPS * POINTS / BATCH  # two rounds are over
    assert more - plain == pytest.approx(share * passes)
    recipe.feedback = mixing.feedback(Spec(mixer="exp3"), task, ("readout",))
    assert mixing_cost.of_gradients(recipe, np.zeros(5)) == 0.0


def test_fixed_shares_cost_their_steps():
    np.testing.assert_array_equal(mixing_cost.cost(Spec(), 3, 12, np.array([0, 7])), [0, 7])


def test_curves_of_models_that_are_thrown_away_are_left_out():
    config = {
        "eval_every": 10,
        "log_every": 5,
        "data.reference_steps": 10,
        "data.proxy_steps": 10,
    }
    curves = {
        "test_loss": np.ones((2, 5)),  # at 0, 10, .., 40; at 20 it is the proxy's at its end
        "train_loss": np.ones((2, 8)),  # windows that end at 5, 10, ..: its first ends at 25
        "train_mixture_by_task": np.ones((2, 8, 3)),
        "test_loss_of_x": np.ones((2, 1)),
    }
    declared = {"test_loss": Variable("x"), "train_loss": Variable("x", time=WINDOWS)}
    declared |= {"test_loss_of_x": Variable("x", time=ONCE), **mixture.VARIABLES}
    kept = mixing_cost.kept_model(config, curves, declared)
    assert np.isnan(kept["test_loss"]).tolist() == [[True, True, True, False, False]] * 2
    assert np.isnan(kept["train_loss"]).sum(axis=1).tolist() == [4, 4]
    assert not np.isnan(kept["train_mixture_by_task"]).any()
    assert not np.isnan(kept["test_loss_of_x"]).any()
    whole = mixing_cost.kept_model(
        {**config, "data.reference_steps": 0, "data.proxy_steps": 0}, curves, declared
    )
    assert not any(np.isnan(curve).any() for curve in whole.values())


def test_the_worst_group_is_one_that_is_drawn():
    config = {"batch": 6, "batch_per_item": 0.0, "data.batch_split": "total", "data.mixer": "fixed"}
    config["data.switch"] = "none"
    for name, weight in (("a", 1.0), ("b", 0.0), ("c", 2.0)):
        config |= {f"data.weight_{name}": weight, f"data.then_{name}": 0.0}
    losses = np.array([[[1.0, 9.0, 2.0], [3.0, 9.0, np.nan]]])
    found = mixing_cost.records(config, {"test_loss_by_task": losses}, np.array([0, 10]))
    np.testing.assert_array_equal(found["test_worst"], [[2.0, np.nan]])
    np.testing.assert_array_equal(found["compute"], [[0.0, 10.0]])
    later = {**config, "data.switch": "escape", "data.then_b": 1.0}
    found = mixing_cost.records(later, {"test_loss_by_task": losses}, np.array([0, 10]))
    assert found["test_worst"][0, 0] == 9
    assert mixing_cost.records(config, {"test_loss": losses}, np.array([0])) == {}


def test_layers_that_are_not_there_are_named():
    layers = ("read_in", "block_0", "readout")
    told = list(mixing.check({"data.mixer_layers": "readout, blok_0"}, layers))
    assert len(told) == 1
    assert "'blok_0'" in told[0][1]
    assert "did you mean block_0?" in told[0][1]
    for fine in ("last", "all", "block_0,readout"):
        assert not list(mixing.check({"data.mixer_layers": fine}, layers))
    assert mixing.tracked_layers("last", layers) == ("readout",)
    assert mixing.tracked_layers("last", layers[:2], tied=True) == ("read_in",)
