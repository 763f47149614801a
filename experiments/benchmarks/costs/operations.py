"""Operations of a function, counted in what JAX traces of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.interpreters import partial_eval


def operations(function: Callable[..., Any], *shapes: Any) -> int:
    """Return the operations of a function's matrix products, two for each multiply-add.

    The body of a scan counts as often as it runs (XLA's `cost_analysis` counts it once), of a
    branch the cheapest side: in a step the dear one is what happens once a round. What no result
    needs is left out, as XLA does; so are elementwise work, sums and random bits, as is usual.
    Nothing is computed.

    >>> import jax.numpy as jnp
    >>> x = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    >>> operations(lambda x: jax.lax.scan(lambda s, _: (s, x @ x.T), 0, length=5)[1], x)
    120
    """
    jaxpr = jax.make_jaxpr(function)(*shapes).jaxpr
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _of(needed)


def _of(jaxpr: Any) -> int:
    return sum(map(_of_equation, jaxpr.eqns))


def _of_equation(equation: Any) -> int:
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        terms = math.prod(left[axis] for axis in contracted)
        return 2 * terms * equation.outvars[0].aval.size
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        terms = kernel.size // kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
        return 2 * terms * equation.outvars[0].aval.size
    inner = [_of(jaxpr) for jaxpr in _jaxprs(equation.params.values())]
    if equation.primitive.name == "cond":
        return min(inner)
    return equation.params.get("length", 1) * sum(inner)


def _jaxprs(values: Any) -> Iterator[Any]:
    """Yield the jaxprs among the parameters of an equation."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from _jaxprs(value)
        elif hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr
