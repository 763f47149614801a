"""The transformer benchmark: its count of operations, its ceiling, its agreement with PyTorch."""

import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.mark.thorough
def test_the_quick_benchmark_without_torch(tmp_path, quick):
    done, path = quick("transformer", tmp_path, ["torch"])
    result = json.loads(path.read_text())
    (one,) = result["jobs"]
    assert list(one["rows"]) == ["one program", "a program a core"]
    assert one["skipped"] == {"torch": "torch is not installed (pip install -e '.[bench]')"}
    job = one["job"]
    for row in one["rows"].values():
        assert row["runs"] == 1 and row["wall_us"] > 0
        tokens = job["batch"] * job["tokens"]
        assert row["tokens_per_second"] == pytest.approx(tokens / row["wall_us"] * 1e6)
        assert row["gflops"] == pytest.approx(one["flops"] / row["wall_us"] / 1e3)
        assert row["of_ceiling"] == pytest.approx(row["gflops"] / row["ceiling_gflops"])
    assert one["rows"]["a program a core"]["off"] <= 1e-4
    assert 0 < result["evaluation"]["share"] < 1
    assert "aim: under 5%" in done.stdout and "Traceback" not in done.stderr


def test_the_operations_counted_are_those_of_the_compiled_step(module):
    shapes, ours = module("transformer.shapes"), module("transformer.ours")
    job = shapes.Job(batch=4, tokens=16, width=64, depth=2, heads=2, steps=1, max_positions=16)
    model = ours.recipe(job).model

    def loss(params, x):
        return jnp.sum(jnp.square(model.apply(params, x)[0]))

    params = jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))
    x = jax.ShapeDtypeStruct((job.batch, job.tokens, job.dimension), jnp.float32)
    # Before compilation, where a count still sees every product.
    counted = jax.jit(jax.grad(loss)).lower(params, x).cost_analysis()["flops"]
    assert 1.0 < counted / shapes.flops(job) < 1.15  # norms, softmax and the ends are extra


def test_the_products_of_the_ceiling_are_the_operations_counted(module):
    shapes = module("transformer.shapes")
    job = shapes.Job(batch=3, tokens=5, width=8, depth=2, heads=2, steps=1)

    def operations(spec, first, second):
        sizes = {}
        for letters, shape in zip(spec.split("->")[0].split(","), (first, second), strict=True):
            sizes |= dict(zip(letters, shape, strict=True))
        return 2 * int(np.prod(list(sizes.values())))

    total = sum(operations(*product) for _, *product in shapes.products(job))
    assert job.depth * total == shapes.flops(job)
    assert shapes.ceiling(job, 2, jax.devices()[0])() > 0


def test_the_torch_peer_trains_the_same(module, tmp_path):
    # Where it is installed; in a process of its own, as it is timed.
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    shapes, ours = module("transformer.shapes"), module("transformer.ours")
    transformer, processes = module("transformer.__main__"), module("processes")
    job = shapes.Job(
        batch=3, tokens=6, width=16, depth=2, heads=2, steps=5, dimension=4, max_positions=8
    )
    place = tmp_path / "problem.npz"
    ours.save(job, place)
    found = ours.trainer(job, jax.devices()[:1])()
    assert found.losses.shape == (1, job.steps)
    worker = transformer.Worker("torch", job, place)
    try:
        theirs = np.asarray(worker.ask("train")["losses"])
    finally:
        worker.close()
    assert processes.check_agreement("torch", found.losses, theirs) <= 1e-4
    with pytest.raises(processes.Disagreement):
        processes.check_agreement("torch", found.losses, theirs * np.linspace(1, 1.001, job.steps))
