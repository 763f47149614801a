"""Measures of progress by a config's fields: what they are of facts, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.build.recipes import sections
from plateaus.config.plan import checked_plan
from plateaus.config.schema import ConfigError
from plateaus.evaluation import Law
from plateaus.measures.instrument import Parts
from plateaus.measures.progress.instrument import INSTRUMENT
from plateaus.models.networks import transformer
from plateaus.tasks.laws import facts

TINY = {"steps": 4, "batch": 1, "seeds": 1, "eval_every": 2, "log_every": 1, "eval_points": 800}


def test_the_attention_of_facts_is_the_best_head_s_from_the_last_token_to_the_subject():
    task = facts.facts(facts.Spec(subjects=4, relations=2, answers=3))
    spec = transformer.Spec(width=8, depth=2, heads=2, max_positions=8)
    model = transformer.transformer(spec, vocabulary=task.reads.vocabulary)
    probe = INSTRUMENT.probe({"progress_measures": True}, Parts(task, model, model))
    names = ["block_0.attention_weights", "block_1.attention_weights"]

    @jax.jit
    def both(key):
        key_world, key_test, key_params = (jax.random.fold_in(key, n) for n in range(3))
        world, keys = task.init(key_world), jax.random.split(key_test, 40)
        batch = jax.vmap(task.emit_test, (0, None, 0))(keys, world, jnp.arange(40))
        params = jax.tree.map(lambda x: 3 * x, model.init(key_params))  # so that heads differ
        seen = model.apply(params, batch.inputs, capture=names)[1]
        return probe(key, params, {"test": Law(batch, {})}, None), seen, batch.inputs

    measured, seen, inputs = both(jax.random.key(0))
    assert (np.asarray(inputs)[:, 0] < 4).all()  # where the subjects stand
    by_head = [np.asarray(seen[name])[:, :, -1, 0].mean(axis=0) for name in names]
    assert np.ptp(by_head) > 0.01
    assert float(measured["relevant_attention"]) == pytest.approx(np.max(by_head), rel=1e-4)


SEQUENCES = {"model.name": "transformer", "model.width": 8, "model.depth": 1, "model.heads": 2}
REFUSED = [
    (
        {"task.name": "linear_regression", **SEQUENCES},
        {"progress_measures": True},
        "progress_measures = True: linear_regression does not name what its answers depend on",
    ),
    (
        {"task.name": "facts", "model.name": "mamba", "model.width": 8, "model.depth": 1},
        {"progress_measures": True},
        "progress_measures = True: mamba has no attention heads",
    ),
    (
        {"task.name": "sparse_parity", "model.name": "mlp"},
        {"llc_draws": 5, "llc_batches": 1},
        "llc_batches = 1: must be at least 2 where a batch is one example",
    ),
    (
        {"task.name": "sparse_parity", "model.name": "mlp"},
        {"llc_draws": 5, "llc_step_size": 0.0},
        "llc_step_size",
    ),
]


@pytest.mark.parametrize(("world", "fields", "message"), REFUSED)
def test_what_cannot_be_measured_is_refused_in_a_line(world, fields, message):
    given = {**TINY, **world, **fields}
    with pytest.raises(ConfigError, match=message):
        checked_plan("tiny", sections(given), given, {})
