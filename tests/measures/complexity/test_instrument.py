"""The local learning coefficient of the network of paper 1, by the defaults of its fields."""

import jax
import numpy as np
import pytest

from plateaus.fields import declared
from plateaus.measures.complexity.instrument import INSTRUMENT
from plateaus.measures.instrument import Parts
from plateaus.models.networks import mlp
from plateaus.tasks.laws import sparse_parity


def test_several_runs_at_once_are_as_each_alone_and_the_chains_stay_near():
    """At the initialisation, which is no minimum: a coefficient may be a little below 0 there."""
    task = sparse_parity.sparse_parity(sparse_parity.Spec())
    model = mlp.mlp(mlp.Spec(), 20)
    values = {name: default for name, (_, default) in declared(INSTRUMENT.spec).items()}
    assert INSTRUMENT.batch_probe(values, Parts(task, model, model)) is None
    probe = INSTRUMENT.batch_probe(values | {"llc_draws": 100}, Parts(task, model, model))
    assert probe.batches == values["llc_batches"] == 64

    def of_run(key):
        keys = jax.random.split(jax.random.fold_in(key, 0), (64, 20))
        batches = jax.vmap(jax.vmap(lambda key: task.emit_test(key, None, None)))(keys)
        params = model.init(jax.random.fold_in(key, 1))
        return probe.measure(jax.random.fold_in(key, 2), params, batches)

    @jax.jit
    def both(keys):
        return jax.vmap(of_run)(keys), of_run(keys[1])

    together, alone = both(jax.vmap(jax.random.key)(np.arange(3)))
    assert float(alone["llc"]) == pytest.approx(float(together["llc"][1]), rel=1e-2)
    assert len({*together["llc"].tolist()}) == 3
    directions = 20 * 40 + 40 + 40 * 40 + 40 + 40 + 1  # half of them, were each a parabola
    assert (abs(together["llc"]) < directions / 100).all(), together
    assert ((together["llc_spread"] > 0) & (together["llc_spread"] < 2)).all(), together
