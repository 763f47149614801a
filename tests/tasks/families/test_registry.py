"""Names and sizes that are refused, in a line that says what to write instead."""

import math

import pytest

from plateaus.tasks.families.registry import FAMILIES, Sizes, family

PAPERS = [
    "linear",
    "quadratic",
    "sparse_linear",
    "relu",
    "leaky_relu",
    "relu_net",
    "decision_tree",
    "hermite_linear",
    "hermite_quadratic",
    "hermite_cubic",
    "noisy_linear",
    "sine",
    "sigmoid",
    "sparse_parity_2",
    "sparse_parity_3",
    "parity",
    "conjunction",
    "disjunction",
    "majority",
    "retrieval_gaussian",
    "retrieval_boolean",
    "no_context_hermite_quadratic",
    "no_context_relu",
    "no_context_leaky_relu",
    "no_context_sparse_parity_2",
    "no_context_sparse_parity_3",
    "skewed_linear",
    "student_linear",
    "skewed_relu",
    "student_relu",
    "skewed_quadratic",
]


def test_what_the_papers_need_is_there():
    assert set(PAPERS) <= set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_figures_are_finite_at_small_and_large_sizes(name):
    for d in (4, 64):
        found = family(name, Sizes(dimension=d))
        assert math.isfinite(found.no_context_loss) and found.no_context_loss > 0
        assert 0 < found.learned_below < 1
        if found.boolean:
            assert 0.5 <= found.no_context_accuracy < 1


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        (
            "sparse_linear",
            {"dimension": 5, "sparse": 7},
            "sparse = 7: must be at most dimension (5)",
        ),
        ("sparse_parity_3", {"dimension": 2}, "dimension = 2: must be over 3, or there is"),
        ("no_context_sparse_parity_2", {"dimension": 1}, "dimension = 1: must be over 2, or"),
        ("majority", {"majority_bits": 4}, "majority_bits = 4: must be odd"),
        ("majority", {"dimension": 3, "majority_bits": 5}, "majority_bits = 5: must be below dim"),
        ("no_context_leaky_relu", {"leak": 1.0}, "leak = 1.0: must be below 1"),
        (
            "conjunction",
            {"literal_probability": 0.6},
            "literal_probability = 0.6: must be in (0, 0.5]",
        ),
        ("retrieval_boolean", {"points": 1}, "points = 1: must be at least 2"),
        ("student_quadratic", {}, "family 'student_quadratic': not defined: Student's t with 4"),
        ("student_hermite_cubic", {}, "an infinite fourth moment"),
        ("skewed_sigmoid", {}, "not defined: its loss without context is known"),
        ("linaer", {}, "no family 'linaer'; did you mean linear? (known: linear, quadratic, "),
        ("skewed_conjunction", {}, "no family 'skewed_conjunction'; did you mean "),
    ],
)
def test_a_refusal_is_one_line(name, sizes, message):
    with pytest.raises(ValueError) as refusal:
        family(name, Sizes(**sizes))
    assert message in str(refusal.value) and "\n" not in str(refusal.value)
