"""The aggregators against TorchJD's, in float64: from a fixture, and live where installed.

The error is that of the combined gradient, relative to its length.
"""

import functools
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

from plateaus.optim.aggregation import aggregator

FIXTURES = Path(__file__).parents[1] / "fixtures"
ROUNDING = float(np.finfo(np.float32).eps)

# name -> the aggregator, its options, the tolerance ("condition": see below); in brackets the
# largest error seen
COMPARED = {
    "pcgrad": ("pcgrad", {}, 5e-6),  # (1e-6)
    "gradvac": ("gradvac", {}, 5e-6),  # (1e-6)
    "gradvac_again": ("gradvac", {}, 1e-5),  # (2e-6)
    "upgrad": ("upgrad", {}, 1e-4),  # (4e-5)
    "cagrad": ("cagrad", {"c": 0.5}, 3e-4),  # (1e-4: Clarabel's; test_aggregators has the gap)
    "cagrad_2": ("cagrad", {"c": 2.0}, 5e-4),  # (2e-4)
    "shortest": ("mgda", {}, 5e-4),  # (1e-4, where d is 30 times shorter than the gradients)
    "imtl_g": ("imtl_g", {}, "condition"),  # (3e-4)
    "aligned_mtl_min": ("aligned_mtl", {"scale": "min"}, "condition"),  # (3e-4)
    "aligned_mtl_median": ("aligned_mtl", {"scale": "median"}, "condition"),  # (2e-4)
    "aligned_mtl_rmse": ("aligned_mtl", {"scale": "rmse"}, "condition"),  # (2e-4)
    "nash_mtl": ("nash_mtl", {}, 2e-6),  # (2e-7)
    "fairgrad_0.5": ("fairgrad", {"alpha": 0.5}, 2e-6),  # (3e-7)
    "fairgrad_1.0": ("fairgrad", {"alpha": 1.0}, 2e-6),  # (3e-7)
    "fairgrad_2.0": ("fairgrad", {"alpha": 2.0}, 2e-6),  # (4e-7)
}


def tolerance_of(tolerance, gram):
    """Rounding inner products to float32 moves a small eigenvalue by its condition number's share.

    At most 1e-5 for a condition number of 100, 1e-3 for 10,000.
    """
    if tolerance != "condition":
        return tolerance
    values = np.linalg.eigvalsh(gram)
    return max(5e-6, ROUNDING * values[-1] / values[values > 1e-9 * values[-1]][0])


@functools.cache
def program(entry):
    """Gram matrix [B, B] -> weights [B] of its step, or of the next one; one compilation a size."""
    name, options, _ = COMPARED[entry]
    chosen = aggregator(name, **options)

    def weights_of(gram):
        weights, state = chosen.update(gram, chosen.init(len(gram)))
        if entry.endswith("_again"):
            weights, _ = chosen.update(gram[::-1, ::-1], state)
        return weights

    return jax.jit(weights_of)


def weights_of(entry, gram):
    return np.asarray(program(entry)(gram.astype(np.float32)), np.float64)


def check(said, entry):
    name, _, tolerance = COMPARED[entry]
    checked = 0
    for place in sorted(key.removesuffix("gradients") for key in said if "gradients" in key):
        if place + entry not in said:
            continue  # no fair bargain exists there
        rows, expected = said[place + "gradients"].astype(np.float64), said[place + entry]
        gram, order = rows @ rows.T, -1 if entry.endswith("_again") else 1
        if name == "nash_mtl":
            says = expected * (gram @ expected)
            if says.max() > 1.001 * says.min():
                continue  # its solver gave up: not everyone has the same say
        found = weights_of(entry, gram)
        length = np.linalg.norm(expected @ rows[::order])
        error = np.linalg.norm((found - expected) @ rows[::order]) / length
        assert error < tolerance_of(tolerance, gram), (place, error)
        checked += 1
    return checked


@pytest.fixture(scope="module")
def fixture():
    with np.load(FIXTURES / "torchjd.npz") as file:
        return dict(file)


@pytest.mark.parametrize("entry", COMPARED)
def test_same_answers_as_the_fixture(fixture, entry):
    assert check(fixture, entry) >= 12


def test_everything_said_is_compared(fixture):
    assert {key.split("/")[2] for key in fixture} - {"gradients", "mgda"} == set(COMPARED)


def test_no_combination_of_torchjds_mgda_is_shorter(fixture):
    """It stops after some steps of Frank and Wolfe, so equality cannot be asked for."""
    for key in [key for key in fixture if key.endswith("/mgda")]:
        rows = fixture[key.removesuffix("mgda") + "gradients"].astype(np.float64)
        found = weights_of("shortest", rows @ rows.T)
        assert np.linalg.norm(found @ rows) < (1 + 1e-5) * np.linalg.norm(fixture[key] @ rows)


@pytest.mark.filterwarnings("ignore")  # other packages' own
def test_same_answers_live():
    for module in ("torch", "torchjd", "quadprog", "qpsolvers", "cvxpy", "ecos"):
        pytest.importorskip(module)
    said = runpy.run_path(str(FIXTURES / "make_torchjd.py"))["answers"](1, sizes=(3, 12))
    for entry in COMPARED:
        assert check(said, entry) >= 4
