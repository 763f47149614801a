"""The benchmark runs without PyTorch, writes what it says, and times no peer that is wrong."""

import json

import numpy as np
import pytest

SAMPLE = {"wall_us", "wall_us_range", "cpu_us", "rounds"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, quick):
    """The quick benchmark of a machine without PyTorch: (its JSON, what it printed)."""
    done, path = quick("parity", tmp_path_factory.mktemp("benchmark"), ["torch"])
    return json.loads(path.read_text()), done.stdout, done.stderr


@pytest.mark.thorough
def test_what_the_json_holds(ran):
    result, _, _ = ran
    assert result["format"] == 1 and result["quick"] is True
    assert set(result["machine"]) - {"commit_unknown"} == {
        *("processor", "cores", "machine", "source", "versions", "commit", "dirty"),
        *("xla_flags", "load_before"),
    }
    assert result["machine"]["versions"]["jax"].count(".") == 2
    assert result["job"]["layers"] == [20, 40, 40, 1] and result["job"]["width"] == 16
    assert result["job"]["batch"] == 20 and result["job"]["eval_every"] == 200
    assert result["job"]["flops_per_run_step"] == 6 * 20 * (20 * 40 + 40 * 40 + 40)
    assert result["seeds"] == list(range(32))
    assert [row["runs"] for row in result["ensembles"]] == [1, 32]
    for row in result["ensembles"]:
        assert set(row) == {"runs", "sampling", "evaluation", "gflops", *SAMPLE}
        assert row["wall_us"] > 0 and row["cpu_us"] > 0
        assert row["gflops"] == pytest.approx(292.8 / row["wall_us"])
    assert set(result["ceiling"]) == {
        "ours",
        "a program a device",
        "the same, without the first layer's input gradient",
        "one program over all cores",
    }
    assert set(result["ceiling"]["a program a device"]) > SAMPLE
    assert set(result["sampling"]) == {"constant batch", "uniform"}
    assert result["peak_mib"] > 50


@pytest.mark.thorough
def test_other_values_of_the_same_fields_compile_nothing(ran):
    compiling = ran[0]["compiling"]
    assert compiling["first_sweep"]["compiled"] >= 2
    assert compiling["other_values"]["requests"] == 0
    fresh = compiling["other_values_new_jit"]  # what compiles fast is not kept on disk
    assert fresh["requests"] >= 2 and fresh["compiled"] + fresh["cached"] == fresh["requests"]


@pytest.mark.thorough
def test_peers_agree_or_are_skipped_in_one_line(ran):
    result, printed, told = ran
    peers = {row["name"]: row for row in result["peers"]}
    assert list(peers) == [
        *("torch_eager", "torch_func", "torch_func_compiled", "jax_step", "jax_vmap_step")
    ]
    for name, row in peers.items():
        if name.startswith("torch"):
            assert row["skipped"] == "torch is not installed (pip install -e '.[bench]')"
            assert told.count(f"skipped: {name}:") == 1
        else:
            assert row["largest_difference"] <= 1e-4 and set(row) > SAMPLE
            assert set(row["over"]) > {"ours", "the matrix products"}
            assert all(ratio["wall"] > 0 for ratio in row["over"].values())
    assert printed.count("skipped: torch is not installed") == 3
    assert "Traceback" not in told and "Warning" not in told


@pytest.fixture
def tiny():
    """A problem of 2 runs and 3 steps, and its losses by hand, in float64."""
    generator = np.random.default_rng(0)
    shapes = {"hidden_0": (4, 5), "hidden_1": (5, 5), "readout": (5, 1)}
    params = {}
    for name, shape in shapes.items():
        params[f"{name}/kernel"] = generator.normal(size=(2, *shape)) / 2
        params[f"{name}/bias"] = generator.normal(size=(2, shape[1])) / 2
    inputs = generator.choice([-1.0, 1.0], size=(3, 2, 6, 4))
    targets = inputs[..., 0] * inputs[..., 1]
    losses = np.array([_losses(params, inputs, targets, run, 0.1) for run in range(2)])
    return params, inputs, targets, losses


def _losses(params, inputs, targets, run, rate):
    """Return the losses of plain gradient descent, backpropagated by hand."""
    w = [params[f"{name}/kernel"][run].copy() for name in ("hidden_0", "hidden_1", "readout")]
    b = [params[f"{name}/bias"][run].copy() for name in ("hidden_0", "hidden_1", "readout")]
    losses = []
    for x, y in zip(inputs[:, run], targets[:, run], strict=True):
        h0 = np.maximum(x @ w[0] + b[0], 0)
        h1 = np.maximum(h0 @ w[1] + b[1], 0)
        error = (h1 @ w[2] + b[2])[:, 0] - y
        losses.append(np.mean(error**2))
        d2 = (2 * error / len(y))[:, None]
        d1 = (d2 @ w[2].T) * (h1 > 0)
        d0 = (d1 @ w[1].T) * (h0 > 0)
        for k, (h, d) in enumerate(((x, d0), (h0, d1), (h1, d2))):
            w[k] -= rate * h.T @ d
            b[k] -= rate * d.sum(0)
    return losses


@pytest.mark.parametrize("shift, agrees", [(0.0, True), (1e-3, False)])
def test_a_peer_that_trains_something_else_is_not_timed(module, tiny, shift, agrees):
    peers, problem = module("parity.peers"), module("parity.problem")
    params, inputs, targets, losses = (
        {k: v.astype(np.float32) for k, v in tiny[0].items()},
        *(a.astype(np.float32) for a in tiny[1:]),
    )
    skipped: dict[str, str] = {}
    # The peer gets another learning rate than the losses were computed with.
    given = problem.Problem(params, inputs, targets, losses, 0.1 + shift)
    names = ["jax_step", "jax_vmap_step"]
    with peers.started(names, given, skipped.__setitem__) as agreed:
        assert list(agreed) == (names if agrees else [])
    assert list(skipped) == ([] if agrees else names)
    assert all("is not timed" in reason for reason in skipped.values())


def test_a_peer_that_cannot_be_started_says_why_in_one_line(module, tiny, tmp_path, monkeypatch):
    peers = module("parity.peers")
    broken = peers.KINDS["jax_step"]._replace(module="no_such_module")
    monkeypatch.setitem(peers.KINDS, "jax_step", broken)
    (tmp_path / "problem.npz").write_bytes(b"nothing")
    with pytest.raises(peers.Unavailable) as caught:
        peers.Peer("jax_step", tmp_path / "problem.npz")
    assert "\n" not in str(caught.value) and "Error" in str(caught.value)


def test_the_products_of_the_ceiling_are_those_of_backpropagation(module):
    import jax
    import jax.numpy as jnp

    ceiling = module("parity.ceiling")
    generator = np.random.default_rng(0)
    x, *weights = (
        generator.normal(size=shape).astype(np.float32)
        for shape in ((2, 6, 4), (2, 4, 5), (2, 5, 5), (2, 5, 1))
    )

    def half_square(x, weights):
        for w in weights:
            x = x @ w
        return jnp.sum(x**2) / 2

    # Of half the squared output, whose gradient is the output itself.
    expected = jax.jit(jax.grad(half_square, (0, 1)))(x, weights)
    delta, gradients = jax.jit(ceiling.products, static_argnums=2)(x, weights, True)
    np.testing.assert_allclose(delta, expected[0], rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(gradients, expected[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
