"""The converter against Hugging Face's own answers: from a fixture, and live where installed."""

import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

from plateaus.models.gpt2 import from_gpt2
from plateaus.models.networks.transformer import activations, transformer

FIXTURES = Path(__file__).parents[1] / "fixtures"


def weights_of(said):
    return {k.removeprefix("weights/"): v for k, v in said.items() if k.startswith("weights/")}


@pytest.fixture(scope="module")
def fixture():
    with np.load(FIXTURES / "gpt2.npz") as file:
        return dict(file)


def check(said):
    spec, params = from_gpt2(weights_of(said), int(said["heads"]))
    model = transformer(spec, vocabulary=params["read_in"]["embedding"].shape[0])
    logits, seen = jax.jit(lambda p, x: model.apply(p, x, capture=activations(spec)))(
        params, said["tokens"]
    )
    np.testing.assert_allclose(seen["final_norm"], said["hidden_states"][-1], atol=1e-5, rtol=0)
    np.testing.assert_allclose(logits, said["logits"], atol=1e-5, rtol=0)
    for block in range(spec.depth):
        weights, stream = seen[f"block_{block}.attention_weights"], seen[f"block_{block}.residual"]
        np.testing.assert_allclose(weights, said["attentions"][block], atol=1e-5, rtol=0)
        np.testing.assert_allclose(stream, said["hidden_states"][block], atol=1e-5, rtol=0)


def test_same_answers_as_the_fixture(fixture):
    check(fixture)


def test_same_answers_live():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    make = runpy.run_path(str(FIXTURES / "make_gpt2.py"))
    check(make["answers"](1, n_layer=3, n_head=4, n_embd=32, vocab_size=40, n_positions=20))


def test_state_dict_of_the_language_model(fixture):
    weights = {f"transformer.{k}": v for k, v in weights_of(fixture).items()}
    weights["lm_head.weight"] = weights["transformer.wte.weight"]
    weights["transformer.h.0.attn.bias"] = np.ones((1, 1, 16, 16), bool)  # a mask, once stored
    spec, params = from_gpt2(weights, 3)
    assert spec.tied and "readout" not in params
    weights["lm_head.weight"] = 2 * weights["lm_head.weight"]
    spec, params = from_gpt2(weights, 3)
    logits, _ = jax.jit(transformer(spec, vocabulary=29).apply)(params, fixture["tokens"])
    assert not spec.tied
    np.testing.assert_allclose(logits, 2 * fixture["logits"], atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("h.1.ln_2.bias"), r"h\.1\.ln_2\.bias is not among"),
        (lambda w: w.update({"h.0.crossattention.q_attn.bias": np.ones(3)}), "crossattention"),
        (lambda w: w.update({"h.1.mlp.c_fc.bias": np.ones(3)}), r"block_1\.mlp_up\.bias is \(3,\)"),
        (lambda w: [w.pop(k) for k in list(w) if k.startswith("h.")], "there is no block"),
    ],
)
def test_refuses_other_weights(fixture, change, message):
    weights = weights_of(fixture)
    change(weights)
    with pytest.raises(ValueError, match=message):
        from_gpt2(weights, 3)


def test_refuses_heads_that_do_not_divide(fixture):
    with pytest.raises(ValueError, match="5 heads"):
        from_gpt2(weights_of(fixture), 5)
