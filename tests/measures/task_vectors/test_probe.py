"""Vectors of prompts: of a toy whose every layer is known, and of a transformer and its cache."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.measures.instrument import Parts
from plateaus.measures.superposition import answers
from plateaus.measures.task_vectors import instrument as vectors
from plateaus.measures.task_vectors import probe as task_vectors
from plateaus.models.networks.transformer import Spec, transformer
from plateaus.tasks.laws import characters
from plateaus.tasks.strings import sets
from plateaus.types import Model

V = sets.VOCABULARY
TASKS, PLACES = ("ret1", "ret2", "ret3"), (0, 1, 2)
GAINS = np.array([1.0, 0.8, 0.6])  # how sure the toy is of each task
SEPARATOR = int(sets.encode(">")[0])
EVERY = 6  # tokens of an example: abc>a and a newline


@functools.cache
def law():
    return characters.characters(
        characters.Spec(families=",".join(TASKS), alphabet="abcdefgh", length=3, examples=8)
    )


@functools.cache
def toy(held=False):
    """Two blocks; the first writes the shares of the tasks at a separator, the second answers.

    Layer 0 is the token, one-hot; layer 1 has the shares d beside it; layer 2 the probabilities of
    the next token: g_k d_k for task k's answer, the rest for padding, after an answer a newline.
    The second block reads the query's letters; where they are `held`, the first writes them beside
    the shares, one-hot, and the second has them from there alone.
    """
    wide = len(PLACES) * (1 + V * held)  # beside the token
    names = ("block_0.residual", "block_1.residual", "final_residual", "tokens")

    def apply(params, inputs, *, edits=None, capture=(), past=None):
        seen, edits = {}, edits or {}

        def tap(name, value):
            seen[name] = edits.get(name, lambda x: x)(value)
            return seen[name]

        before = jnp.zeros((inputs.shape[0], 0), jnp.int32) if past is None else past["tokens"]
        tokens = jnp.concatenate([before, tap("tokens", inputs)], axis=1)
        t = before.shape[1] + np.arange(inputs.shape[1])
        starts = np.arange(tokens.shape[1] // EVERY) * EVERY
        right = [tokens[:, starts + 4] == tokens[:, starts + place] for place in PLACES]
        past_ones = (starts[None, :] < t[:, None] - 4).astype(np.float32)
        counts = jnp.einsum("kbe,te->btk", jnp.stack(right).astype(jnp.float32), past_ones)
        shares = counts / jnp.maximum(counts.sum(-1, keepdims=True), 1)
        letters = jnp.stack([tokens[:, np.maximum(t - 3, 0) + place] for place in PLACES], axis=-1)
        letters = jax.nn.one_hot(letters, V)
        written = jnp.concatenate([shares, letters.reshape(*inputs.shape, -1)], axis=-1)
        x = jnp.pad(jax.nn.one_hot(inputs, V), ((0, 0), (0, 0), (0, wide)))
        x = tap("block_0.residual", x)
        x = tap("block_1.residual", x + jnp.pad(written[..., :wide], ((0, 0), (0, 0), (V, 0))))
        known = x[..., V : V + len(PLACES)]
        if held:
            letters = x[..., V + len(PLACES) :].reshape(letters.shape)
        sure = known * GAINS.astype(np.float32)[None, None, :]
        answered = jnp.einsum("btk,btkv->btv", sure, letters)
        rest = jnp.sum(known - sure, -1, keepdims=True)
        answered += rest * jax.nn.one_hot(sets.PAD, V)[None, None, :]
        newline = jnp.broadcast_to(jax.nn.one_hot(sets.NEWLINE, V)[None, None, :], answered.shape)
        final = jnp.where(x[..., SEPARATOR, None] > 0.5, answered, newline)
        final = tap("final_residual", jnp.pad(final, ((0, 0), (0, 0), (0, wide))))
        return jnp.log(jnp.maximum(final[..., :V], 1e-30)), {n: seen[n] for n in capture}

    return Model(lambda key: {}, apply, names, ("tokens",))


@functools.cache
def emitter():
    emit = law().groups.emit_mixed  # its arrays are made here, not within a program
    return jax.jit(lambda seed, order: emit(jax.random.key(seed), order, (0, 1, 2)))


def prompt(seed, order):
    return jax.tree.map(np.asarray, emitter()(np.uint32(seed), np.array(order, np.int32)))


@functools.cache
def means():
    """Of eight prompts of each task, [K, layers, W]."""

    emit = law().groups.emit_mixed

    def one(seed, task):
        own = emit(jax.random.key(seed), jnp.full(5, task), (0, 1, 2))
        return task_vectors.of_prompt(toy(), {}, own)

    single = np.asarray(jax.jit(jax.vmap(one))(np.arange(24), np.arange(24) // 8))
    return np.mean(single.reshape(3, 8, *single.shape[1:]), axis=1)


@functools.cache
def compiled(function, model):
    """One program for all that is asked of a model, where the shapes are the same."""
    return jax.jit(lambda *arrays, **others: function(model, *arrays, **others))


def patched(model, params, query, at, vectors, keep=False):
    call = compiled(task_vectors.patched, model)
    return np.asarray(call(params, query, np.asarray(at), np.asarray(vectors), keep=keep))


def unpatched(model, params, given):
    return np.asarray(compiled(_unpatched, model)(params, given))


def _unpatched(model, params, given):
    past = answers.cached(model, params, given.prefix, 3)
    return jnp.exp(answers.log_probabilities(model, params, given, past))


def of_prompt(model, params, given):
    return np.asarray(compiled(task_vectors.of_prompt, model)(params, given))


def test_the_toy_reads_shares_off_a_prompt():
    found = of_prompt(toy(), {}, prompt(0, [0, 0, 1, 2, 0]))
    separator = np.eye(V)[SEPARATOR]
    np.testing.assert_allclose(found[:2, :V], [separator] * 2, atol=1e-7)
    np.testing.assert_allclose(found[:2, V:], [[0] * 3, [0.6, 0.2, 0.2]], atol=1e-6)
    told = prompt(0, [0, 0, 1, 2, 0]).targets[:, 0]
    np.testing.assert_allclose(found[2, told], GAINS * [0.6, 0.2, 0.2], atol=1e-6)


def test_the_layer_that_holds_the_task_does_it_and_no_other():
    query = prompt(99, [])
    by_answer, without = compiled(task_vectors.by_layer, toy())({}, query, means())
    np.testing.assert_allclose(without, 1 / V, rtol=1e-5)  # nothing is known
    np.testing.assert_allclose(by_answer[0], 1 / V, rtol=1e-5)
    np.testing.assert_allclose(by_answer[1], GAINS, rtol=1e-5)
    said = means()[np.arange(3), 2, query.targets[:, 0]]  # other queries' answers
    np.testing.assert_allclose(by_answer[2], np.maximum(said, 1e-30), rtol=1e-5)
    assert said.max() < 0.7


@pytest.mark.parametrize("layer", [task_vectors.NOWHERE, 0])
@pytest.mark.parametrize("keep", [False, True])
def test_where_nothing_is_patched_nothing_changes(layer, keep):
    query = prompt(99, [])
    wanted = unpatched(toy(), {}, query)
    vector = means()[:1, 0] * (not keep) if layer == 0 else np.full((1, V + 3), np.nan)
    p = patched(toy(), {}, query, [layer], np.float32(vector), keep)
    np.testing.assert_array_equal(p[0], wanted)


def test_the_vector_alone_loses_the_query_that_a_kept_stream_holds():
    query, other = prompt(99, []), prompt(97, [1] * 5)
    assert query.targets[1, 0] not in other.ways[:, 1]
    vector = of_prompt(toy(held=True), {}, other)[1]
    p = patched(toy(held=True), {}, query, [1], vector[None])
    np.testing.assert_allclose(p[0], 0, atol=1e-6)
    shift = np.eye(len(vector), dtype=np.float32)[V + 1]  # the task alone
    p = patched(toy(held=True), {}, query, [1], shift[None], keep=True)
    np.testing.assert_allclose(p[0], [0, GAINS[1], 0], atol=1e-6)


def test_combinations_do_both_tasks_in_proportion():
    between = jax.jit(task_vectors.combinations, static_argnums=2)(means()[0, 1], means()[2, 1], 11)
    p = patched(toy(), {}, prompt(98, []), np.full(11, 1), between)
    share = np.linspace(0, 1, 11)
    wanted = np.stack([(1 - share), 0 * share, 0.6 * share], axis=1)
    np.testing.assert_allclose(p, wanted, atol=1e-6)


# ---- a transformer


@functools.cache
def real(positions, depth=2, compute="float32"):
    """A model and parameters, none at a special value."""
    spec = Spec(
        width=16, depth=depth, heads=2, positions=positions, max_positions=64, compute=compute
    )
    model, rng = transformer(spec, vocabulary=V), np.random.default_rng(3)

    def leaf(path, x):
        scale = x.shape[0] ** -0.5 if x.ndim > 1 else 0.1
        return rng.normal(path[-1].key == "scale", scale, x.shape).astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return model, jax.tree_util.tree_map_with_path(leaf, shapes)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_pass_over_the_prompt_and_its_cache_agree(positions):
    model, params = real(positions)
    given = prompt(0, [0, 1, 2, 0, 1])
    names = task_vectors.layers(model)
    assert names == ("block_0.residual", "block_1.residual", "final_residual")

    @jax.jit
    def both(params, given):
        past = answers.cached(model, params, given.prefix, 1)
        _, seen = model.apply(params, given.ways[:1, :1], past=past, capture=names)
        return task_vectors.of_prompt(model, params, given), seen

    vectors, seen = both(params, given)
    np.testing.assert_allclose(vectors, [seen[name][0, 0] for name in names], atol=2e-6)
    assert np.ptp(vectors, axis=1).min() > 0.1


def test_the_own_vector_patched_in_changes_nothing_and_another_does():
    model, params = real("rotary")
    given, other = prompt(0, [0, 1, 2, 0, 1]), prompt(1, [2, 2, 2, 2, 2])
    wanted = unpatched(model, params, given)
    at = np.arange(3)
    own = of_prompt(model, params, given)
    p = patched(model, params, given, at, own)
    np.testing.assert_allclose(p, [wanted] * 3, rtol=1e-5, atol=1e-6)
    others = of_prompt(model, params, other)
    apart = others - own
    p = patched(model, params, given, at, apart, keep=True)
    np.testing.assert_allclose(
        p, patched(model, params, given, at, own + apart), rtol=1e-5, atol=1e-6
    )
    p = patched(model, params, given, at, others)
    np.testing.assert_allclose(p[0], wanted, rtol=1e-5)  # the separator, at the same place
    assert (np.abs(p[1:] / wanted - 1).max(axis=1) > 1e-2).all()


def test_at_the_last_layer_the_vector_alone_says_the_answer():
    """P of the first token is read out of the vector; of the second, of the stream after it."""
    model, params = real("rotary")
    other, query = prompt(1, [2, 2, 2, 2, 2]), prompt(2, [])
    vector = of_prompt(model, params, other)[-1]
    p = patched(model, params, query, np.arange(3), [vector] * 3)[2]

    @jax.jit
    def last(params, whole, tokens):
        said = model.apply(params, whole)[0][0, -1], model.apply(params, tokens)[0][:, -1]
        return jax.tree.map(jax.nn.softmax, said)

    tokens = np.concatenate([np.tile(query.prefix, (3, 1)), query.ways], axis=1)
    first, after = last(params, np.append(other.prefix, other.ways[0, 0])[None], tokens)
    wanted = np.asarray(first)[query.targets[:, 0]] * np.asarray(after)[:, sets.NEWLINE]
    np.testing.assert_allclose(p, wanted, rtol=1e-5)


def test_a_model_of_halves_keeps_its_type():
    model, params = real("rotary", depth=1, compute="bfloat16")
    query, given = prompt(2, []), prompt(1, [2, 2])

    @jax.jit
    def both(params, query, given):
        vectors = task_vectors.of_prompt(model, params, given)
        return vectors, task_vectors.patched(model, params, query, jnp.arange(2), vectors)

    vectors, p = both(params, query, given)
    assert vectors.dtype == jnp.float32
    assert p.shape == (2, 3) and np.all((np.asarray(p) > 0) & (np.asarray(p) < 1))


# ---- at an evaluation

CONFIG = {
    "mixed_prompts": 4,
    "mixed_tasks": "ret3,ret1",
    "mixed_shares": "3:1 2:2 0:4",
    "mixed_order": "exact",
    "mixed_examples": 4,
    "vector_prompts": 416,  # these, and with what is shown, are whole batches of 32
    "vector_layer": -1,
    "vector_shown": 32,
    "vector_steps": 5,
}


@functools.cache
def measured(held=False, **given):
    probe = vectors.probe({**CONFIG, **given}, Parts(law(), None, toy(held)))
    found = jax.jit(lambda seed: probe(jax.random.key(seed), {}, {}, None))(np.uint32(7))
    return {name: np.asarray(value) for name, value in found.items()}


def test_an_evaluation_finds_the_layer_the_path_and_the_clouds():
    found, gains = measured(), GAINS[[2, 0]]
    by_answer, share = found["vector_success_by_answer"], np.linspace(0, 1, 5)
    np.testing.assert_allclose(by_answer[:2], [[1 / V] * 2, gains], rtol=1e-5)
    assert (by_answer[2] < 0.4).all()
    np.testing.assert_allclose(found["vector_success"], by_answer.mean(axis=1), rtol=1e-6)
    assert found["vector_layer_used"] == 1
    np.testing.assert_allclose(found["vector_baseline"], 1 / V, rtol=1e-5)
    path = np.stack([1 - share, share], axis=1) * gains
    np.testing.assert_allclose(found["vector_path"], path, rtol=1e-5, atol=1e-6)  # float32 means
    points = found["vector_points"]
    assert points.shape == (5, 32, V + 3)
    wanted = np.array([[1, 0], [0, 1], [0.75, 0.25], [0.5, 0.5], [0, 1]])
    np.testing.assert_allclose(points[..., [V + 2, V]], np.stack([wanted] * 32, 1), atol=1e-6)
    assert (points[..., V + 1] == 0).all()


def test_a_stream_without_a_query_is_moved_to_the_vector_itself():
    """Without examples the toy writes nothing at a separator: both patches are one."""
    found = measured()
    shifted = [name for name in found if name.startswith("vector_shift_")]
    assert len(shifted) == 5
    for name in shifted:
        there = found[name.replace("shift_", "")]
        np.testing.assert_allclose(found[name], there, rtol=1e-6, atol=1e-7)


def test_moved_by_the_difference_of_means_a_query_is_kept():
    """Histograms of 404 prompts' and queries' letters differ by noise, of mean 0, about .006 each.

    The vector alone says letters of all queries; each is right at one of eight.
    """
    # the last batches are not whole
    found, gains = measured(held=True, vector_prompts=404, vector_shown=0), GAINS[[2, 0]]
    np.testing.assert_allclose(found["vector_shift_success_by_answer"][1], gains, rtol=0.1)
    np.testing.assert_allclose(found["vector_success_by_answer"][1], gains / 8, rtol=0.1)
    assert found["vector_shift_layer_used"] == 1
    share = np.linspace(0, 1, 5)
    path = np.stack([1 - share, share], axis=1) * gains
    np.testing.assert_allclose(found["vector_shift_path"], path, atol=0.1)
    assert "vector_points" not in found


def test_the_mean_is_over_all_prompts_and_queries():
    """At the last layer a vector is a histogram of N answers, looked up at N others: 1/8 g.

    Of N = 416 its entries have a relative standard deviation of .13, the mean of N look-ups .0064.
    """
    success = measured()["vector_success_by_answer"][2]
    np.testing.assert_allclose(success, GAINS[[2, 0]] / 8, rtol=4 * 0.0064)


def test_a_given_layer_is_used():
    found = measured(vector_layer=0)
    assert found["vector_layer_used"] == 0
    np.testing.assert_allclose(found["vector_path"], 1 / V, rtol=1e-5)
    np.testing.assert_array_equal(found["vector_points"][..., V:], 0)
    np.testing.assert_array_equal(found["vector_success"], measured()["vector_success"])


def test_never_more_points_than_prompts():
    probe = vectors.probe(
        {**CONFIG, "vector_prompts": 2, "vector_shown": 16}, Parts(law(), None, toy())
    )
    found = jax.eval_shape(lambda key: probe(key, {}, {}, None), jax.random.key(7))
    assert found["vector_points"].shape == (5, 2, V + 3)
