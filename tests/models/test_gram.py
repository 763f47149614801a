"""Gram matrices and weighted sums from factors, against gradients made one by one."""

import functools
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from plateaus.models import gram, gram_groups, mlp, terms, transformer
from plateaus.models.gram import capture, combine, layer_grams, per_example_gram

B, T, W = 6, 5, 8
TOLERANCE = 1e-5  # relative to the largest entry, float32


def keyed(number, *shape):
    return jax.random.normal(jax.random.key(number), shape)


def truth(loss, params, units):
    """(losses [B], gradients [B, P] in float64, the gradients as a tree)."""
    losses, each = jax.jit(jax.vmap(jax.value_and_grad(loss), (None, 0)))(params, units)
    flat = [np.asarray(x, np.float64).reshape(len(losses), -1) for x in jax.tree.leaves(each)]
    return np.asarray(losses), np.concatenate(flat, axis=1), each


def agree(loss, params, units, tolerance=TOLERANCE):
    """Assert that factors give what the gradients of the units themselves give."""
    weights = keyed(99, len(jax.tree.leaves(units)[0]))

    @jax.jit
    def ours(params, units):
        losses, captured = capture(loss, params, units)
        return losses, gram.gram(captured), combine(captured, weights), layer_grams(captured)

    losses, found, combined, layers = ours(params, units)
    wanted, flat, each = truth(loss, params, units)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)
    close(found, flat @ flat.T, tolerance)
    close(sum(layers.values()), found, 1e-6)
    chex.assert_trees_all_equal_shapes_and_dtypes(combined, params)
    expected = jax.tree.map(lambda g: np.tensordot(weights, np.asarray(g, np.float64), 1), each)
    largest = max(np.abs(x).max() for x in jax.tree.leaves(expected))
    for one, other in zip(jax.tree.leaves(combined), jax.tree.leaves(expected), strict=True):
        assert np.abs(np.asarray(one, np.float64) - other).max() <= tolerance * largest


def close(found, wanted, tolerance):
    assert np.abs(np.asarray(found, np.float64) - wanted).max() <= tolerance * np.abs(wanted).max()


# Layers of all kinds: (params, x [T, W]) -> anything; the loss is a fixed function of it.

TABLE = keyed(0, 7, W)
WEIGHT = keyed(1, W, W) / W**0.5
TOKENS = jax.random.randint(jax.random.key(5), (B, T), 0, 7)


def layer_norm(p, x):
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return p["scale"][None] * centred / jnp.std(x, axis=-1, keepdims=True) + p["bias"][None]


def looked_up(p, x):  # rows of a table, some of them twice
    return jnp.tanh(p["table"][jnp.argsort(x[:, 0]) % 7])


def scanned(p, x):
    return jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, p["layers"])[0]


KNOWN = {
    "matrix": ({"w": WEIGHT}, lambda p, x: jnp.tanh(x @ p["w"])),
    "transposed matrix": ({"w": WEIGHT}, lambda p, x: jnp.tanh(x @ p["w"].T)),
    "vector": ({"w": WEIGHT[0]}, lambda p, x: x @ p["w"]),
    "one position": ({"w": WEIGHT}, lambda p, x: jnp.tanh(x[0] @ p["w"])),
    "bias": ({"b": TABLE[0]}, lambda p, x: jnp.tanh(x + p["b"][None])),
    "scalar": ({"s": jnp.float32(0.7)}, lambda p, x: jnp.tanh(x * p["s"])),
    "norm": ({"scale": TABLE[1], "bias": TABLE[2]}, layer_norm),
    "positions": ({"table": TABLE}, lambda p, x: jnp.tanh(x + p["table"][:T])),
    "all positions": ({"table": TABLE[:T]}, lambda p, x: jnp.tanh(x + p["table"])),
    "heads": (
        {"w": WEIGHT.reshape(2, 4, W)},
        lambda p, x: jnp.tanh(jnp.einsum("thd,hdw->thw", x.reshape(T, 2, 4), p["w"])),
    ),
    "many axes": (
        {"w": WEIGHT.reshape(W, 2, 4)},
        lambda p, x: jnp.tanh(jnp.einsum("tw,whd->thd", x, p["w"])),
    ),
    "table": ({"table": TABLE}, looked_up),
    "unused": ({"w": WEIGHT, "idle": TABLE}, lambda p, x: jnp.tanh(x @ p["w"])),
    "used twice": ({"w": WEIGHT}, lambda p, x: jnp.tanh(jnp.tanh(x @ p["w"]) @ p["w"])),
    "used both ways": ({"w": WEIGHT}, lambda p, x: jnp.tanh(jnp.tanh(x @ p["w"]) @ p["w"].T)),
    "tied": ({"table": TABLE}, lambda p, x: jnp.tanh(looked_up(p, x) @ p["table"].T)),
    "tied, turned": (
        {"table": TABLE.T},
        lambda p, x: looked_up({"table": p["table"].T}, x) @ p["table"],
    ),
    "used as matrix and bias": (
        {"w": WEIGHT},
        lambda p, x: jnp.tanh(x @ p["w"]) + p["w"][:1],
    ),
    "jitted": (
        {"w": WEIGHT, "b": TABLE[0]},
        lambda p, x: jax.jit(lambda w, b, x: jnp.tanh(x @ w.T + b[None]))(p["w"], p["b"], x),
    ),
    "rematerialised": (
        {"w": WEIGHT, "b": TABLE[0]},
        jax.checkpoint(lambda p, x: jnp.tanh(jnp.tanh(x @ p["w"]) @ p["w"] + p["b"][None])),
    ),
}
PADDED = {  # look-ups beyond the table, which read a fill and learn nothing
    "an end of sequence": (7, {"mode": "fill", "fill_value": 0}),
    "far below": (-11, {"mode": "fill", "fill_value": 0}),
    "dropped": (9, {}),
}
UNKNOWN = {
    "scan": ({"layers": jnp.stack([WEIGHT, WEIGHT.T])}, scanned),
    "scaled weights": ({"w": keyed(3, W, 40)}, lambda p, x: jnp.tanh(x @ (p["w"] * 0.3))),
    "product of weights": (
        {"u": keyed(3, W, 40), "v": keyed(4, 40, W)},
        lambda p, x: jnp.tanh(x @ (p["u"] @ p["v"])),
    ),
}


def loss_of(layer):
    return lambda p, x: jnp.sum(jnp.cos(jnp.arange(layer(p, x).size)) * layer(p, x).reshape(-1))


@pytest.mark.parametrize("ghost", (True, False))
@pytest.mark.parametrize("name", KNOWN)
def test_every_kind_of_layer_by_both_forms(name, ghost, monkeypatch):
    monkeypatch.setattr(terms, "ghost_is_cheaper", lambda pairs: ghost)
    params, layer = KNOWN[name]
    agree(loss_of(layer), params, keyed(2, B, T, W))  # warnings are errors: no fallback


@pytest.mark.parametrize("ghost", (True, False))
@pytest.mark.parametrize("name", PADDED)
def test_rows_beyond_the_table_add_nothing(name, ghost, monkeypatch):
    monkeypatch.setattr(terms, "ghost_is_cheaper", lambda pairs: ghost)
    beyond, mode = PADDED[name]

    def layer(p, x):
        index = jnp.where(x[:, 0] > 0, beyond, jnp.argsort(x[:, 1]) % 7)
        read = p["table"].at[index].get(**mode)
        return jnp.tanh(jnp.where((index == beyond)[:, None], 0.5, read) if not mode else read)

    agree(loss_of(layer), {"table": TABLE}, keyed(2, B, T, W))


def test_a_batched_product_beside_a_plain_one(monkeypatch):
    """Their factors do not go together, position by position, even where that would be cheaper."""
    monkeypatch.setattr(terms, "ghost_is_cheaper", lambda pairs: True)
    inputs = (keyed(2, B, W, T, W), keyed(3, B, T, W))

    def loss(p, unit):
        together = jnp.einsum("ep,etp->et", p, unit[0])
        return jnp.sum(jnp.sin(together)) + jnp.sum(jnp.tanh(unit[1] @ p))

    def looked(p, unit):
        together = jnp.einsum("ep,pte->pt", p, unit[0])
        return jnp.sum(jnp.sin(together)) + jnp.sum(jnp.sin(p[jnp.argsort(unit[1][0])[:3]]))

    agree(loss, WEIGHT, inputs)
    agree(looked, WEIGHT, inputs)


def test_effects_of_the_loss_stay(capsys):
    def loss(p, x):
        jax.debug.print("seen {}", x[0, 0])
        return jnp.sum(x @ p)

    jax.block_until_ready(capture(loss, jnp.ones(W), jnp.ones((2, T, W)))[0])
    jax.effects_barrier()
    assert capsys.readouterr().out.count("seen 1.0") == 2


def test_a_constant_gradient_inside_a_jit():
    @jax.custom_vjp
    def layer(w, x):
        return jnp.sum(w * x)

    layer.defvjp(
        lambda w, x: (layer(w, x), None), lambda _, ct: (np.full(W, 2.0, np.float32), None)
    )
    nested = jax.jit(lambda w, x: jax.jit(layer)(w, x))
    _, captured = capture(nested, jnp.ones(W), keyed(0, B, W))
    np.testing.assert_allclose(gram.gram(captured), 4.0 * W)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_understood_is_exact_and_said(name):
    params, layer = UNKNOWN[name]
    with pytest.warns(UserWarning, match="computed for each example"):
        agree(loss_of(layer), params, keyed(2, B, T, W))


class Convolution(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(jnp.tanh(nn.Conv(4, (3,))(x)))


def test_a_layer_that_is_not_understood_is_told_once_by_name_and_the_others_are_not():
    module, x = Convolution(), keyed(2, B, T, W)
    params = module.init(jax.random.key(0), x)["params"]
    engine = per_example_gram(
        lambda p, x: module.apply({"params": p}, x), lambda y, batch: jnp.sum(y**2, (1, 2))
    )
    with pytest.warns() as told:
        _, found, _ = engine(params, (x, x))
    assert len(told) == 1 and "['Conv_0']['kernel']" in str(told[0].message)
    _, flat, _ = truth(lambda p, x: jnp.sum(module.apply({"params": p}, x) ** 2), params, x)
    close(found, flat @ flat.T, TOLERANCE)


SPECS = {
    "gpt": {},
    "llama": {"norm": "rmsnorm", "activation": "swiglu", "positions": "rotary", "bias": False},
    "linear attention": {"attention": "linear", "attention_only": True},
    "rematerialised": {"rematerialise": True},
    "as many positions as tokens": {"max_positions": T},
}


def network(vocabulary=None, **given):
    spec = {"width": 16, "depth": 2, "heads": 2, "max_positions": 9, **given}
    spec = transformer.Spec(initialisation="lecun_normal", **spec)
    if vocabulary:
        return transformer.transformer(spec, vocabulary=vocabulary)
    return transformer.transformer(spec, inputs=3, read_at=slice(0, None, 2))


def regression(model):
    return lambda p, unit: jnp.mean((model.apply(p, unit[0][None])[0][0] - unit[1]) ** 2)


def language(model):
    def loss(p, tokens):
        logits = jax.nn.log_softmax(model.apply(p, tokens[None])[0][0])
        return -jnp.mean(jnp.take_along_axis(logits, tokens[:, None], axis=-1))

    return loss


@pytest.mark.parametrize("name", SPECS)
def test_transformers_of_numbers(name):
    model = network(**SPECS[name])
    params = model.init(jax.random.key(0))
    agree(regression(model), params, (keyed(2, B, T, 3), keyed(3, B, 3)))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("tied", (False, True))
def test_transformers_of_tokens(name, tied):
    model = network(vocabulary=7, tied=tied, **SPECS[name])
    agree(language(model), model.init(jax.random.key(0)), TOKENS)


def test_bfloat16_factors_give_float32_sums():
    """As far from float32 gradients as bfloat16 ones made one by one are."""
    model = network(compute="bfloat16")
    params, units = model.init(jax.random.key(0)), (keyed(2, B, T, 3), keyed(3, B, 3))
    _, captured = jax.jit(functools.partial(capture, regression(model)))(params, units)
    assert {x.dtype.name for x in captured.factors} == {"bfloat16", "float32"}
    found = gram.gram(captured)
    assert found.dtype == jnp.float32
    _, rounded, _ = truth(regression(model), params, units)
    close(found, rounded @ rounded.T, 4e-3)  # 2^-8, bfloat16's unit roundoff
    combined = combine(captured, jnp.ones(B))
    chex.assert_trees_all_equal_shapes_and_dtypes(combined, params)


def test_the_engine_on_a_batch():
    """Losses, Gram and combination of the MLP beside jax.grad of the weighted loss."""
    model = mlp.mlp(mlp.Spec(width=16), 4)
    params, batch = model.init(jax.random.key(0)), (keyed(1, B, 4), keyed(2, B))
    loss = lambda y, batch: (y - batch[1]) ** 2  # noqa: E731
    losses, found, captured = jax.jit(per_example_gram(model, loss))(params, batch)
    np.testing.assert_allclose(losses, loss(model.apply(params, batch[0])[0], batch), rtol=1e-6)
    weights = keyed(3, B)
    wanted = jax.grad(lambda p: jnp.sum(weights * loss(model.apply(p, batch[0])[0], batch)))(params)
    chex.assert_trees_all_close(combine(captured, weights), wanted, rtol=1e-5, atol=1e-6)
    assert found.shape == (B, B)


def test_it_lives_in_jit_vmap_and_scan():
    """A scan of steps mapped over seeds, `captured` carried through, is what a loop gives."""
    model = mlp.mlp(mlp.Spec(width=8), 4)
    engine = per_example_gram(model, lambda y, batch: (y - batch[1]) ** 2)
    batch = (keyed(1, B, 4), keyed(2, B))

    def step(params, _):
        _, found, captured = engine(params, batch)
        captured = jax.tree.map(lambda x: x, captured)
        gradient = combine(captured, jnp.sum(found, axis=0) / jnp.sum(jnp.abs(found)))
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), found

    keys = jax.random.split(jax.random.key(0), 3)
    params = jax.vmap(model.init)(keys)
    scan = jax.jit(jax.vmap(lambda p: jax.lax.scan(step, p, None, length=3)))
    _, together = scan(params)
    for i in range(3):
        one = jax.tree.map(lambda x, i=i: x[i], params)
        for t in range(3):
            one, found = jax.jit(step)(one, None)
            np.testing.assert_allclose(together[i, t], found, rtol=1e-4, atol=1e-6)


def test_batches_as_units_have_the_gram_of_groups():
    """Gradients of whole batches, and group means of single examples, are the same."""
    model = network()
    params = model.init(jax.random.key(0))
    x, y = keyed(2, B, T, 3), keyed(3, B, 3)
    one = regression(model)
    mean = lambda p, unit: jnp.mean(jax.vmap(one, (None, 0))(p, unit))  # noqa: E731
    halves = (x.reshape(2, 3, T, 3), y.reshape(2, 3, 3))
    _, batches = jax.jit(functools.partial(capture, mean))(params, halves)
    _, examples = jax.jit(functools.partial(capture, one))(params, (x, y))
    group = jnp.array([0, 0, 0, 1, 1, 1])
    found = gram_groups.of_groups(gram.gram(examples), group, 2)
    close(found, np.asarray(gram.gram(batches), np.float64), TOLERANCE)
    weights = jnp.array([0.3, -2.0])
    chex.assert_trees_all_close(
        combine(examples, gram_groups.of_members(weights, group)),
        combine(batches, weights),
        rtol=1e-4,
        atol=1e-6,
    )


def sizes(jaxpr):
    """The sizes of all arrays in a program and those it calls."""
    for eqn in jaxpr.eqns:
        yield from (out.aval.size for out in eqn.outvars)
        for inner in eqn.params.values():
            inner = getattr(inner, "jaxpr", inner)  # of a closed program
            if hasattr(inner, "eqns"):
                yield from sizes(inner)


def test_gradients_of_all_examples_are_never_made():
    """Of long examples one layer's at a time; of short ones not even those."""
    width = 64
    for tokens, most in ((2, B * width * 3), (40, B * 4 * width * width)):
        model = network(width=width, max_positions=40)
        units = (jnp.zeros((B, tokens, 3)), jnp.zeros((B, tokens // 2)))
        params = model.init(jax.random.key(0))

        def both(params, units, model=model):
            _, captured = capture(regression(model), params, units)
            return gram.gram(captured), combine(captured, jnp.ones(B))

        program = jax.make_jaxpr(both)(params, units)
        parameters = max(x.size for x in jax.tree.leaves(params))
        assert max(sizes(program.jaxpr)) <= max(most, 2 * parameters, B * tokens * 4 * width)


def test_rematerialised_blocks_stay_so():
    """Their programs are called, not inlined: else XLA would keep what it should recompute."""
    model = network(rematerialise=True)
    units = (jnp.zeros((B, T, 3)), jnp.zeros((B, 3)))
    params = model.init(jax.random.key(0))
    program = jax.make_jaxpr(lambda p: gram.gram(capture(regression(model), p, units)[1]))(params)
    calls = [e for e in program.jaxpr.eqns if e.primitive.name in ("checkpoint", "remat2", "remat")]
    assert len(calls) >= 2  # the two blocks', backwards


# Bad input.


def engine_of(loss):
    return per_example_gram(lambda p, x: x @ p, loss)


@pytest.mark.parametrize(
    ("loss", "returned"),
    (
        (lambda y, batch: jnp.mean((y - batch[1]) ** 2), r"\(\)"),
        (lambda y, batch: (y - batch[1])[:, None], r"\(6, 1\)"),
        (lambda y, batch: (y, y), "tuple"),
    ),
)
def test_a_loss_that_is_not_one_number_an_example_is_refused(loss, returned):
    with pytest.raises(ValueError, match=rf"each example, \(6,\); it returned {returned}"):
        engine_of(loss)(jnp.ones(W), (keyed(0, B, W), keyed(1, B)))


def test_an_array_of_the_examples_that_the_loss_closes_over_is_refused():
    mask = jnp.arange(float(B))
    with pytest.raises(ValueError, match=r"one example is \(6,\).*part of the batch"):
        engine_of(lambda y, batch: mask * y)(jnp.ones(W), (keyed(0, B, W), keyed(1, B)))


def test_what_is_no_batch_or_no_parameters_is_refused():
    engine = engine_of(lambda y, batch: y)
    with pytest.raises(ValueError, match=r"a tuple \(inputs, targets\), not a dict"):
        engine(jnp.ones(W), {"inputs": keyed(0, B, W)})
    with pytest.raises(ValueError, match="no parameters"):
        engine({}, (keyed(0, B, W), keyed(1, B)))
    with pytest.raises(ValueError, match="one leading axis"):
        engine(jnp.ones(W), (jnp.ones((0, W)), jnp.ones(0)))
    _, _, captured = engine(jnp.ones(W), (keyed(0, B, W), keyed(1, B)))
    for weights in (jnp.ones(1), jnp.ones((B, 1)), jnp.float32(1.0)):
        with pytest.raises((ValueError, TypeError)):  # beartype sees some of them first
            combine(captured, weights)


@pytest.mark.parametrize("targets", (jnp.ones(B - 1), jnp.float32(1.0)))
def test_a_batch_without_one_leading_axis_is_refused(targets):
    with pytest.raises(ValueError, match=r"one leading axis.*\(6, 8\)"):
        engine_of(lambda y, batch: y)(jnp.ones(W), (keyed(0, B, W), targets))


def test_a_batch_of_one_is_a_gradient_and_its_square():
    engine = engine_of(lambda y, batch: y * batch[1])
    _, found, captured = engine(jnp.ones(2), (jnp.array([[3.0, 4.0]]), jnp.ones(1)))
    np.testing.assert_allclose(found, [[25.0]])
    np.testing.assert_allclose(combine(captured, jnp.ones(1)), [3.0, 4.0])


def test_nan_stays_with_its_example():
    model = network()
    x = keyed(2, B, T, 3).at[2, 0, 0].set(jnp.nan)
    _, captured = capture(regression(model), model.init(jax.random.key(0)), (x, jnp.zeros((B, 3))))
    nan = np.isnan(np.asarray(gram.gram(captured)))
    assert nan[2].all() and nan[:, 2].all() and np.count_nonzero(nan) == 2 * B - 1


def test_the_cheaper_form_is_chosen():
    """By operations: short prompts in wide layers by positions, long ones in narrow ones not."""
    pair = lambda b, t, p, q: terms.Pair(jnp.zeros((b, 1, t, p)), jnp.zeros((b, 1, t, q)))  # noqa: E731
    assert terms.ghost_is_cheaper([pair(20, 1, 20, 40)])
    assert not terms.ghost_is_cheaper([pair(32, 82, 256, 1024)])
    assert terms.ghost_is_cheaper([pair(64, 8, 192, 768)])


def test_no_warning_is_left_to_filters():
    """The suite turns warnings into errors, which the tests of known layers rely on."""
    with pytest.raises(UserWarning):
        warnings.warn("x", UserWarning, stacklevel=1)


def test_what_a_loss_returns_beside_comes_out_by_unit():
    """With `has_aux`: the tree, of what varies by unit and of what does not; gradients as ever."""
    params = {"w": jnp.array([1.0, -2.0]), "b": jnp.float32(0.5)}
    units = jnp.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]])

    def loss(p, x):
        said = x @ p["w"] + p["b"]
        return jnp.square(said), {"said": said, "b": p["b"]}

    (losses, aux), captured = capture(loss, params, units, has_aux=True)
    said = np.asarray(units) @ [1.0, -2.0] + 0.5
    np.testing.assert_allclose(aux["said"], said)
    np.testing.assert_allclose(aux["b"], [0.5] * 3)
    np.testing.assert_allclose(losses, said**2)
    each = 2 * said[:, None] * np.asarray(units)
    rows = jnp.array([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]])
    found = gram_groups.sums(functools.partial(combine, captured), rows, ["w"])
    np.testing.assert_allclose(found["['w']"], [each[0] + each[2], 2 * each[1]])
