"""The memory estimate against XLA's own count after compiling, and the limits on false machines."""

import types

import jax
import jax.numpy as jnp
import optax
import pytest

from plateaus.experiment import memory
from plateaus.experiment.memory import available_bytes, fitting_width, peak_bytes, readable

KEY = jax.random.key(0).dtype


def array(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def apply(params, x):
    for weights, bias in params[:-1]:
        x = jax.nn.relu(x @ weights + bias[None])
    weights, bias = params[-1]
    return (x @ weights + bias[None])[..., 0]


def mlp(key):
    sizes = (20, 40, 40, 1)
    keys = jax.random.split(key, 3)
    return [
        (jax.random.normal(k, (m, n)) / m**0.5, jnp.zeros(n))
        for k, m, n in zip(keys, sizes, sizes[1:], strict=False)
    ]


def training(optimiser, batch):
    """A vmapped run of 300 steps on fresh random parities, all runs at the same step."""

    def run(params, state, key, start):
        def step(carry, t):
            params, state = carry
            x = jax.random.rademacher(jax.random.fold_in(key, t), (batch, 20), jnp.float32)
            target = x[:, :6].prod(-1)
            loss, gradient = jax.value_and_grad(
                lambda params: jnp.mean((apply(params, x) - target) ** 2)
            )(params)
            updates, state = optimiser.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), loss

        return jax.lax.scan(step, (params, state), start + jnp.arange(300))

    return jax.vmap(run, in_axes=(0, 0, 0, None))


def training_inputs(optimiser, width):
    keys = array(width, dtype=KEY)
    params = jax.eval_shape(jax.vmap(mlp), keys)
    state = jax.eval_shape(jax.vmap(optimiser.init), params)
    return params, state, keys, array(dtype=jnp.int32)


def compiled(function, *inputs):
    found = jax.jit(function).lower(*inputs).compile().memory_analysis()
    if found is None:
        pytest.skip("this backend does not report memory")
    sizes = found.temp_size_in_bytes, found.argument_size_in_bytes, found.output_size_in_bytes
    return sum(sizes) - found.alias_size_in_bytes


def ratio(function, *inputs):
    return peak_bytes(jax.make_jaxpr(function)(*inputs)) / compiled(function, *inputs)


MATRIX, ROW = array(300, 300), array(2000)


def descend(x, weights):
    def step(carry, _):
        return jnp.tanh(carry @ weights), None

    return (jax.lax.scan(step, x, None, length=50)[0] ** 2).sum()


PROGRAMS = {
    "matmul": (lambda a, b: a @ b, array(500, 300), array(300, 700)),
    "chain of matmuls": (lambda a, b: jnp.tanh(jnp.tanh(a @ b) @ b) @ b, MATRIX, MATRIX),
    "big broadcast": (lambda a, b: a[:, None] + b[None], array(1000), ROW),
    "big broadcast, summed": (lambda a, b: (a[:, None] + b[None]).sum(), array(1000), ROW),
    "big function of a broadcast, summed": (
        lambda a, b: jnp.sin(a[:, None] + b[None]).sum(), array(1000), ROW,
    ),
    "big broadcast into a matmul": (
        lambda a, b: (lambda c: c @ c.T)(jnp.sin(a[:, None] + b[None])), array(1000), ROW,
    ),
    "elementwise chain": (lambda a: jnp.sin(jnp.cos(a) * 2 + a), array(100_000)),
    "softmax": (jax.nn.softmax, array(100, 1000)),
    "gather": (lambda a, i: a[i].sum(0), ROW, array(1000, 50, dtype=jnp.int32)),
    "scatter": (lambda a, i: a.at[i].add(1.0), array(100_000), array(1000, dtype=jnp.int32)),
    "sort": (jnp.sort, array(100_000)),
    "random normal": (
        jax.vmap(lambda key: jax.random.normal(key, (1000,))), array(100, dtype=KEY),
    ),
    "initialisation": (jax.vmap(mlp), array(64, dtype=KEY)),
    "stacked outputs": (
        lambda x: jax.lax.scan(lambda c, _: (jnp.sin(c), c), x, None, length=50), array(10_000),
    ),
    "stacked inputs": (
        lambda x, y: jax.lax.scan(lambda c, row: (c + row @ y, None), jnp.zeros(300), x)[0],
        array(500, 300), MATRIX,
    ),
    "gradient through time": (jax.grad(descend), array(100, 100), array(100, 100)),
    "cond": (
        lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x @ x, lambda x: jnp.sin(x @ x) @ x, x),
        MATRIX,
    ),
    "while": (
        lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 1, lambda x: jnp.sin(x @ x), x), MATRIX,
    ),
    "remat": (
        jax.grad(lambda x: jax.checkpoint(lambda x: jnp.sin(jnp.sin(x @ x) @ x))(x).sum()), MATRIX,
    ),
    "attention gradient": (
        jax.grad(lambda q, k: (jax.nn.dot_product_attention(q, k, k) ** 2).sum(), argnums=(0, 1)),
        array(8, 128, 4, 16), array(8, 128, 4, 16),
    ),
    "input handed out": (lambda x: (x, x), ROW),
    "dead code": (lambda x, y: (jnp.sin(x @ x), jnp.outer(y, y))[0], MATRIX, ROW),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_estimate_is_near_what_xla_reports(name):
    function, *inputs = PROGRAMS[name]
    assert 0.5 <= ratio(function, *inputs) <= 4


@pytest.mark.parametrize(
    ("optimiser", "batch", "width"),
    [(optax.sgd(0.1), 20, 96), (optax.adam(1e-3), 1000, 96), (optax.sgd(0.1), 1000, 1)],
    ids=["small batch", "large batch", "one run"],
)
def test_estimate_of_a_vmapped_training_scan(optimiser, batch, width):
    inputs = training_inputs(optimiser, width)
    assert 0.5 <= ratio(training(optimiser, batch), *inputs) <= 2


def test_donated_state_is_counted_once():
    optimiser = optax.adam(1e-3)
    inputs = training_inputs(optimiser, 96)
    function = training(optimiser, 20)
    state = sum(leaf.size * 4 for leaf in jax.tree.leaves(inputs[:2]))
    kept, donated = jax.jit(function), jax.jit(function, donate_argnums=(0, 1))
    assert 0.5 <= ratio(donated, *inputs) <= 2
    saved = peak_bytes(jax.make_jaxpr(kept)(*inputs)) - peak_bytes(jax.make_jaxpr(donated)(*inputs))
    assert saved == pytest.approx(state, rel=0.01)


def test_small_programs_by_hand():
    def estimate(function, *inputs):
        return peak_bytes(jax.make_jaxpr(function)(*inputs))

    x = array(1000)  # 4000 bytes
    assert estimate(lambda x: x, x) == 8000
    assert estimate(lambda x: None, x) == 4000
    assert estimate(lambda x: (jnp.sin(x) + 1) * 2, x) == 8000
    assert estimate(lambda x: x[None].reshape(10, 100) + 1, x) == 8000
    assert estimate(lambda x: x.astype(jnp.bfloat16), x) == 6000
    square = array(30, 30)  # 3600 bytes
    assert estimate(lambda x: jnp.exp(x @ x), square) == 2 * 3600  # over the product
    assert estimate(lambda x: x @ x @ x @ x @ x, square) == 3 * 3600  # each freed in its turn
    assert estimate(lambda x: jnp.exp(x) @ x, square) == 3 * 3600  # a product's operand is stored
    both = estimate(lambda x: (lambda y: (y + 1).sum() + (y * 2).sum())(x * x), square)
    assert both == 2 * 3600 + 2 * 4  # so is what is read twice
    # a scan's length costs nothing without stacked outputs, and all of it with them
    assert estimate(lambda x: jax.lax.fori_loop(0, 9, lambda i, x: x + 1, x), x) < 8100
    stacked = estimate(lambda x: jax.lax.scan(lambda c, _: (c + 1, c), x, None, length=9), x)
    assert 44_000 <= stacked <= 48_000
    constant = jnp.arange(5000.0)
    assert estimate(lambda x: x + constant[:1000] * constant[-1000:], x) == 20_000 + 8000


def test_estimate_is_affine_in_the_width():
    optimiser = optax.adam(1e-3)

    def bytes_at(width):
        inputs = training_inputs(optimiser, width)
        return peak_bytes(jax.make_jaxpr(training(optimiser, 20))(*inputs))

    one, many, vast = bytes_at(1000), bytes_at(2000), bytes_at(10**5)
    assert (vast - one) / (10**5 - 1000) == pytest.approx((many - one) / 1000, rel=1e-3)


@pytest.mark.parametrize(
    "bytes_at",
    [
        lambda width: 7 + 13 * width,
        lambda width: 1000 + 128 * (width // 8),
        lambda width: width**3,
        lambda width: int(1000 * width**0.3),
        lambda width: 0 if width < 300 else 10**9,
    ],
)
def test_fitting_width_is_the_largest_that_fits(bytes_at):
    for width in (1, 2, 3, 17, 512):
        for available in (0, 19, 20, 500, 1000, 3000, 7000, 10**6, 10**10):
            best = max((w for w in range(1, width + 1) if bytes_at(w) <= available), default=0)
            assert fitting_width(bytes_at, width, available) == best


def test_fitting_width_asks_seldom():
    asked = []

    def affine(width):
        asked.append(width)
        return 10_000 + 777 * width

    assert fitting_width(affine, 100_000, 20_000_000) == 25_727
    assert len(asked) <= 5
    asked.clear()
    assert fitting_width(lambda w: asked.append(w) or w**4, 10**6, 10**12) == 1000
    assert len(asked) <= 60
    assert fitting_width(affine, 0, 10**9) == 0


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1.5 * 2**20, "1.5 MiB"),
     (2**30 - 1, "1.0 GiB"), (139 * 2**30, "139.0 GiB"), (5000 * 2**40, "5000.0 TiB")],
)  # fmt: skip
def test_readable(number, text):
    assert readable(number) == text


def machine(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return memory._host_bytes(root)


MEMINFO = {"proc/meminfo": "MemTotal:  32000 kB\nMemAvailable:   20000 kB\nBuffers: 3 kB\n"}
AVAILABLE = 20_000 * 1024


def test_host_without_control_groups(tmp_path):
    assert machine(tmp_path, MEMINFO) == AVAILABLE


def test_control_group_version_2_counts_every_level(tmp_path):
    group = MEMINFO | {
        "proc/self/cgroup": "0::/user/job\n",
        "sys/fs/cgroup/user/job/memory.max": "max\n",
        "sys/fs/cgroup/user/job/memory.current": "1000\n",
        "sys/fs/cgroup/user/memory.max": "9000000\n",
        "sys/fs/cgroup/user/memory.current": "5000000\n",
        "sys/fs/cgroup/user/memory.stat": "anon 1\ninactive_file 2000000\nactive_file 7\n",
    }
    assert machine(tmp_path, group) == 9_000_000 - 5_000_000 + 2_000_000
    assert machine(tmp_path, {"sys/fs/cgroup/user/memory.max": str(10**15)}) == AVAILABLE
    assert machine(tmp_path, {"sys/fs/cgroup/user/memory.max": "100"}) == 0  # already over


def test_in_a_container_the_mount_is_the_group(tmp_path):
    group = MEMINFO | {
        "proc/self/cgroup": "0::/kubepods/pod7\n",
        "sys/fs/cgroup/memory.max": "3000000",
        "sys/fs/cgroup/memory.current": "1000000",
    }
    assert machine(tmp_path, group) == 2_000_000


def test_control_group_version_1(tmp_path):
    group = MEMINFO | {
        "proc/self/cgroup": "12:cpu,cpuacct:/other\n5:memory:/job\n0::/\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "4000000",
        "sys/fs/cgroup/memory/other/memory.limit_in_bytes": "1",  # not ours
        "sys/fs/cgroup/memory/other/memory.usage_in_bytes": "1",
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "2500000",
        "sys/fs/cgroup/memory/job/memory.stat": "inactive_file 9\ntotal_inactive_file 500000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "2500000",
    }
    assert machine(tmp_path, group) == 2_000_000


def test_without_proc_the_machine_s_memory_counts(tmp_path):
    total = memory.os.sysconf("SC_PHYS_PAGES") * memory.os.sysconf("SC_PAGE_SIZE")
    assert machine(tmp_path, {}) == total


def test_available_bytes_of_this_cpu_is_sensible():
    cpu = jax.devices("cpu")[0]
    total = memory.os.sysconf("SC_PHYS_PAGES") * memory.os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < available_bytes(cpu) <= total


def test_an_accelerator_is_asked_and_a_silent_one_takes_the_host_s_figure(monkeypatch):
    def device(statistics):
        return types.SimpleNamespace(platform="gpu", memory_stats=lambda: statistics)

    monkeypatch.setattr(memory, "_host_bytes", lambda root: 77)
    assert available_bytes(device({"bytes_limit": 1000, "bytes_in_use": 400})) == 600
    assert available_bytes(device({"bytes_limit": 100, "bytes_in_use": 400})) == 0
    assert available_bytes(device(None)) == available_bytes(device({})) == 77
