"""The transformer against a plain numpy one, and by its properties."""

import functools
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chex import assert_trees_all_close

from plateaus.models.networks.transformer import Spec, activations, check, rotate, transformer
from plateaus.models.taps import Tap

SMALL = {"width": 12, "depth": 1, "heads": 3, "max_positions": 7}
LLAMA = {"positions": "rotary", "norm": "rmsnorm", "activation": "swiglu", "bias": False}
SPECS = {
    "gpt2": Spec(**SMALL),
    "llama": Spec(**SMALL, **LLAMA),
    "linear": Spec(**SMALL, attention="linear", attention_only=True),
}
DEEP = Spec(**{**SMALL, "depth": 2})


@functools.cache
def build(spec, **sizes):
    """Return a model, parameters of it, and a batch of inputs [2, 6].

    No parameter is at a special value, such as a bias of zero.
    """
    rng = np.random.default_rng(1)
    model = transformer(spec, **sizes)
    params = jax.tree_util.tree_map_with_path(
        lambda path, a: np.asarray(
            rng.normal("scale" in jax.tree_util.keystr(path), 0.4, a.shape), np.float32
        ),
        jax.eval_shape(model.init, jax.random.key(0)),
    )
    size = sizes.get("inputs", 0)
    x = rng.normal(size=(2, 6, size)) if size else rng.integers(sizes["vocabulary"], size=(2, 6))
    return model, params, np.asarray(x, np.float32 if size else np.int32)


def everything(spec):
    """Return (params, inputs) -> output, activations, gradients, cotangents of the activations.

    The gradients are those of the sum of squared outputs.
    """
    model, params, inputs = build(spec, inputs=3)

    def loss(params, inputs, shifts):
        edits = {name: lambda x, name=name: x + shifts[name] for name in shifts}
        output, seen = model.apply(params, inputs, edits=edits, capture=model.activations)
        return (output**2).sum(), (output, seen)

    shapes = jax.eval_shape(lambda: loss(params, inputs, {})[1][1])

    def call(params, inputs):
        shifts = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        slopes, (output, seen) = jax.grad(loss, (0, 2), has_aux=True)(params, inputs, shifts)
        return output, seen, *slopes

    return call


@functools.cache
def compiled(spec):
    return jax.jit(everything(spec))


@functools.cache
def forward(spec):
    """Return the output and all activations, without the backward pass."""
    model, params, inputs = build(spec, inputs=3)
    call = jax.jit(lambda p, x: model.apply(p, x, capture=model.activations))
    return jax.tree.map(np.asarray, call(params, inputs))


@functools.cache
def answers(spec):
    _, params, inputs = build(spec, inputs=3)
    return jax.tree.map(np.asarray, compiled(spec)(params, inputs))


def with_(spec, **changes):
    return Spec(**{**vars(spec), **changes})


# ---- sizes and first weights


def first_weights(spec, taken=lambda params: params, **sizes):
    """Return first weights, or those of them that are taken."""
    model = transformer(spec, **sizes)

    def drawn(seed):  # this kind of key compiles in a fraction of threefry's time
        return taken(model.init(jax.random.key(seed, impl="unsafe_rbg")))

    return jax.tree.map(np.asarray, jax.jit(drawn)(np.uint32(0)))


def count(spec, **sizes):
    shapes = jax.eval_shape(transformer(spec, **sizes).init, jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def test_parameters_of_the_papers():
    linear_regression = count(Spec(width=256, depth=12, heads=8, max_positions=202), inputs=20)
    assert linear_regression == 9_534_977
    assert linear_regression + 50_257 * 256 == 22_400_769  # with GPT-2's unused embedding
    superposition = Spec(width=384, depth=6, heads=6, mlp_multiple=4, **LLAMA)
    assert count(superposition, vocabulary=103) == 14_239_872


def test_first_weights_of_gpt2():
    spec = Spec(width=64, depth=1, heads=2, initialisation_scale=3.0)
    params = first_weights(spec, vocabulary=90)
    block = params["block_0"]
    read, write = pytest.approx(0.06, rel=0.055), pytest.approx(0.0424, rel=0.055)
    assert np.std(block["qkv"]["kernel"]) == read and np.std(block["mlp_up"]["kernel"]) == read
    assert np.std(block["attention_out"]["kernel"]) == write
    assert np.std(block["mlp_down"]["kernel"]) == write
    assert np.std(params["read_in"]["embedding"]) == read
    assert np.std(params["positions"]) == read and np.std(params["readout"]["kernel"]) == read
    assert all(not np.any(block[layer]["bias"]) for layer in ("qkv", "mlp_down", "mlp_norm"))


@pytest.mark.parametrize("law", ["icl", "lecun_normal"])
def test_other_first_weights(law):
    spec = Spec(width=400, depth=1, initialisation=law, attention_only=True)

    def taken(params):
        kernels = {name: params["block_0"][name]["kernel"] for name in ("qkv", "attention_out")}
        return kernels | {end: params[end] for end in ("read_in", "readout")}

    params = first_weights(spec, taken, inputs=16)
    std = 0.02 if law == "icl" else 1 / 20
    assert np.std(params["qkv"]) == pytest.approx(std, rel=0.01)
    writes = params["attention_out"]
    assert np.std(writes) == pytest.approx(std / math.sqrt(2), rel=0.01)
    for end, fan_in in {"read_in": 16, "readout": 400}.items():
        bound, kernel = fan_in**-0.5, np.abs(params[end]["kernel"])
        if law == "icl":
            assert 0.97 * bound < kernel.max() <= bound
            assert 0 < np.abs(params[end]["bias"]).max() <= bound
        else:
            assert np.sqrt(np.mean(kernel**2)) == pytest.approx(bound, rel=0.2)
            assert not np.any(params[end]["bias"])


# ---- values


def plain(spec, params, x):
    """Compute one prompt [T, d] in float64 with loops over positions and heads."""
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    size = spec.width // spec.heads

    def linear(p, x):
        return x @ p["kernel"] + p.get("bias", 0.0)

    def norm(p, x):
        centred = x - x.mean(-1, keepdims=True) if spec.norm == "layernorm" else x
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * p["scale"] + p.get("bias", 0.0)

    def turn(x, t):  # pairs of coordinates as complex numbers
        if spec.positions == "learned":
            return x
        half = size // 2
        z = (x[:half] + 1j * x[half:]) * np.exp(1j * t * 10_000.0 ** (-np.arange(half) / half))
        return np.concatenate([z.real, z.imag])

    def attention(x):
        out = np.zeros((len(x), spec.heads, size))
        for t, h in itertools.product(range(len(x)), range(spec.heads)):
            q, k, v = (x[:, i * spec.width + h * size :][:, :size] for i in range(3))
            scores = [turn(q[t], t) @ turn(k[s], s) / np.sqrt(size) for s in range(t + 1)]
            if spec.attention == "softmax":
                weights = np.exp(scores) / np.exp(scores).sum()
            else:
                weights = np.array(scores) / (t + 1)
            out[t, h] = sum(weights[s] * v[s] for s in range(t + 1))
        return out.reshape(len(x), spec.width)

    def mlp(p, x):
        h = linear(p["mlp_up"], x)
        if spec.activation == "swiglu":
            gate, up = np.split(h, 2, axis=-1)
            return linear(p["mlp_down"], gate / (1 + np.exp(-gate)) * up)
        cubic = np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)
        return linear(p["mlp_down"], 0.5 * h * (1 + np.tanh(cubic)))

    x = linear(params["read_in"], x)
    if spec.positions == "learned":
        x = x + params["positions"][: len(x)]
    for block in (params[f"block_{layer}"] for layer in range(spec.depth)):
        qkv = linear(block["qkv"], norm(block["attention_norm"], x))
        x = x + linear(block["attention_out"], attention(qkv))
        if not spec.attention_only:
            x = x + mlp(block, norm(block["mlp_norm"], x))
    return linear(params["readout"], norm(params["final_norm"], x))[:, 0]


@pytest.mark.parametrize("name", [*SPECS, "deep"])
def test_equals_a_plain_loop(name):
    spec = SPECS.get(name, DEEP)
    output, *_ = forward(spec) if name == "deep" else answers(spec)
    _, params, inputs = build(spec, inputs=3)
    wanted = np.stack([plain(spec, params, np.float64(x)) for x in inputs])
    assert np.std(wanted) > 0.1
    np.testing.assert_allclose(output, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", SPECS)
def test_causal(name):
    model, params, inputs = build(SPECS[name], inputs=3)
    outputs = jax.jit(jax.jacobian(lambda x: model.apply(params, x[None])[0][0]))
    depends = np.abs(np.asarray(outputs(inputs[0]))).max(-1)  # [t, s]
    assert not np.triu(depends, 1).any()
    assert (depends[np.tril_indices(6)] > 1e-6).all()


def test_causal_with_tokens():
    model, params, tokens = build(SPECS["llama"], vocabulary=5)

    def logits(shift):
        return model.apply(params, tokens, edits={"read_in": lambda x: x + shift})[0][0]

    jacobian = jax.jit(jax.jacobian(logits))(np.zeros((1, 6, 12), np.float32))
    depends = np.abs(np.asarray(jacobian)).max((1, 2, 4))
    assert not np.triu(depends, 1).any()
    assert (depends[np.tril_indices(6)] > 1e-6).all()


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_rows_of_attention_sum_to_one(name):
    weights = np.asarray(answers(SPECS[name])[1]["block_0.attention_weights"])
    assert weights.shape == (2, 3, 6, 6) and weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)
    assert not np.triu(weights, 1).any() and weights.min() >= 0
    assert weights[:, :, -1].max() > 0.4  # far from uniform


def test_rotary_scores_depend_on_distance_only():
    rng = np.random.default_rng(0)
    q = np.tile(rng.normal(size=(1, 1, 2, 8)).astype(np.float32), (1, 9, 1, 1))
    q, k = map(np.asarray, jax.jit(lambda q: (rotate(q), rotate(q[..., ::-1])))(q))
    scores = np.einsum("bthd,bshd->bhts", q, k)[0]
    np.testing.assert_allclose(scores[:, 1:, 1:], scores[:, :-1, :-1], atol=1e-5)
    assert np.std(scores[0, 0]) > 0.1


def test_tied_and_untied_heads():
    tied, params, tokens = build(Spec(**SMALL, tied=True), vocabulary=5)
    untied, shapes, _ = build(Spec(**SMALL), vocabulary=5)
    assert "readout" not in params and shapes["readout"].keys() == {"kernel"}
    own = params | {"readout": {"kernel": params["read_in"]["embedding"].T}}

    both = jax.jit(lambda p, own, x: (tied.apply(p, x)[0], untied.apply(own, x)[0]))
    logits, wanted = both(params, own, tokens)
    assert logits.shape == (2, 6, 5) and np.std(wanted) > 0.1
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-5)


def test_bfloat16_close_to_float32():
    half = with_(SPECS["gpt2"], compute="bfloat16")
    params = jax.eval_shape(transformer(half, inputs=3).init, jax.random.key(0))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    exact = np.asarray(answers(SPECS["gpt2"])[0])
    rounded, seen = forward(half)
    types = {name.split(".")[-1]: a.dtype for name, a in seen.items()}
    wide = {name for name, dtype in types.items() if dtype == jnp.float32}
    assert wide == {"attention_weights", "readout"}
    assert rounded.dtype == jnp.float32
    error = np.sqrt(np.mean((rounded - exact) ** 2) / np.var(exact))
    assert 1e-4 < error < 0.03


# ---- activations


def test_unused_taps_add_nothing(monkeypatch):
    model, params, inputs = build(SPECS["gpt2"], inputs=3)

    def program(**options):
        return str(jax.make_jaxpr(lambda p, x: model.apply(p, x, **options)[0])(params, inputs))

    unused = program(edits={}, capture=())
    monkeypatch.setattr(Tap, "__call__", lambda self, name, value: value)
    assert unused == program()
    assert unused.count("dot_general[") == 2 + 6  # the ends; four layers, scores, values


@pytest.mark.parametrize(
    ("name", "remat"), [("gpt2", False), ("llama", False), ("linear", False), ("llama", True)]
)
def test_captured_inputs_and_cotangents_give_every_gradient(name, remat):
    """Every activation can be captured and edited; for linear layers A^T D is the gradient."""
    spec = with_(SPECS[name], rematerialise=remat)
    model, _, inputs = build(spec, inputs=3)
    output, seen, wanted, cotangents = answers(spec)
    assert set(seen) == set(activations(spec)) == set(model.activations)
    assert seen["block_0.heads"].shape == (2, 6, 3, 4)
    np.testing.assert_array_equal(seen["readout"][..., 0], output)
    assert all(np.any(cotangent) for cotangent in cotangents.values())

    sources = {"qkv": "attention_norm", "attention_out": "heads"}
    if not spec.attention_only:
        sources |= {"mlp_up": "mlp_norm", "mlp_down": "mlp_hidden"}
    layers = {"readout": seen["final_norm"], "read_in": inputs}
    for layer, (linear, source) in itertools.product(range(spec.depth), sources.items()):
        layers[f"block_{layer}.{linear}"] = seen[f"block_{layer}.{source}"]
    for linear, a in layers.items():
        gradient = functools.reduce(lambda tree, key: tree[key], linear.split("."), wanted)
        a, d = np.reshape(a, (12, -1)), np.reshape(cotangents[linear], (12, -1))
        np.testing.assert_allclose(a.T @ d, gradient["kernel"], rtol=1e-4, atol=1e-3)
        if spec.bias:
            np.testing.assert_allclose(d.sum(0), gradient["bias"], rtol=1e-4, atol=1e-3)


def test_an_edit_ablates_one_head_exactly():
    model, params, inputs = build(DEEP, inputs=3)
    edits = {"block_1.heads": lambda heads: heads.at[:, :, 2].set(0)}
    attention_out = params["block_1"]["attention_out"]
    kernel = attention_out["kernel"].copy()
    kernel[8:12] = 0  # the rows that head 2 feeds
    cut = params | {
        "block_1": params["block_1"] | {"attention_out": attention_out | {"kernel": kernel}}
    }
    both = jax.jit(lambda p, cut, x: (model.apply(p, x, edits=edits)[0], model.apply(cut, x)[0]))
    ablated, without = both(params, cut, inputs)
    np.testing.assert_allclose(ablated, without, rtol=1e-6, atol=1e-6)
    assert np.abs(ablated - forward(DEEP)[0]).max() > 1e-2


def test_patching_the_stream_carries_the_rest_over():
    model, params, inputs = build(DEEP, inputs=3)
    output, seen = forward(DEEP)
    name = "block_1.residual"
    edits = {name: lambda x: x.at[0].set(seen[name][1])}
    patched, _ = jax.jit(lambda p, x: model.apply(p, x, edits=edits))(params, inputs)
    np.testing.assert_allclose(patched, np.stack([output[1]] * 2), rtol=1e-6, atol=1e-6)


# ---- transformations of the program


def test_remat_gives_the_same_gradients():
    spec = SPECS["llama"]
    again, (_, *example) = with_(spec, rematerialise=True), build(spec, inputs=3)
    assert_trees_all_close(answers(again), answers(spec), rtol=1e-4, atol=1e-4)
    assert "remat" in str(jax.make_jaxpr(everything(again))(*example))
    assert "remat" not in str(jax.make_jaxpr(everything(spec))(*example))


@pytest.mark.parametrize("name", ["gpt2", pytest.param("linear", marks=pytest.mark.thorough)])
def test_an_ensemble_equals_its_members_one_by_one(name):
    spec = SPECS[name]
    _, params, inputs = build(spec, inputs=3)
    members = [jax.tree.map(lambda a, c=c: c * a, params) for c in (1.0, 0.7, -1.1)]
    together = jax.jit(jax.vmap(everything(spec), (0, None)))(
        jax.tree.map(lambda *leaves: np.stack(leaves), *members), inputs
    )
    together = jax.tree.map(np.asarray, together)
    for i, member in enumerate(members):
        mine = jax.tree.map(lambda a, i=i: a[i], together)
        assert_trees_all_close(mine, compiled(spec)(member, inputs), rtol=1e-4, atol=1e-4)


# ---- bad input


def test_refusals():
    with pytest.raises(ValueError, match=r"inputs .* or vocabulary"):
        transformer(Spec(**SMALL))
    with pytest.raises(ValueError, match=r"inputs .* or vocabulary"):
        transformer(Spec(**SMALL), inputs=3, vocabulary=5)
    with pytest.raises(ValueError, match="tied"):
        transformer(Spec(**SMALL, tied=True), inputs=3)
    model, params, _ = build(SPECS["gpt2"], inputs=3)
    with pytest.raises(ValueError, match="8 tokens, but max_positions is 7"):
        model.apply(params, np.zeros((1, 8, 3), np.float32))
    with pytest.raises(ValueError, match=r"did you mean block_0\.heads"):
        model.apply(params, np.zeros((1, 6, 3), np.float32), capture=["block_0.head"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"heads": 5}, r"must divide model\.width \(12\)"),
        ({"heads": 4, "positions": "rotary"}, r"odd \(3\)"),
        ({"heads": 4}, None),
    ],
)
def test_check(changes, message):
    problems = list(check(vars(with_(SPECS["gpt2"], **changes))))
    assert len(problems) == (message is not None)
    for field, said in problems:
        assert field == "heads" and re.search(message, said)
