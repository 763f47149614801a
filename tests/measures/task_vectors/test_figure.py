"""The figure of task vectors and its geometry, against closed forms and scikit-learn."""

import importlib
import json

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from plateaus.measures.task_vectors import figure as task_vectors
from plateaus.measures.task_vectors import geometry
from plateaus.report import statistics, store

SEEDS, LAYERS, POINTS, WIDTH, STEPS = 3, 4, 12, 20, 30
SHARES = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.8, 0], [0, 0.5, 0.5]])
RNG = np.random.default_rng(0)


def clouds(tasks, n=POINTS, width=WIDTH, noise=0.3, weights=None, seed=0):
    """Single tasks about means far apart, and mixtures at these shares of the means."""
    rng = np.random.default_rng(seed)
    means = 3 * rng.standard_normal((tasks, width))
    weights = np.eye(tasks) if weights is None else weights
    scale = noise * rng.uniform(0.2, 3, width)

    def around(centres):
        return centres[:, None] + scale * rng.standard_normal((len(centres), n, width))

    return around(means), around(weights @ means), means


@pytest.fixture(scope="module")
def results(make_results):
    """Three seeds of two settings; mixtures lie in proportion, their P is the share of the task."""
    made = make_results({"optim.x": [1, 2]}, [9_000.0, 20_000.0], seeds=SEEDS, baseline=None)
    made.attrs["config"] = json.dumps({})
    dims = made["test_loss"].dims
    shape = made["test_loss"].shape

    def add(name, value, *own):
        value = np.broadcast_to(value, (*shape, *np.shape(value)))
        full = value.copy()
        full[..., :-1, *[slice(None)] * len(own)] = 0.33  # before the end: not to be shown
        made[name] = ((*dims, *own), full)

    add("vector_success", [0.1, 0.2, 0.9, 0.3], "stream_layer")
    add("vector_baseline", 0.1)
    add("vector_layer_used", 2.0)
    step = np.linspace(0, 1, STEPS)
    path = np.stack([1 - step, step, 0 * step], axis=1)
    add("vector_path", path, "path", "answer")
    single, mixed, _ = clouds(3, weights=SHARES, noise=0.02)
    add("vector_points", np.concatenate([single, mixed]), "cloud", "point", "coordinate")
    add("mixed_share", SHARES, "mixture", "answer")
    add("mixed_probability", SHARES**2, "mixture", "answer")
    made["status"][0, 1] = 2  # diverged: not shown
    return made.assign_coords(answer=["one", "two", "three"])


@pytest.fixture(scope="module")
def rows(results):
    return statistics.summarise(results)


def panels(figure, line=0):
    own = figure.axes[5 * line : 5 * line + 5]
    found = {axes.get_title(loc="left")[:3]: axes for axes in own}
    assert list(found) == ["(a)", "(b)", "(c)", "(d)", "(e)"]
    return list(found.values())


def points(axes, marker):
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [line.get_xydata() for line in lines]


# ---- geometry


@pytest.mark.parametrize("n", [5, 12, 200])
def test_the_covariance_is_ledoit_and_wolfs(n):
    sample = RNG.standard_normal((n, 20)) @ RNG.standard_normal((20, 20))
    scale = sample.std(axis=0)
    wanted, _ = ledoit_wolf((sample - sample.mean(axis=0)) / scale)
    wanted *= scale[:, None] * scale[None, :]
    np.testing.assert_allclose(geometry.shrunk(sample), wanted, rtol=1e-9, atol=1e-12)


def test_a_coordinate_that_is_constant_has_no_infinite_weight():
    sample = np.concatenate([RNG.standard_normal((9, 3)), np.full((9, 1), 0.1)], axis=1)
    assert np.isfinite(geometry.shrunk(sample)).all()
    assert np.linalg.eigvalsh(geometry.shrunk(sample)).min() > 0


@pytest.mark.parametrize("n", [6, 60])
def test_of_two_tasks_positions_are_those_along_the_axis_of_lda(n):
    """For two classes of equal size LDA's axis is the closed form, up to scale and sign."""
    single, _, means = clouds(2, n=n)
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    lda.fit(single.reshape(-1, WIDTH), np.repeat([0, 1], n))
    vectors = RNG.standard_normal((50, WIDTH)) + means.mean(axis=0)
    axis, ends = lda.coef_[0], single.mean(axis=1) @ lda.coef_[0]
    wanted = (vectors @ axis - ends[0]) / (ends[1] - ends[0])
    np.testing.assert_allclose(geometry.positions(single, vectors)[:, 1], wanted, rtol=1e-6)


@pytest.mark.parametrize("tasks", [2, 3, 4])
def test_positions_of_mixtures_of_the_means_are_their_shares(tasks):
    single, _, _ = clouds(tasks)
    shares = RNG.dirichlet(np.ones(tasks), 10)
    found = geometry.positions(single, shares @ single.mean(axis=1))
    np.testing.assert_allclose(found, shares, atol=1e-9)


def test_positions_are_nearest_in_the_metric_within_tasks():
    single, _, _ = clouds(3)
    x, metric = RNG.standard_normal(WIDTH), np.linalg.inv(geometry.within(single))
    means, share = single.mean(axis=1), geometry.positions(single, x)

    def distance(c):
        return (x - c @ means) @ metric @ (x - c @ means)

    for step in 1e-3 * RNG.standard_normal((20, 3)):
        assert distance(share + step - step.mean()) > distance(share)


@pytest.mark.parametrize("method", geometry.METHODS)
@pytest.mark.parametrize("tasks", [2, 3])
def test_planes_keep_tasks_apart_and_mixtures_between(method, tasks):
    weights = SHARES[1:3, :tasks]
    single, mixed, _ = clouds(tasks, weights=weights, noise=0.05)
    dots, crosses = geometry.plane(single, mixed, method)
    assert dots.shape == (tasks, POINTS, 2) and crosses.shape == (2, POINTS, 2)
    means = dots.mean(axis=1)
    size = np.ptp(means[:, 0])
    assert means[0, 0] < means[1, 0] and size > 4 * dots.std(axis=1)[:, 0].max()
    np.testing.assert_allclose(crosses.mean(axis=1), weights @ means, atol=0.15 * size)


def test_the_second_axis_of_two_tasks_is_what_lda_leaves():
    """A direction of large spread within both tasks, along which the tasks' means are one."""
    single, mixed, _ = clouds(2, width=3, n=40, noise=0.01)
    single[..., 2] = single[..., 2].mean()
    mixed[..., 2] = single[0, 0, 2] + np.linspace(-5, 5, 40)[None]
    single[..., 2] += np.tile(np.linspace(-5, 5, 40), (2, 1))
    dots, crosses = geometry.plane(single, mixed, "lda")
    for line in (*dots, *crosses):
        assert abs(np.ptp(line[:, 1])) == pytest.approx(10, rel=0.05)
    single, mixed, _ = clouds(2)
    dots, _ = geometry.plane(single, mixed, "lda")
    assert np.ptp(dots[..., 1].mean(axis=1)) < 1e-9 * np.ptp(dots[..., 1])


def test_an_unknown_method_is_refused():
    single, mixed, _ = clouds(2)
    with pytest.raises(ValueError, match="method = 'tsne': must be one of lda, pca"):
        geometry.plane(single, mixed, "tsne")


def test_vectors_that_do_not_differ_are_told():
    single, _, _ = clouds(2)
    assert geometry.separable(single)
    assert not geometry.separable(np.tile(single[:1, :1], (2, 4, 1)))  # a token's embedding
    assert not geometry.separable(np.tile(single[:1], (2, 1, 1)))  # tasks alike
    assert not geometry.separable(np.tile(single[:, :1], (1, 4, 1)))  # prompts alike
    assert not geometry.separable(np.full_like(single, np.nan))


# ---- the figure


def test_a_line_of_five_panels_a_setting(results, rows):
    figure = task_vectors.task_vectors(results, rows)
    assert len(figure.axes) == 10
    by_layer, lda, pca, path, lying = panels(figure)
    seeds = SEEDS - 1  # one diverged
    curves = [line for line in by_layer.lines if len(line.get_xdata()) == LAYERS]
    assert len(curves) == seeds + 1
    np.testing.assert_allclose(curves[-1].get_ydata(), [0.1, 0.2, 0.9, 0.3])
    np.testing.assert_allclose(points(by_layer, "v"), [[[2, 0.9]]] * seeds)
    level = next(line for line in by_layer.lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(level.get_ydata(), 0.1)
    for axes in (lda, pca):
        assert [len(cloud) for cloud in points(axes, "o")] == [POINTS] * 3
        assert [len(cloud) for cloud in points(axes, "x")] == [POINTS] * len(SHARES)
    lines = [line for line in path.lines if len(line.get_xdata()) == STEPS]
    assert len(lines) == 2 * (seeds + 1)
    wanted = [share**2 for share in SHARES[:3, :2].T]  # of mixtures of the first two only
    for k, at in enumerate(np.split(np.concatenate(points(path, "o")), 2)):
        np.testing.assert_allclose(at, np.stack([SHARES[:3, 1], wanted[k]], axis=1))
    found = np.concatenate(points(lying, "o")).reshape(3, len(SHARES), 2)
    np.testing.assert_allclose(found[..., 0], SHARES.T, atol=0.013)  # side by side
    np.testing.assert_allclose(found[..., 1], SHARES.T, atol=0.03)
    assert "difference" in lying.texts[0].get_text()


def shifted(results):
    """With the records of the other patch: success, layers and path one half, points anew."""
    found = results.copy()
    for name in ("success", "layer_used", "path"):
        found[f"vector_shift_{name}"] = results[f"vector_{name}"] / 2
    single, mixed, _ = clouds(3, weights=SHARES[::-1], noise=0.02, seed=1)
    points = results["vector_points"]
    found["vector_shift_points"] = (points.dims, np.broadcast_to([*single, *mixed], points.shape))
    return found


def test_every_patch_has_a_line_that_says_which(results, rows):
    figure = task_vectors.task_vectors(shifted(results), rows)
    lines = [panels(figure, line) for line in range(len(figure.axes) // 5)]
    titles = [first.get_title(loc="left") for first, *_ in lines]
    assert titles == [
        "(a) in place of the stream",
        "(a) moved by vector less mean",
    ] * len(rows)
    assert [points(first, "v")[0].tolist() for first, *_ in lines[:2]] == [[[2, 0.9]], [[1, 0.1]]]
    for scale, (*_, path, lying) in zip((1, 0.5), lines[:2], strict=True):
        ends = [line.get_ydata()[0] for line in path.lines if len(line.get_xdata()) == STEPS]
        assert max(ends) == scale
        found = np.concatenate(points(lying, "o")).reshape(3, len(SHARES), 2)[..., 1]
        order = SHARES if scale == 1 else SHARES[::-1]
        np.testing.assert_allclose(found, order.T, atol=0.03)


def test_many_settings_and_patches_are_at_most_four_lines(make_results):
    results = make_results({"optim.x": [1, 2, 3, 4, 5]}, [9_000.0] * 5, seeds=1, baseline=None)
    dims, shape = results["test_loss"].dims, results["test_loss"].shape
    results = results.assign_coords(answer=["one", "two"])
    for patch in ("vector_", "vector_shift_"):
        results[f"{patch}success"] = ((*dims, "stream_layer"), np.full((*shape, 3), 0.5))
        results[f"{patch}layer_used"] = (dims, np.ones(shape))
        results[f"{patch}path"] = ((*dims, "path", "answer"), np.full((*shape, STEPS, 2), 0.5))
    results["vector_baseline"] = (dims, np.full(shape, 0.1))
    for name in ("mixed_share", "mixed_probability"):
        results[name] = ((*dims, "mixture", "answer"), np.full((*shape, 1, 2), 0.5))
    results.attrs["config"] = json.dumps({})
    rows = statistics.summarise(results)
    assert len(rows) == 5
    assert len(task_vectors.task_vectors(results, rows).axes) == 5 * 4
    older = results.drop_vars([name for name in results if name.startswith("vector_shift")])
    assert len(task_vectors.task_vectors(older, rows).axes) == 5 * 4


def test_where_mixtures_lie_is_a_number_for_every_finished_seed(results, rows):
    positions, shares = task_vectors.mixture_positions(results, rows[0])
    assert positions.shape == shares.shape == (SEEDS - 1, len(SHARES), 3)
    np.testing.assert_allclose(positions.sum(axis=-1), 1)
    np.testing.assert_allclose(positions, shares, atol=0.03)


def test_shares_are_those_of_the_points_own_prompts(results, rows):
    """Of prompts whose examples draw their tasks one by one, others have other shares."""
    tasks, points = len(results["answer"]), results["vector_points"]
    own = np.random.default_rng(0).dirichlet(np.ones(tasks), points.shape[:-2])
    told = results.assign(vector_share=((*points.dims[:-2], "answer"), own))
    _, shares = task_vectors.mixture_positions(told, rows[0])
    done = results["status"].values[rows[0].index] == store.FINISHED
    np.testing.assert_array_equal(shares, own[rows[0].index][done][:, -1, tasks:])


def test_narrower_settings_are_padded(results, rows):
    """Of a sweep of widths and depths: what is not there is left out."""
    padded = results.copy(deep=True)
    padded["vector_points"][0, ..., WIDTH // 2 :] = np.nan
    padded["vector_success"][0, ..., -1] = np.nan
    assert len(task_vectors.task_vectors(padded, rows).axes) == 10
    wanted = task_vectors.mixture_positions(results.isel(coordinate=slice(WIDTH // 2)), rows[0])
    np.testing.assert_array_equal(task_vectors.mixture_positions(padded, rows[0]), wanted)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_without_points_the_rest_is_drawn(results, rows):
    figure = task_vectors.task_vectors(results.drop_vars("vector_points"), rows)
    for number in (1, 2, 4):
        assert texts(panels(figure)[number]) == ["no points were kept"]


def test_two_vectors_a_task_have_no_axes(results, rows):
    """Their covariance is not shrunk, and has no inverse: neither plane nor positions."""
    few = results.isel(point=slice(2))
    figure = task_vectors.task_vectors(few, rows)
    for number in (1, 2, 4):
        assert texts(panels(figure)[number]) == ["too few vectors differ at this layer"]
    few = results.isel(point=slice(3))
    assert len(task_vectors.mixture_positions(few, rows[0])[0]) == SEEDS - 1


def test_vectors_that_do_not_differ_are_said_to(results, rows):
    same = results.copy(deep=True)
    same["vector_points"][...] = 1.0
    figure = task_vectors.task_vectors(same, rows)
    for number in (1, 2, 4):
        assert texts(panels(figure)[number]) == ["too few vectors differ at this layer"]


def test_without_scikit_learn_the_planes_say_so(results, rows, monkeypatch):
    real = importlib.import_module

    def missing(name, *args):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", missing)
    figure = task_vectors.task_vectors(results, rows)
    for number in (1, 2):
        assert texts(panels(figure)[number]) == [
            "needs scikit-learn: pip install 'plateaus[sklearn]'"
        ]
    assert len(points(panels(figure)[4], "o")) == 3 * len(SHARES)  # positions need none
