"""The aggregators against TorchJD's, in float64: from a fixture, and live where installed.

The error is that of the combined gradient, relative to its length.
"""

import itertools
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


def numbers_of(options):
    return {option: value for option, value in options.items() if isinstance(value, float)}


@jax.jit
def weights_of(gram):
    """Gram matrix [B, B] -> entry -> weights [B]: one compilation a size, for everything.

    What differs in a number alone is compiled once, and mapped over the number.
    """
    said = {}
    for name, entries in itertools.groupby(COMPARED, lambda entry: COMPARED[entry][0]):
        entries = [entry for entry in entries if not entry.endswith("_again")]
        options = [COMPARED[entry][1] for entry in entries]
        if numbers := numbers_of(options[0]):
            several = {option: np.float32([o[option] for o in options]) for option in numbers}
            weights = jax.vmap(lambda number, name=name: updated(gram, name, **number)[0])(several)
            said |= zip(entries, weights, strict=True)
        else:
            said |= {e: updated(gram, name, **o)[0] for e, o in zip(entries, options, strict=True)}
    _, state = updated(gram, "gradvac")
    said["gradvac_again"], _ = aggregator("gradvac").update(gram[::-1, ::-1], state)
    return said


def updated(gram, name, **options):
    """Weights and state after a first step."""
    chosen = aggregator(name, **options)
    return chosen.update(gram, chosen.init(len(gram)))


def places_of(said):
    return sorted(key.removesuffix("gradients") for key in said if "gradients" in key)


def found_for(said):
    """This package's weights, by place and entry."""
    rows = {place: said[place + "gradients"].astype(np.float64) for place in places_of(said)}
    every = {place: weights_of((r @ r.T).astype(np.float32)) for place, r in rows.items()}
    return jax.tree.map(lambda x: np.asarray(x, np.float64), every)


def check(said, every, entry):
    name, _, tolerance = COMPARED[entry]
    checked = 0
    for place in places_of(said):
        if place + entry not in said:
            continue  # no fair bargain exists there
        rows, expected = said[place + "gradients"].astype(np.float64), said[place + entry]
        gram, order = rows @ rows.T, -1 if entry.endswith("_again") else 1
        if name == "nash_mtl":
            says = expected * (gram @ expected)
            if says.max() > 1.001 * says.min():
                continue  # its solver gave up: not everyone has the same say
        found = every[place][entry]
        length = np.linalg.norm(expected @ rows[::order])
        error = np.linalg.norm((found - expected) @ rows[::order]) / length
        assert error < tolerance_of(tolerance, gram), (place, error)
        checked += 1
    return checked


@pytest.fixture(scope="module")
def fixture():
    with np.load(FIXTURES / "torchjd.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def found(fixture):
    return found_for(fixture)


@pytest.mark.parametrize("entry", COMPARED)
def test_same_answers_as_the_fixture(fixture, found, entry):
    assert check(fixture, found, entry) >= 12


def test_everything_said_is_compared(fixture):
    assert {key.split("/")[2] for key in fixture} - {"gradients", "mgda"} == set(COMPARED)


def test_no_combination_of_torchjds_mgda_is_shorter(fixture, found):
    """It stops after some steps of Frank and Wolfe, so equality cannot be asked for."""
    for key in [key for key in fixture if key.endswith("/mgda")]:
        place = key.removesuffix("mgda")
        rows = fixture[place + "gradients"].astype(np.float64)
        ours = np.linalg.norm(found[place]["shortest"] @ rows)
        assert ours < (1 + 1e-5) * np.linalg.norm(fixture[key] @ rows)


@pytest.mark.filterwarnings("ignore")  # other packages' own
def test_same_answers_live():
    for module in ("torch", "torchjd", "quadprog", "qpsolvers", "cvxpy", "ecos"):
        pytest.importorskip(module)
    said = runpy.run_path(str(FIXTURES / "make_torchjd.py"))["answers"](1, sizes=(3, 12))
    every = found_for(said)
    for entry in COMPARED:
        assert check(said, every, entry) >= 4
