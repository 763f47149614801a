"""Gram matrices and weighted sums from factors, against gradients made one by one."""

import functools
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from plateaus.gram import by_group, products
from plateaus.gram import engine as gram
from plateaus.gram.engine import capture, combine, layer_grams, per_example_gram
from plateaus.models.networks import mlp, transformer

pytestmark = pytest.mark.versions

B, T, W = 6, 5, 8
TOLERANCE = 1e-5  # relative to the largest entry, float32


def drawn(number, *shape):
    return np.random.default_rng(number).normal(size=shape).astype(np.float32)


def parameters(init, *example, seed=0):
    """Weights near those of `lecun_normal`; none at a special value, such as a bias of zero."""
    rng = np.random.default_rng(seed)

    def leaf(path, x):
        scale = x.shape[0] ** -0.5 if x.ndim > 1 else 0.1
        return rng.normal(path[-1].key == "scale", scale, x.shape).astype(np.float32)

    shapes = jax.eval_shape(init, jax.random.key(0), *example)
    return jax.tree_util.tree_map_with_path(leaf, shapes)


def truth(loss, params, units):
    """(losses [B], the gradients as a tree [B, ...]), one by one."""
    return jax.vmap(jax.value_and_grad(loss), (None, 0))(params, units)


def flat(each):
    """Gradients [B, P] in float64."""
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(each)]
    return np.concatenate([x.reshape(len(x), -1) for x in leaves], axis=1)


def as_chosen(captured):
    return [(gram.gram(captured), layer_grams(captured))]


@pytest.fixture
def by_both_forms(monkeypatch):
    """Inner products by the ghost form and by the direct one, whichever is cheaper."""

    def forms(captured):
        found = []
        for ghost in (True, False):
            monkeypatch.setattr(products, "ghost_is_cheaper", lambda pairs, ghost=ghost: ghost)
            found += as_chosen(captured)
        return found

    return forms


def agree(loss, params, units, tolerance=TOLERANCE, forms=as_chosen):
    """Assert that factors give what the gradients of the units themselves give."""
    weights = drawn(99, len(jax.tree.leaves(units)[0]))

    @jax.jit
    def both(params, units, weights):
        losses, captured = capture(loss, params, units)
        found = losses, forms(captured), combine(captured, weights)
        return found, truth(loss, params, units)

    (losses, grams, combined), (wanted, each) = both(params, units, weights)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5)
    products = flat(each) @ flat(each).T
    for found, layers in grams:
        close(found, products, tolerance)
        close(sum(layers.values()), found, 1e-6)
    chex.assert_trees_all_equal_shapes_and_dtypes(combined, params)
    expected = jax.tree.map(lambda g: np.tensordot(weights, np.asarray(g, np.float64), 1), each)
    largest = max(np.abs(x).max() for x in jax.tree.leaves(expected))
    for one, other in zip(jax.tree.leaves(combined), jax.tree.leaves(expected), strict=True):
        assert np.abs(np.asarray(one, np.float64) - other).max() <= tolerance * largest


def close(found, wanted, tolerance):
    wanted = np.asarray(wanted, np.float64)
    assert np.abs(np.asarray(found, np.float64) - wanted).max() <= tolerance * np.abs(wanted).max()


# Layers of all kinds: (params, x [T, W]) -> anything; the loss is a fixed function of it.

TABLE = drawn(0, 7, W)
WEIGHT = drawn(1, W, W) / np.float32(W**0.5)
TOKENS = np.random.default_rng(5).integers(7, size=(B, T))


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
    "scalar": ({"s": np.float32(0.7)}, lambda p, x: jnp.tanh(x * p["s"])),
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
    "scan": ({"layers": np.stack([WEIGHT, WEIGHT.T])}, scanned),
    "scaled weights": ({"w": drawn(3, W, 40)}, lambda p, x: jnp.tanh(x @ (p["w"] * 0.3))),
    "product of weights": (
        {"u": drawn(3, W, 40), "v": drawn(4, 40, W)},
        lambda p, x: jnp.tanh(x @ (p["u"] @ p["v"])),
    ),
}


def loss_of(layer):
    def loss(p, x):
        said = layer(p, x).reshape(-1)
        return jnp.sum(np.cos(np.arange(said.size, dtype=np.float32)) * said)

    return loss


@pytest.mark.parametrize("name", KNOWN)
def test_every_kind_of_layer_by_both_forms(name, by_both_forms):
    params, layer = KNOWN[name]
    # warnings are errors: no fallback
    agree(loss_of(layer), params, drawn(2, B, T, W), forms=by_both_forms)


@pytest.mark.parametrize("name", PADDED)
def test_rows_beyond_the_table_add_nothing(name, by_both_forms):
    beyond, mode = PADDED[name]

    def layer(p, x):
        index = jnp.where(x[:, 0] > 0, beyond, jnp.argsort(x[:, 1]) % 7)
        read = p["table"].at[index].get(**mode)
        return jnp.tanh(jnp.where((index == beyond)[:, None], 0.5, read) if not mode else read)

    agree(loss_of(layer), {"table": TABLE}, drawn(2, B, T, W), forms=by_both_forms)


def test_a_batched_product_beside_a_plain_one(monkeypatch):
    """Their factors do not go together, position by position, even where that would be cheaper."""
    monkeypatch.setattr(products, "ghost_is_cheaper", lambda pairs: True)
    inputs = (drawn(2, B, W, T, W), drawn(3, B, T, W))

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

    units = np.ones((2, T, W), np.float32)
    losses = jax.jit(lambda p, x: capture(loss, p, x)[0])(np.ones(W, np.float32), units)
    jax.block_until_ready(losses)
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
    found = jax.jit(lambda w, x: gram.gram(capture(nested, w, x)[1]))
    np.testing.assert_allclose(found(np.ones(W, np.float32), drawn(0, B, W)), 4.0 * W)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_understood_is_exact_and_said(name):
    params, layer = UNKNOWN[name]
    with pytest.warns(UserWarning, match="computed for each example"):
        agree(loss_of(layer), params, drawn(2, B, T, W))


class Convolution(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(jnp.tanh(nn.Conv(4, (3,))(x)))


def test_a_layer_that_is_not_understood_is_told_once_by_name_and_the_others_are_not():
    module, x = Convolution(), drawn(2, B, T, W)
    params = parameters(module.init, x)["params"]
    engine = per_example_gram(
        lambda p, x: module.apply({"params": p}, x), lambda y, batch: jnp.sum(y**2, (1, 2))
    )
    loss = lambda p, x: jnp.sum(module.apply({"params": p}, x) ** 2)  # noqa: E731
    with pytest.warns() as told:
        (_, found, _), (_, each) = jax.jit(lambda p, x: (engine(p, (x, x)), truth(loss, p, x)))(
            params, x
        )
    assert len(told) == 1 and "['Conv_0']['kernel']" in str(told[0].message)
    close(found, flat(each) @ flat(each).T, TOLERANCE)


LLAMA = {"norm": "rmsnorm", "activation": "swiglu", "positions": "rotary", "bias": False}
SPECS = {
    "gpt": {},
    "llama": {"depth": 1, **LLAMA},
    "linear attention": {"depth": 1, "attention": "linear", "attention_only": True},
    "rematerialised": {"rematerialise": True},
    "as many positions as tokens": {"depth": 1, "max_positions": T},
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
    params = parameters(model.init)
    agree(regression(model), params, (drawn(2, B, T, 3), drawn(3, B, 3)))


def read_in_and_out():
    """Every way to read tokens in and out with one kind of block; thoroughly, with every kind."""
    for name in SPECS:
        for tied in (False, True):
            first = name == "gpt" or (name == "rematerialised" and tied)
            yield pytest.param(name, tied, marks=() if first else pytest.mark.thorough)


@pytest.mark.parametrize(("name", "tied"), list(read_in_and_out()))
def test_transformers_of_tokens(name, tied):
    model = network(vocabulary=7, tied=tied, **SPECS[name])
    agree(language(model), parameters(model.init), TOKENS)


def test_bfloat16_factors_give_float32_sums():
    """As far from float32 gradients as bfloat16 ones made one by one are."""
    model = network(depth=1, compute="bfloat16")
    params, units = parameters(model.init), (drawn(2, B, T, 3), drawn(3, B, 3))

    @jax.jit
    def both(params, units):
        _, captured = capture(regression(model), params, units)
        found = captured, gram.gram(captured), combine(captured, jnp.ones(B))
        return *found, truth(regression(model), params, units)[1]

    captured, found, combined, rounded = both(params, units)
    assert {x.dtype.name for x in captured.factors} == {"bfloat16", "float32"}
    assert found.dtype == jnp.float32
    close(found, flat(rounded) @ flat(rounded).T, 4e-3)  # 2^-8, bfloat16's unit roundoff
    chex.assert_trees_all_equal_shapes_and_dtypes(combined, params)


def test_the_engine_on_a_batch():
    """Losses, Gram and combination of the MLP beside jax.grad of the weighted loss."""
    model = mlp.mlp(mlp.Spec(width=16), 4)
    params, batch = parameters(model.init), (drawn(1, B, 4), drawn(2, B))
    loss = lambda y, batch: (y - batch[1]) ** 2  # noqa: E731
    losses, found, captured = jax.jit(per_example_gram(model, loss))(params, batch)

    @jax.jit
    def other(params, batch, weights, captured):
        each = lambda p: loss(model.apply(p, batch[0])[0], batch)  # noqa: E731
        gradient = jax.grad(lambda p: jnp.sum(weights * each(p)))(params)
        return each(params), combine(captured, weights), gradient

    plain, combined, wanted = other(params, batch, drawn(3, B), captured)
    np.testing.assert_allclose(losses, plain, rtol=1e-6)
    chex.assert_trees_all_close(combined, wanted, rtol=1e-5, atol=1e-6)
    assert found.shape == (B, B)


def test_it_lives_in_jit_vmap_and_scan():
    """A scan of steps mapped over seeds, `captured` carried through, is what a loop gives."""
    model = mlp.mlp(mlp.Spec(width=8), 4)
    engine = per_example_gram(model, lambda y, batch: (y - batch[1]) ** 2)
    batch = (drawn(1, B, 4), drawn(2, B))

    def step(params, _):
        _, found, captured = engine(params, batch)
        captured = jax.tree.map(lambda x: x, captured)
        gradient = combine(captured, jnp.sum(found, axis=0) / jnp.sum(jnp.abs(found)))
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), found

    members = [parameters(model.init, seed=seed) for seed in range(3)]
    scan = jax.jit(jax.vmap(lambda p: jax.lax.scan(step, p, None, length=3)))
    _, together = scan(jax.tree.map(lambda *leaves: np.stack(leaves), *members))
    for i, one in enumerate(members):
        for t in range(3):
            one, found = jax.jit(step)(one, None)
            np.testing.assert_allclose(together[i, t], found, rtol=1e-4, atol=1e-6)


def test_batches_as_units_have_the_gram_of_groups():
    """Gradients of whole batches, and group means of single examples, are the same."""
    model = network(depth=1)
    params = parameters(model.init)
    x, y = drawn(2, B, T, 3), drawn(3, B, 3)
    one = regression(model)
    mean = lambda p, unit: jnp.mean(jax.vmap(one, (None, 0))(p, unit))  # noqa: E731
    halves = (x.reshape(2, 3, T, 3), y.reshape(2, 3, 3))
    share = np.repeat(np.eye(2, dtype=np.float32) / 3, 3, axis=1)  # of each example in its half
    weights = np.array([0.3, -2.0], np.float32)

    @jax.jit
    def both(params, examples, batches, share, weights):
        _, captured = capture(one, params, examples)
        groups = share @ gram.gram(captured) @ share.T, combine(captured, weights @ share)
        _, captured = capture(mean, params, batches)
        return groups, (gram.gram(captured), combine(captured, weights))

    (found, combined), (wanted, gradient) = both(params, (x, y), halves, share, weights)
    close(found, wanted, TOLERANCE)
    chex.assert_trees_all_close(combined, gradient, rtol=1e-4, atol=1e-6)


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
        units = (np.zeros((B, tokens, 3), np.float32), np.zeros((B, tokens // 2), np.float32))
        params = jax.eval_shape(model.init, jax.random.key(0))

        def both(params, units, model=model):
            _, captured = capture(regression(model), params, units)
            return gram.gram(captured), combine(captured, jnp.ones(B))

        program = jax.make_jaxpr(both)(params, units)
        parameters = max(x.size for x in jax.tree.leaves(params))
        assert max(sizes(program.jaxpr)) <= max(most, 2 * parameters, B * tokens * 4 * width)


def test_rematerialised_blocks_stay_so():
    """Their programs are called, not inlined: else XLA would keep what it should recompute."""
    model = network(rematerialise=True)
    units = (np.zeros((B, T, 3), np.float32), np.zeros((B, 3), np.float32))
    params = jax.eval_shape(model.init, jax.random.key(0))
    program = jax.make_jaxpr(lambda p: gram.gram(capture(regression(model), p, units)[1]))(params)
    calls = [e for e in program.jaxpr.eqns if e.primitive.name in ("checkpoint", "remat2", "remat")]
    assert len(calls) >= 2  # the two blocks', backwards


# Bad input.


ONES = np.ones(W, np.float32)


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
        engine_of(loss)(ONES, (drawn(0, B, W), drawn(1, B)))


def test_an_array_of_the_examples_that_the_loss_closes_over_is_refused():
    mask = np.arange(B, dtype=np.float32)
    with pytest.raises(ValueError, match=r"one example is \(6,\).*part of the batch"):
        engine_of(lambda y, batch: mask * y)(ONES, (drawn(0, B, W), drawn(1, B)))


def test_what_is_no_batch_or_no_parameters_is_refused():
    engine = engine_of(lambda y, batch: y)
    with pytest.raises(ValueError, match=r"a tuple \(inputs, targets\), not a dict"):
        engine(ONES, {"inputs": drawn(0, B, W)})
    with pytest.raises(ValueError, match="no parameters"):
        engine({}, (drawn(0, B, W), drawn(1, B)))
    with pytest.raises(ValueError, match="one leading axis"):
        engine(ONES, (np.ones((0, W), np.float32), np.ones(0, np.float32)))
    _, _, captured = jax.jit(engine)(ONES, (drawn(0, B, W), drawn(1, B)))
    for weights in map(jnp.asarray, (ONES[:1], np.ones((B, 1), np.float32), ONES[0])):
        with pytest.raises((ValueError, TypeError)):  # beartype sees some of them first
            combine(captured, weights)


@pytest.mark.parametrize("targets", (ONES[: B - 1], ONES[0]))
def test_a_batch_without_one_leading_axis_is_refused(targets):
    with pytest.raises(ValueError, match=r"one leading axis.*\(6, 8\)"):
        engine_of(lambda y, batch: y)(ONES, (drawn(0, B, W), targets))


def test_a_batch_of_one_is_a_gradient_and_its_square():
    engine = engine_of(lambda y, batch: y * batch[1])
    batch = (np.array([[3.0, 4.0]], np.float32), ONES[:1])
    _, found, captured = jax.jit(engine)(ONES[:2], batch)
    np.testing.assert_allclose(found, [[25.0]])
    np.testing.assert_allclose(jax.jit(combine)(captured, ONES[:1]), [3.0, 4.0])


def test_nan_stays_with_its_example():
    model = network(depth=1)
    x = drawn(2, B, T, 3)
    x[2, 0, 0] = np.nan
    found = jax.jit(lambda p, units: gram.gram(capture(regression(model), p, units)[1]))
    nan = np.isnan(found(parameters(model.init), (x, np.zeros((B, 3), np.float32))))
    assert nan[2].all() and nan[:, 2].all() and np.count_nonzero(nan) == 2 * B - 1


def test_the_cheaper_form_is_chosen():
    """By operations: short prompts in wide layers by positions, long ones in narrow ones not."""
    pair = lambda b, t, p, q: products.Pair(np.zeros((b, 1, t, p)), np.zeros((b, 1, t, q)))  # noqa: E731
    assert products.ghost_is_cheaper([pair(20, 1, 20, 40)])
    assert not products.ghost_is_cheaper([pair(32, 82, 256, 1024)])
    assert products.ghost_is_cheaper([pair(64, 8, 192, 768)])


def test_no_warning_is_left_to_filters():
    """The suite turns warnings into errors, which the tests of known layers rely on."""
    with pytest.raises(UserWarning):
        warnings.warn("x", UserWarning, stacklevel=1)


def test_what_a_loss_returns_beside_comes_out_by_unit():
    """With `has_aux`: the tree, of what varies by unit and of what does not; gradients as ever."""
    params = {"w": np.array([1.0, -2.0], np.float32), "b": np.float32(0.5)}
    units = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]], np.float32)
    rows = np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]], np.float32)

    def loss(p, x):
        said = x @ p["w"] + p["b"]
        return jnp.square(said), {"said": said, "b": p["b"]}

    @jax.jit
    def both(params, units, rows):
        results, captured = capture(loss, params, units, has_aux=True)
        return results, by_group.sums(functools.partial(combine, captured), rows, ["w"])

    (losses, aux), found = both(params, units, rows)
    said = units @ [1.0, -2.0] + 0.5
    np.testing.assert_allclose(aux["said"], said)
    np.testing.assert_allclose(aux["b"], [0.5] * 3)
    np.testing.assert_allclose(losses, said**2)
    each = 2 * said[:, None] * units
    np.testing.assert_allclose(found["['w']"], [each[0] + each[2], 2 * each[1]])
