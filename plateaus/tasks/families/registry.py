"""All families, by name: the one place that knows every family and every law of inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from plateaus.names import missing
from plateaus.tasks.families import boolean, teachers
from plateaus.tasks.families.family import Family, Sizes
from plateaus.tasks.families.hermite import hermite
from plateaus.tasks.families.inputs import InputLaw, gaussian, skewed, student
from plateaus.tasks.families.linear import linear, noisy_linear, quadratic, sparse_linear
from plateaus.tasks.families.nonlinear import leaky_relu, relu, relu_net, sigmoid, sine
from plateaus.tasks.families.retrieval import retrieval
from plateaus.tasks.families.tree import decision_tree

__all__ = ["FAMILIES", "Family", "Sizes", "family"]

CONTINUOUS: dict[str, Callable[[Sizes, InputLaw], Family]] = {
    "linear": linear,
    "quadratic": quadratic,
    "sparse_linear": sparse_linear,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "relu_net": relu_net,
    "decision_tree": decision_tree,
    "hermite_linear": partial(hermite, 1),
    "hermite_quadratic": partial(hermite, 2),
    "hermite_cubic": partial(hermite, 3),
    "noisy_linear": noisy_linear,
    "sine": sine,
    "sigmoid": sigmoid,
}
LAWS: dict[str, Callable[[int], InputLaw]] = {"skewed_": skewed, "student_": student}
REFUSED = {  # why a law of inputs does not go with a family
    **{
        f"student_{name}": "Student's t with 4 degrees of freedom has an infinite fourth moment, "
        "and so has this family an infinite loss"
        for name in ("quadratic", "hermite_quadratic", "hermite_cubic")
    },
    **{
        f"{law}sigmoid": "its loss without context is known exactly for Gaussian inputs only"
        for law in LAWS
    },
}


def _with(law: Callable[[int], InputLaw], build: Callable[[Sizes, InputLaw], Family]):
    """Return the constructor of a continuous family with inputs of this law."""
    return lambda sizes: build(sizes, law(sizes.dimension))


FAMILIES: dict[str, Callable[[Sizes], Family]] = {
    **{name: _with(gaussian, build) for name, build in CONTINUOUS.items()},
    "sparse_parity_2": partial(boolean.sparse_parity, 2),
    "sparse_parity_3": partial(boolean.sparse_parity, 3),
    "parity": boolean.parity,
    "conjunction": boolean.conjunction,
    "disjunction": boolean.disjunction,
    "majority": boolean.majority,
    "retrieval_gaussian": partial(retrieval, False),
    "retrieval_boolean": partial(retrieval, True),
    "no_context_hermite_quadratic": teachers.hermite_quadratic_teacher,
    "no_context_relu": teachers.relu_teacher,
    "no_context_leaky_relu": teachers.leaky_relu_teacher,
    "no_context_sparse_parity_2": partial(teachers.sparse_parity_teacher, 2),
    "no_context_sparse_parity_3": partial(teachers.sparse_parity_teacher, 3),
    **{
        prefix + name: _with(law, build)
        for prefix, law in LAWS.items()
        for name, build in CONTINUOUS.items()
        if prefix + name not in REFUSED
    },
}


def family(name: str, sizes: Sizes) -> Family:
    """Return the family of this name at these sizes.

    Raises ValueError, in one line, for a name that is not there or is refused, and for sizes that
    do not fit the family.

    >>> family("linear", Sizes(dimension=4)).no_context_loss
    4.0
    >>> family("sparse_linear", Sizes(dimension=5, sparse=7))
    Traceback (most recent call last):
    ValueError: sparse = 7: must be at most dimension (5)
    """
    if name in REFUSED:
        raise ValueError(f"family {name!r}: not defined: {REFUSED[name]}")
    if name not in FAMILIES:
        raise ValueError(missing("family", name, FAMILIES))
    made = FAMILIES[name](sizes)
    assert math.isfinite(made.no_context_loss), name
    return made
